"""Application configuration."""

from django.apps import AppConfig


class DefinitionsConfig(AppConfig):
    """The definitions app."""

    name = "mes.definitions"
