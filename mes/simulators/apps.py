"""Application configuration."""

from django.apps import AppConfig


class SimulatorsConfig(AppConfig):
    """The simulators app."""

    name = "mes.simulators"
