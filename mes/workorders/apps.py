"""Application configuration."""

from django.apps import AppConfig


class WorkordersConfig(AppConfig):
    """The workorders app."""

    name = "mes.workorders"
