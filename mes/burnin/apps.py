"""Application configuration."""

from django.apps import AppConfig


class BurninConfig(AppConfig):
    """The burnin app."""

    name = "mes.burnin"
