"""Application configuration."""

from django.apps import AppConfig


class ElectricalConfig(AppConfig):
    """The electrical app."""

    name = "mes.electrical"
