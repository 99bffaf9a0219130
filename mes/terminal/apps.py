"""Application configuration."""

from django.apps import AppConfig


class TerminalConfig(AppConfig):
    """The terminal app."""

    name = "mes.terminal"
