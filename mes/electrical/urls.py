"""Addresses of electrical safety."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.electrical.views import BeginHipot, HipotSessionViewSet, RecordSafetyTest, SafetyTestViewSet

router = SimpleRouter()
router.register("safety-tests", SafetyTestViewSet)
router.register("hipot-sessions", HipotSessionViewSet)
urlpatterns = [
    path("units/<uuid:uid>/safety-tests/", RecordSafetyTest.as_view()),
    path("units/<uuid:uid>/hipot/", BeginHipot.as_view()),
    *router.urls,
]
