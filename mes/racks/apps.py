"""Application configuration."""

from django.apps import AppConfig


class RacksConfig(AppConfig):
    """The racks app."""

    name = "mes.racks"
