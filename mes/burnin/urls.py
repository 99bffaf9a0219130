"""Addresses of burn-in runs and BMC addresses."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.burnin.views import BurnInRunViewSet, SetBmc

router = SimpleRouter()
router.register("burn-in-runs", BurnInRunViewSet)
urlpatterns = [path("units/<uuid:uid>/bmc/", SetBmc.as_view()), *router.urls]
