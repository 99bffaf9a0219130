"""Addresses of genealogy, histories, reports and containments."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.traceability.views import EventList, Genealogy, LotWhereUsed, ReportViewSet, UnitEvents, WhereUsed
from mes.traceability.views_containment import ContainmentViewSet, Similar

router = SimpleRouter()
router.register("reports", ReportViewSet)
router.register("containments", ContainmentViewSet)
urlpatterns = [
    path("events/", EventList.as_view()),
    path("units/<uuid:uid>/genealogy/", Genealogy.as_view()),
    path("units/<uuid:uid>/where-used/", WhereUsed.as_view()),
    path("units/<uuid:uid>/events/", UnitEvents.as_view()),
    path("units/<uuid:uid>/similar/", Similar.as_view()),
    path("lots/<uuid:uid>/where-used/", LotWhereUsed.as_view()),
    *router.urls,
]
