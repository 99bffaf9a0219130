"""Addresses of orders, work on units, test runs and scans."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.workorders.views.capture import Breaks, RecordValue, UseConsumable, UseTool
from mes.workorders.views.changes import EngineeringChangeViewSet
from mes.workorders.views.design import DesignComparison, DesignComparisonList
from mes.workorders.views.deviations import DeviationViewSet
from mes.workorders.views.firmware import Firmware
from mes.workorders.views.gates import GateReleaseViewSet, Gates, ReleaseGate
from mes.workorders.views.leaving import ScrapUnit, ShipUnit
from mes.workorders.views.nonconformances import NonconformanceViewSet
from mes.workorders.views.operation_runs import OperationRunViewSet
from mes.workorders.views.orders import WorkOrderViewSet
from mes.workorders.views.records import (
    CapturedValueViewSet,
    DispositionViewSet,
    RepairViewSet,
    ReworkViewSet,
)
from mes.workorders.views.scans import Scans
from mes.workorders.views.test_runs import ReportOcpTest, TestRunViewSet
from mes.workorders.views.units import UnitStanding
from mes.workorders.views.work import (
    CompleteOperation,
    InstallChild,
    JoinOperation,
    RemoveChild,
    ReplaceChild,
    SkipOperation,
    StartOperation,
)

router = SimpleRouter()
router.register("work-orders", WorkOrderViewSet)
router.register("test-runs", TestRunViewSet)
router.register("gate-releases", GateReleaseViewSet)
router.register("captured-values", CapturedValueViewSet)
router.register("dispositions", DispositionViewSet)
router.register("repairs", RepairViewSet)
router.register("reworks", ReworkViewSet)
router.register("nonconformances", NonconformanceViewSet)
router.register("engineering-changes", EngineeringChangeViewSet)
router.register("deviations", DeviationViewSet)
router.register("operation-runs", OperationRunViewSet)
urlpatterns = [
    path("scans/", Scans.as_view()),
    path("test-runs/ocp/", ReportOcpTest.as_view()),
    path("units/<uuid:uid>/install/", InstallChild.as_view()),
    path("units/<uuid:uid>/remove/", RemoveChild.as_view()),
    path("units/<uuid:uid>/standing/", UnitStanding.as_view()),
    path("units/<uuid:uid>/design-comparison/", DesignComparison.as_view()),
    path("design-comparisons/", DesignComparisonList.as_view()),
    path("units/<uuid:uid>/ship/", ShipUnit.as_view()),
    path("units/<uuid:uid>/scrap/", ScrapUnit.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/start/", StartOperation.as_view()),
    path("units/<uuid:uid>/replace/", ReplaceChild.as_view()),
    path("units/<uuid:uid>/breaks/", Breaks.as_view()),
    path("units/<uuid:uid>/firmware/", Firmware.as_view()),
    path("units/<uuid:uid>/tools/", UseTool.as_view()),
    path("units/<uuid:uid>/gates/", Gates.as_view()),
    path("units/<uuid:uid>/gates/<slug:gate>/release/", ReleaseGate.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/complete/", CompleteOperation.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/join/", JoinOperation.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/skip/", SkipOperation.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/values/", RecordValue.as_view()),
    path("units/<uuid:uid>/operations/<int:sequence>/consumables/", UseConsumable.as_view()),
    *router.urls,
]
