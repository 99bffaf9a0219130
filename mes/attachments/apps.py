"""Application configuration."""

from django.apps import AppConfig


class AttachmentsConfig(AppConfig):
    """The attachments app."""

    name = "mes.attachments"
