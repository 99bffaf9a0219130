"""How roles, tools, calibrations and shifts look over REST."""

from typing import Any

from rest_framework import serializers

from mes.people.models import User
from mes.stations.models import Calibration, Line, RoleAssignment, Shift, Site, Tool


def site_field(*, required: bool = True) -> serializers.SlugRelatedField[Site]:
    """Return the field that names a site by its code."""
    return serializers.SlugRelatedField(slug_field="code", queryset=Site.objects.all(), required=required)


class RoleSerializer(serializers.ModelSerializer[RoleAssignment]):
    """A role of a person."""

    person = serializers.CharField(source="person.username", read_only=True)
    site = serializers.CharField(source="site.code", read_only=True)
    line = serializers.CharField(source="line.code", read_only=True, default=None)

    class Meta:
        model = RoleAssignment
        exclude: tuple[str, ...] = ()


class GrantRoleSerializer(serializers.Serializer[Any]):
    """A role to grant: at the whole site, or at one line of it."""

    person = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.filter(is_active=True), help_text="User name."
    )
    role = serializers.ChoiceField(choices=RoleAssignment.Role.choices)
    site = site_field()
    line = serializers.SlugRelatedField(
        slug_field="code", queryset=Line.objects.all(), required=False, allow_null=True
    )


class ToolSerializer(serializers.ModelSerializer[Tool]):
    """A tool."""

    site = serializers.CharField(source="site.code", read_only=True)

    class Meta:
        model = Tool
        exclude = ("id", "version", "head")


class NewToolSerializer(serializers.ModelSerializer[Tool]):
    """A tool to register; a person names the site, a device has one."""

    site = site_field(required=False)

    class Meta:
        model = Tool
        fields = ("site", "code", "type", "name", "calibration_due_at")
        extra_kwargs: dict[str, Any] = {"code": {"validators": []}}


class CalibrationSerializer(serializers.ModelSerializer[Calibration]):
    """A calibration of a tool."""

    tool = serializers.CharField(source="tool.code", read_only=True)

    class Meta:
        model = Calibration
        exclude = ("id",)
        read_only_fields = ("recorded_by",)


class ShiftSerializer(serializers.ModelSerializer[Shift]):
    """A shift, in the site's local time."""

    site = serializers.CharField(source="site.code", read_only=True)

    class Meta:
        model = Shift
        exclude = ("id",)
