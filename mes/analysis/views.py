"""Yield over REST: a device sees its own site, people every site."""

from typing import TypeVar

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.analysis.serializers import (
    ParetoQuery,
    ParetoSerializer,
    RetestsSerializer,
    ScopeSerializer,
    YieldQuery,
    YieldSerializer,
)
from mes.analysis.services import By, Of, Scope, first_pass, most_repeated, pareto, rework, rolled
from mes.stations.services import require_floor, site_of

QueryT = TypeVar("QueryT", bound=ScopeSerializer)


def asked(request: Request, query: type[QueryT]) -> tuple[QueryT, Scope]:
    """Return the checked question and its scope; bad input is 400, another site 404."""
    require_floor(request.auth, request.user, "testing.view_testrun")
    given = query(data=request.query_params)
    given.is_valid(raise_exception=True)
    own, named = site_of(request.auth), given.validated_data["site"]
    if own and named and named != own:
        raise Http404
    return given, given.scope(own)


class YieldView(APIView):
    """First-pass yield, rolled throughput yield, rework and scrap (docs/yield.md)."""

    answers_csv = True

    @extend_schema(parameters=[YieldQuery], responses={200: YieldSerializer})
    def get(self, request: Request) -> Response:
        """Return the yield of what the query names; as CSV, its rows."""
        given, scope = asked(request, YieldQuery)
        by = By(given.validated_data["by"])
        answer = {
            "by": by.value,
            "rows": [row.flat() for row in first_pass(scope, by)],
            "rolled": rolled(scope),
            "rework": rework(scope),
        }
        return Response(YieldSerializer(answer).data)


class ParetoView(APIView):
    """What fails, or is retested, most."""

    answers_csv = True

    @extend_schema(parameters=[ParetoQuery], responses={200: ParetoSerializer})
    def get(self, request: Request) -> Response:
        """Return the groups, largest first, with share and cumulative share."""
        given, scope = asked(request, ParetoQuery)
        of, by = Of(given.validated_data["of"]), given.group()
        bars = pareto(scope, of, by)
        total = sum(bar.count for bar in bars)
        answer = {"of": of.value, "by": by.value, "total": total, "rows": [bar.flat() for bar in bars]}
        return Response(ParetoSerializer(answer).data)


class RetestsView(APIView):
    """Units that were tested until it worked."""

    answers_csv = True

    @extend_schema(parameters=[ScopeSerializer], responses={200: RetestsSerializer})
    def get(self, request: Request) -> Response:
        """Return the 50 units tested most often at one step."""
        _, scope = asked(request, ScopeSerializer)
        return Response(RetestsSerializer({"rows": most_repeated(scope)}).data)
