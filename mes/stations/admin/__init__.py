"""Stations in the admin, a module per noun."""

from mes.stations.admin import places, tools

__all__ = ["places", "tools"]
