"""Roles, tools and shifts over REST."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from mes.ledger.services import Actor
from mes.people.services import require_permission
from mes.rest import WhySerializer, operator_of, perform, why_of
from mes.stations.models import RoleAssignment, Shift, Tool
from mes.stations.serializers import (
    CalibrationSerializer,
    GrantRoleSerializer,
    NewToolSerializer,
    RoleSerializer,
    ShiftSerializer,
    ToolSerializer,
)
from mes.stations.services import (
    calibrate_tool,
    chosen_site,
    end_role,
    grant_role,
    of_site,
    register_tool,
    retire_tool,
)


class RoleViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[RoleAssignment]):
    """Read, grant and end roles; for people with the permission."""

    queryset = RoleAssignment.objects.select_related("person", "site", "line")
    serializer_class = RoleSerializer
    filterset_fields = {
        "person__username": ["exact"],
        "role": ["exact"],
        "site__code": ["exact"],
        "line__code": ["exact"],
        "ended_at": ["isnull"],
    }

    def get_queryset(self) -> QuerySet[RoleAssignment]:
        """Return the roles, to people who may see them."""
        require_permission(self.request.user, "stations.view_roleassignment")
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=GrantRoleSerializer, responses={201: RoleSerializer})
    def create(self, request: Request) -> Response:
        """Grant a role."""
        require_permission(request.user, "stations.add_roleassignment", operator=operator_of(request))
        given = GrantRoleSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            data = dict(given.validated_data)
            site = chosen_site(request.auth, data.pop("site"))
            return dict(RoleSerializer(grant_role(site=site, by=by, **data)).data)

        return perform(request, act, created=True)

    @extend_schema(request=WhySerializer, responses={200: RoleSerializer})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """End a role."""
        require_permission(request.user, "stations.change_roleassignment", operator=operator_of(request))
        assignment = self.get_object()

        def act(by: Actor) -> dict[str, Any]:
            return dict(RoleSerializer(end_role(assignment=assignment, reason=why_of(request), by=by)).data)

        return perform(request, act)


class ToolViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Tool]):
    """Read tools; register, calibrate and retire them, for people with the permission."""

    queryset = Tool.objects.select_related("site")
    serializer_class = ToolSerializer
    filterset_fields = {
        "type": ["exact"],
        "calibration_due_at": ["lt", "gt", "isnull"],
        "retired_at": ["isnull"],
    }
    lookup_field = "code"
    lookup_value_regex = "[^/]+"

    def get_queryset(self) -> QuerySet[Tool]:
        """Return the tools of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=NewToolSerializer, responses={201: ToolSerializer})
    def create(self, request: Request) -> Response:
        """Register a tool."""
        require_permission(request.user, "stations.add_tool", operator=operator_of(request))
        given = NewToolSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            data = dict(given.validated_data)
            site = chosen_site(request.auth, data.pop("site", None))
            return dict(ToolSerializer(register_tool(site=site, by=by, **data)).data)

        return perform(request, act, created=True)

    @extend_schema(request=CalibrationSerializer, responses={201: CalibrationSerializer})
    @action(detail=True, methods=["post"])
    def calibrations(self, request: Request, code: str) -> Response:
        """Record a calibration."""
        require_permission(request.user, "stations.add_calibration", operator=operator_of(request))
        tool = self.get_object()
        given = CalibrationSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            return dict(CalibrationSerializer(calibrate_tool(tool=tool, by=by, **given.validated_data)).data)

        return perform(request, act, created=True)

    @extend_schema(request=WhySerializer, responses={200: ToolSerializer})
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, code: str) -> Response:
        """Retire a tool."""
        require_permission(request.user, "stations.change_tool", operator=operator_of(request))
        tool = self.get_object()

        def act(by: Actor) -> dict[str, Any]:
            return dict(ToolSerializer(retire_tool(tool=tool, reason=why_of(request), by=by)).data)

        return perform(request, act)


class ShiftViewSet(viewsets.ReadOnlyModelViewSet[Shift]):
    """Read shifts."""

    queryset = Shift.objects.select_related("site")
    serializer_class = ShiftSerializer
    filterset_fields = ("site__code", "name")

    def get_queryset(self) -> QuerySet[Shift]:
        """Return the shifts of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)
