"""Results of stress tools over REST: post what a tool printed to a run, and list what was posted."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac
from django_filters.rest_framework import FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from mes.attachments.services import MAX_BYTES, require_size
from mes.burnin.models import BurnInRun, ToolResult
from mes.burnin.serializers_results import PostResultSerializer, ResultFileSerializer, ToolResultSerializer
from mes.burnin.services import post_result
from mes.ledger.services import Actor
from mes.rest import checked, perform
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor
from mes.testing.models import TestRun
from mes.testing.tools.reading import ToolOutput, UnreadableOutput, read_output


class BodyParser(BaseParser):
    """Takes the output of a tool as it comes, whatever its content type, up to the largest attachment."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Return the ``content``, one byte longer than is taken if there is more."""
        return {"content": stream.read(MAX_BYTES + 1)}


class ToolResultFilter(FilterSet):
    """Find results by slot, tool and outcome."""

    slot = django_filters.CharFilter(field_name="attempt__slot__name", lookup_expr="iexact")
    serial = django_filters.CharFilter(field_name="attempt__unit__serial")
    outcome = django_filters.ChoiceFilter(field_name="test_run__outcome", choices=TestRun.Outcome.choices)

    class Meta:
        model = ToolResult
        fields = ("tool", "name")


class RunResults(generics.ListAPIView[ToolResult]):
    """Results of the stress tools of one run."""

    queryset = ToolResult.objects.select_related("attempt__slot", "attempt__unit", "test_run", "output")
    serializer_class = ToolResultSerializer
    filterset_class = ToolResultFilter
    parser_classes = (MultiPartParser, BodyParser)

    def get_queryset(self) -> QuerySet[ToolResult]:
        """Return the results of the run, if it is at the caller's site."""
        return super().get_queryset().filter(attempt__run=self._run())

    def _run(self) -> BurnInRun:
        runs = of_site(BurnInRun.objects.all(), self.request.auth, through="unit__site")
        return get_object_or_404(runs.select_related("unit__site"), uid=self.kwargs["uid"])

    @extend_schema(
        parameters=[PostResultSerializer],
        request={"*/*": OpenApiTypes.BINARY, "multipart/form-data": ResultFileSerializer},
        responses={201: ToolResultSerializer},
    )
    def post(self, request: Request, uid: str) -> Response:
        """Post what a tool printed: as the body, or as the file of a multipart/form-data."""
        require_floor(request.auth, request.user, "burnin.add_toolresult")
        run, given = self._run(), checked(PostResultSerializer(data=request.query_params))
        unit = visible_unit(request.auth, given["unit"]) if "unit" in given else None
        content = _content(request)
        output = _read(content, given)

        def act(by: Actor) -> dict[str, Any]:
            if content:
                require_size(content)
            result = post_result(run=run, output=output, by=by, slot=given.get("slot", ""), unit=unit)
            return dict(ToolResultSerializer(self.queryset.get(pk=result.pk)).data)

        # A digest by which the output, and with it a secret in it, could be guessed is not kept.
        digest = salted_hmac("mes.burnin.views_results", content, algorithm="sha256").hexdigest()
        return perform(request, act, created=True, body={"output": digest})


def _content(request: Request) -> bytes:
    data: Any = request.data
    if file := request.FILES.get("file"):
        return bytes(file.read(MAX_BYTES + 1))
    content = data.get("content", b"")
    return content if isinstance(content, bytes) else b""


def _read(content: bytes, given: dict[str, Any]) -> ToolOutput | UnreadableOutput:
    """Read an output before anything is locked; what is too large is not looked at."""
    if len(content) > MAX_BYTES:
        return UnreadableOutput("it is too large")
    try:
        return read_output(given["tool"], content, exit_status=given.get("exit_status"))
    except UnreadableOutput as error:
        return error
