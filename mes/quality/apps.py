"""Application configuration."""

from django.apps import AppConfig


class QualityConfig(AppConfig):
    """The quality app."""

    name = "mes.quality"
