"""Addresses of cabling."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.cabling.views import (
    CableConnectionViewSet,
    CablePlanViewSet,
    CheckCable,
    ConnectCable,
    CutList,
    DisconnectCable,
    ImportNeighbours,
    NeighbourReportViewSet,
    PollPorts,
    UnitCables,
    UnitPortMap,
    VerifyCabling,
    VerifyPortMap,
)

router = SimpleRouter()
router.register("cable-plans", CablePlanViewSet)
router.register("cable-connections", CableConnectionViewSet)
router.register("neighbour-reports", NeighbourReportViewSet)
urlpatterns = [
    path("units/<uuid:uid>/cables/", UnitCables.as_view()),
    path("units/<uuid:uid>/cables/connect/", ConnectCable.as_view()),
    path("units/<uuid:uid>/cables/disconnect/", DisconnectCable.as_view()),
    path("units/<uuid:uid>/cables/checks/", CheckCable.as_view()),
    path("units/<uuid:uid>/cables/verify/", VerifyCabling.as_view()),
    path("units/<uuid:uid>/cut-list/", CutList.as_view()),
    path("units/<uuid:uid>/neighbours/", ImportNeighbours.as_view()),
    path("units/<uuid:uid>/port-map/", UnitPortMap.as_view()),
    path("units/<uuid:uid>/port-map/poll/", PollPorts.as_view()),
    path("units/<uuid:uid>/port-map/verify/", VerifyPortMap.as_view()),
    *router.urls,
]
