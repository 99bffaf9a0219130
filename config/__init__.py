"""Settings and entry points; nothing in `mes` imports from here."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
