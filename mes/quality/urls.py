"""Addresses of holds."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.quality.views import HoldLot, HoldUnit, HoldViewSet

router = SimpleRouter()
router.register("holds", HoldViewSet)
urlpatterns = [
    path("units/<uuid:uid>/hold/", HoldUnit.as_view()),
    path("lots/<uuid:uid>/hold/", HoldLot.as_view()),
    *router.urls,
]
