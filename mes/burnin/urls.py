"""Addresses of burn-in runs and BMC addresses."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.burnin.views import Bays, BurnInRunViewSet, SetBmc
from mes.burnin.views_results import RunResults

router = SimpleRouter()
router.register("burn-in-runs", BurnInRunViewSet)
urlpatterns = [
    path("burn-in-bays/", Bays.as_view()),
    path("burn-in-runs/<uuid:uid>/results/", RunResults.as_view()),
    path("units/<uuid:uid>/bmc/", SetBmc.as_view()),
    *router.urls,
]
