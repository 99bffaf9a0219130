"""Application configuration."""

from django.apps import AppConfig


class TraceabilityConfig(AppConfig):
    """The traceability app."""

    name = "mes.traceability"
