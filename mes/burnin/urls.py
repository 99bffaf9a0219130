"""Addresses of burn-in runs and BMC addresses."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.burnin.views import Bays, BurnInRunViewSet, SetBmc
from mes.burnin.views_meters import GridFactorViewSet, SetBayMeter, SetMeter

router = SimpleRouter()
router.register("burn-in-runs", BurnInRunViewSet)
router.register("grid-factors", GridFactorViewSet)
urlpatterns = [
    path("burn-in-bays/", Bays.as_view()),
    path("burn-in-bays/<str:code>/meter/", SetBayMeter.as_view()),
    path("units/<uuid:uid>/bmc/", SetBmc.as_view()),
    path("units/<uuid:uid>/meter/", SetMeter.as_view()),
    *router.urls,
]
