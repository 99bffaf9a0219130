"""Addresses of genealogy, histories and reports."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.traceability.views import Genealogy, LotWhereUsed, ReportViewSet, UnitEvents, WhereUsed

router = SimpleRouter()
router.register("reports", ReportViewSet)
urlpatterns = [
    path("units/<uuid:uid>/genealogy/", Genealogy.as_view()),
    path("units/<uuid:uid>/where-used/", WhereUsed.as_view()),
    path("units/<uuid:uid>/events/", UnitEvents.as_view()),
    path("lots/<uuid:uid>/where-used/", LotWhereUsed.as_view()),
    *router.urls,
]
