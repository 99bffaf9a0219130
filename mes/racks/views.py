"""What a received assembly arrived with, over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.racks.services import declare_contents
from mes.rest import perform
from mes.serials.services import visible_units
from mes.stations.services import require_floor, require_sign_on, site_of


class ContentSerializer(serializers.Serializer[Any]):
    """A unit in a slot."""

    slot = serializers.CharField(max_length=40)
    child = serializers.UUIDField(help_text="uid of a unit in stock.")


class ContentsSerializer(serializers.Serializer[Any]):
    """Everything a received assembly arrived with."""

    contents = ContentSerializer(many=True, allow_empty=False)


class Contents(APIView):
    """Record what a received assembly arrived with."""

    @extend_schema(request=ContentsSerializer, responses={201: ContentsSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Install the contents into their slots without an operation."""
        require_floor(request.auth, request.user, "racks.add_installation")
        units = visible_units(site_of(request.auth))
        unit = get_object_or_404(units, uid=uid)
        given = ContentsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        rows = given.validated_data["contents"]
        children = {child.uid: child for child in units.filter(uid__in=[row["child"] for row in rows])}
        if len(children) != len({row["child"] for row in rows}):
            raise serializers.ValidationError({"contents": ["Some of these units do not exist."]})

        def act(by: Actor) -> dict[str, Any]:
            require_sign_on(by)
            declare_contents(
                unit=unit, contents=[(row["slot"], children[row["child"]]) for row in rows], by=by
            )
            return {"contents": [{"slot": row["slot"], "child": str(row["child"])} for row in rows]}

        return perform(request, act, created=True)
