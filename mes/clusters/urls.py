"""Addresses of clusters."""

from django.urls import path

from mes.clusters.views import Cluster, SetUpAt

urlpatterns = [
    path("units/<uuid:uid>/cluster/", Cluster.as_view()),
    path("units/<uuid:uid>/cluster/set-up-at/", SetUpAt.as_view()),
]
