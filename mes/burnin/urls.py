"""Addresses of burn-in runs and BMC addresses."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.burnin.views import Bays, BurnInProfileViewSet, BurnInRunViewSet, SetBmc, ViolationViewSet
from mes.burnin.views_meters import GridFactorViewSet, SetBayMeter, SetMeter
from mes.burnin.views_results import RunResults
from mes.burnin.views_standing import BurnInWall, RunEvents, RunLimits, RunOutliers

router = SimpleRouter()
router.register("burn-in-runs", BurnInRunViewSet)
router.register("burn-in-profiles", BurnInProfileViewSet)
router.register("burn-in-violations", ViolationViewSet)
router.register("grid-factors", GridFactorViewSet)
urlpatterns = [
    path("burn-in-bays/<str:code>/meter/", SetBayMeter.as_view()),
    path("burn-in-bays/", Bays.as_view()),
    path("burn-in-wall/", BurnInWall.as_view()),
    path("burn-in-runs/<uuid:uid>/limits/", RunLimits.as_view()),
    path("burn-in-runs/<uuid:uid>/events/", RunEvents.as_view()),
    path("burn-in-runs/<uuid:uid>/outliers/", RunOutliers.as_view()),
    path("burn-in-runs/<uuid:uid>/results/", RunResults.as_view()),
    path("units/<uuid:uid>/bmc/", SetBmc.as_view()),
    path("units/<uuid:uid>/meter/", SetMeter.as_view()),
    *router.urls,
]
