"""Addresses of yield."""

from django.urls import path

from mes.analysis.views import ParetoView, RetestsView, YieldView

urlpatterns = [
    path("yield/", YieldView.as_view(), name="api-yield"),
    path("yield/pareto/", ParetoView.as_view(), name="api-pareto"),
    path("yield/retests/", RetestsView.as_view(), name="api-retests"),
]
