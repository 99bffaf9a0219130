"""The door of clusters: how one stands."""

from mes.clusters.status import ClusterStatus, PlaceStanding, RackStanding, status_of

__all__ = ["ClusterStatus", "PlaceStanding", "RackStanding", "status_of"]
