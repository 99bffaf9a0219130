"""Application configuration."""

from django.apps import AppConfig


class ProductsConfig(AppConfig):
    """The products app."""

    name = "mes.products"
