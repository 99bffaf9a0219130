"""Addresses of racks."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.racks.views import Contents, InstallationViewSet, UnitBudgets

router = SimpleRouter()
router.register("installations", InstallationViewSet)
urlpatterns = [
    path("units/<uuid:uid>/contents/", Contents.as_view()),
    path("units/<uuid:uid>/budgets/", UnitBudgets.as_view()),
    *router.urls,
]
