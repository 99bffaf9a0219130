"""Shipping in the admin; each room registers its pages."""

from mes.shipping.admin import crates, returns, shipments

__all__ = ["crates", "returns", "shipments"]
