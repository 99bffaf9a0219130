"""Application configuration."""

from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    """The analysis app."""

    name = "mes.analysis"
