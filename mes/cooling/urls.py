"""Addresses of the liquid cooling record."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.cooling.views.coolant import (
    CoolantStepViewSet,
    ReadLoop,
    RecordChargeReading,
    RecordDrain,
    RecordFill,
    RecordFlow,
    RecordFlush,
    RecordNitrogenCharge,
)
from mes.cooling.views.couplings import CouplingViewSet, FitCoupling, RecordMates
from mes.cooling.views.leaks import (
    LeakSensorExerciseViewSet,
    LeakTestViewSet,
    RecordExercise,
    RecordLeakTest,
)

router = SimpleRouter()
router.register("leak-tests", LeakTestViewSet)
router.register("leak-sensor-exercises", LeakSensorExerciseViewSet)
router.register("coolant-steps", CoolantStepViewSet)
router.register("couplings", CouplingViewSet)
LOOP = "units/<uuid:uid>/coolant/"
urlpatterns = [
    path("units/<uuid:uid>/leak-tests/", RecordLeakTest.as_view()),
    path("units/<uuid:uid>/leak-sensor-exercises/", RecordExercise.as_view()),
    path("units/<uuid:uid>/couplings/", FitCoupling.as_view()),
    path("units/<uuid:uid>/coupling-mates/", RecordMates.as_view()),
    path(LOOP, ReadLoop.as_view()),
    path(f"{LOOP}flush/", RecordFlush.as_view()),
    path(f"{LOOP}fill/", RecordFill.as_view()),
    path(f"{LOOP}flow/", RecordFlow.as_view()),
    path(f"{LOOP}drain/", RecordDrain.as_view()),
    path(f"{LOOP}nitrogen-charge/", RecordNitrogenCharge.as_view()),
    path(f"{LOOP}nitrogen-charge/readings/", RecordChargeReading.as_view()),
    *router.urls,
]
