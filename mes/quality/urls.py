"""Addresses of holds."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.quality.views import HoldUnit, HoldViewSet, ScrapUnit

router = SimpleRouter()
router.register("holds", HoldViewSet)
urlpatterns = [
    path("units/<uuid:uid>/hold/", HoldUnit.as_view()),
    path("units/<uuid:uid>/scrap/", ScrapUnit.as_view()),
    *router.urls,
]
