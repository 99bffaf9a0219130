"""Application configuration."""

from django.apps import AppConfig


class TestingConfig(AppConfig):
    """The testing app."""

    name = "mes.testing"
