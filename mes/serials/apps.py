"""Application configuration."""

from django.apps import AppConfig


class SerialsConfig(AppConfig):
    """The serials app."""

    name = "mes.serials"
