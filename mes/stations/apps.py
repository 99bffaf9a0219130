"""Application configuration."""

from django.apps import AppConfig


class StationsConfig(AppConfig):
    """The stations app."""

    name = "mes.stations"
