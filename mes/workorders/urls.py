"""Addresses of orders, work on units, test runs and scans."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.workorders.views import (
    CompleteOperation,
    InstallChild,
    RemoveChild,
    ReportOcpTest,
    Scans,
    StartOperation,
    TestRunViewSet,
    WorkOrderViewSet,
)

router = SimpleRouter()
router.register("work-orders", WorkOrderViewSet)
router.register("test-runs", TestRunViewSet)
urlpatterns = [
    path("scans/", Scans.as_view()),
    path("test-runs/ocp/", ReportOcpTest.as_view()),
    path("units/<uuid:uid>/install/", InstallChild.as_view()),
    path("units/<uuid:uid>/remove/", RemoveChild.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/start/", StartOperation.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/complete/", CompleteOperation.as_view()),
    *router.urls,
]
