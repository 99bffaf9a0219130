"""The REST house rules: problem documents (RFC 9457), pages, and acts answered once."""

import json
import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as CoreValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import filters, pagination, serializers, status
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mes.errors import RuleViolation
from mes.exports import CHUNK, MOST_ROWS, chunked, csv_lines, csv_response
from mes.ledger.models import Stream
from mes.ledger.services import (
    Actor,
    Answer,
    advance,
    answer_once,
    canonical_json,
    locked,
    record,
    without_secrets,
)

PROBLEM_JSON = "application/problem+json"


class CleanJSONParser(JSONParser):
    """JSON that every database can keep: no NUL, no lone surrogates, and not nested without end."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the data; raises ParseError."""
        try:
            data = super().parse(stream, media_type, parser_context)
            text = json.dumps(data, ensure_ascii=False).encode().decode()
        except RecursionError as error:
            raise ParseError("The JSON is nested too deep.") from error
        except UnicodeEncodeError as error:
            raise ParseError("The JSON holds half a character.") from error
        if "\\u0000" in text:
            raise ParseError("The JSON holds a NUL character.")
        return data


PAGING = {"cursor", "limit", "ordering", "format"}


class FilterBackend(DjangoFilterBackend):
    """Filters lists by query parameters; one that a list does not know is bad input, never "all of them"."""

    def filter_queryset(self, request: HttpRequest, queryset: Any, view: Any) -> Any:
        """Return the rows asked for; raises ValidationError for unknown parameters."""
        filterset = self.get_filterset_class(view, queryset)
        known = PAGING | set(filterset.base_filters if filterset else ())
        is_list = not getattr(view, "detail", False)
        if is_list and (unknown := sorted(set(request.GET) - known)):
            names = ", ".join(sorted(known))
            raise ValidationError(
                {name: [f"This list has no such filter; it has {names}."] for name in unknown}
            )
        return super().filter_queryset(request, queryset, view)


class OrderingFilter(filters.OrderingFilter):
    """Orders by the model's own columns."""

    def get_default_valid_fields(
        self, queryset: Any, view: Any, context: Any = None
    ) -> list[tuple[str, str]]:
        """Return what `?ordering=` may name."""
        return [(field.name, field.name) for field in queryset.model._meta.concrete_fields]


class CsvRenderer(BaseRenderer):
    """Answers as a table for `?format=csv` or `Accept: text/csv`; refusals stay problem documents."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes | str:
        """Return the rows of an answer that is no page of a list; whole lists are streamed instead."""
        response = (renderer_context or {}).get("response")
        if response is not None and response.status_code >= status.HTTP_400_BAD_REQUEST:
            return JSONRenderer().render(data)
        rows = data.get("rows", [data]) if isinstance(data, dict) else data or []
        header = list(dict.fromkeys(name for row in rows for name in row))
        return "".join(csv_lines(header, ([row.get(name) for name in header] for row in rows)))


class CursorPagination(pagination.CursorPagination):
    """Pages by cursor, newest first unless `?ordering=` says otherwise; as CSV, all rows at once."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500
    exported: tuple[Any, QuerySet[Any]] | None = None

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        """Return one page; a cursor that is none of ours is not found."""
        if request.accepted_renderer.format == CsvRenderer.format:
            require_exportable(queryset, view)
            self.exported = view, queryset.order_by(*self.get_ordering(request, queryset, view))
            return []
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, CoreValidationError) as error:
            raise NotFound("Invalid cursor.") from error

    def get_paginated_response(self, data: Any) -> Any:
        """Return the page, or all rows as a CSV file."""
        return export_list(*self.exported) if self.exported else super().get_paginated_response(data)


def require_exportable(rows: QuerySet[Any], view: Any) -> None:
    """Refuse with ``too_many_rows`` what is too long for one file."""
    if rows[: MOST_ROWS + 1].count() <= MOST_ROWS:
        return
    fields = getattr(view, "filterset_fields", None) or view.filterset_class.get_filters()
    raise RuleViolation(
        "too_many_rows",
        f"This list has more than {MOST_ROWS:,} rows.",
        rule="a file has an end",
        next_step="Narrow it with filters, e.g. a time window, and fetch it in parts.",
        filters=sorted(fields),
    )


def export_list(view: Any, rows: QuerySet[Any]) -> StreamingHttpResponse:
    """Return all rows of a list as a CSV file: a column per field, fields of one nested row as its own."""
    columns = list(_columns(view.get_serializer()))

    def table() -> Iterator[list[Any]]:
        for chunk in chunked(rows.iterator(chunk_size=CHUNK)):
            for row in view.get_serializer(chunk, many=True).data:
                yield [_at(row, path) for path in columns]

    name = str(rows.model._meta.verbose_name_plural).replace(" ", "-")
    return csv_response(name, [".".join(path) for path in columns], table())


def _columns(serializer: Any) -> Iterator[tuple[str, ...]]:
    for name, field in serializer.fields.items():
        if field.write_only:
            continue
        if isinstance(field, serializers.Serializer):
            yield from ((name, *path) for path in _columns(field))
        else:
            yield (name,)


def _at(row: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        row = row.get(name) if row is not None else None
    return row


class AnyAccept(BaseContentNegotiation):
    """Answers with a file whatever the caller says it accepts; refusals stay problem documents."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the first parser."""
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer."""
        return renderers[0], renderers[0].media_type


class NumberField(serializers.FloatField):
    """A finite number; "nan", which is within any bounds, and "inf" are bad input."""

    def to_internal_value(self, data: Any) -> float:
        """Return the number."""
        try:
            number = float(super().to_internal_value(data))
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.fail("invalid")
        return number


class SignatureSerializer(serializers.Serializer[Any]):
    """Who signs: badge and PIN, or the password of the person whose browser session it is."""

    badge = serializers.CharField(required=False, max_length=60, help_text="As scanned.")
    pin = serializers.CharField(required=False, max_length=12, write_only=True)
    password = serializers.CharField(
        required=False, max_length=1024, write_only=True, trim_whitespace=False, help_text="In a browser."
    )


class WhySerializer(serializers.Serializer[Any]):
    """Why something is done."""

    reason = serializers.CharField(max_length=300)


def why_of(request: Request) -> str:
    """Return the reason given in a request; a missing one is bad input."""
    given = WhySerializer(data=request.data)
    given.is_valid(raise_exception=True)
    return str(given.validated_data["reason"])


class Performer(Protocol):
    """What can act: a device or a person. Both are streams, on which refused attempts are recorded."""

    def actor(self, operator: str = "") -> Actor:
        """Return who acts; ``operator`` is a badge named in the request."""
        ...


def problem(violation: RuleViolation) -> dict[str, Any]:
    """Return a refusal as an RFC 9457 problem document."""
    return {
        "type": f"urn:rackmes:problem:{violation.code}",
        "title": violation.code.replace("_", " ").capitalize(),
        "status": violation.status,
        "detail": violation.detail,
        "code": violation.code,
        "rule": violation.rule,
        "release": violation.release,
        "next": violation.next_step,
        **violation.facts,
    }


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception into a problem document; the exception handler of every API view."""
    if isinstance(error, RuleViolation):
        headers = {"Retry-After": "1"} if error.status == status.HTTP_409_CONFLICT else None
        return Response(problem(error), error.status, headers=headers, content_type=PROBLEM_JSON)
    if isinstance(error, Http404):
        return _plain_problem(404, "not_found", "There is no such thing at your site.")
    if isinstance(error, PermissionDenied):
        return _plain_problem(403, "permission_denied", str(error) or "You may not do this.")
    if isinstance(error, ValidationError):
        return _plain_problem(400, "invalid_input", "Some fields are wrong.", fields=error.detail)
    if isinstance(error, APIException):
        code = str(error.get_codes() if isinstance(error.get_codes(), str) else error.default_code)
        response = _plain_problem(error.status_code, code, str(error.detail))
        if header := getattr(error, "auth_header", None):
            response["WWW-Authenticate"] = header
        return response
    return None


def _plain_problem(code: int, name: str, detail: str, **more: Any) -> Response:
    body = {
        "type": f"urn:rackmes:problem:{name}",
        "title": name.replace("_", " ").capitalize(),
        "status": code,
        "detail": detail,
        "code": name,
        **more,
    }
    return Response(body, code, content_type=PROBLEM_JSON)


def perform(
    request: Request, act: Callable[[Actor], Any], *, created: bool = False, body: Any = None
) -> Response:
    """Run a shop-floor act once for this request and answer what it returns.

    Devices must send `Idempotency-Key`; a person's request without one gets a key of its own. A refusal is
    recorded on the stream of the device or person that tried. ``body`` stands for a request body that is not
    JSON, e.g. by its digest.
    """
    performer = _performer(request)
    asked = request.data if body is None else body
    actor = cast(Performer, performer).actor(operator=operator_of(request))
    actor = replace(actor, device_at=_device_time(request))

    def answer() -> Answer:
        return Answer(status.HTTP_201_CREATED if created else status.HTTP_200_OK, act(actor))

    def refuse(violation: RuleViolation) -> Answer:
        body = problem(violation)
        tried = {"request": request.path, "body": _recorded(asked), "refusal": body}
        record(advance(locked(performer), "act.refused", by=actor, payload=tried))
        return Answer(violation.status, body)

    result = answer_once(
        scope=performer.stream,
        key=_idempotency_key(request),
        request=[request.method, request.get_full_path(), asked],
        act=answer,
        refuse=refuse,
    )
    return as_response(result)


def as_response(answer: Answer) -> Response:
    """Return an answer, stored or fresh, as an HTTP response."""
    headers = {"Idempotent-Replayed": "true"} if answer.replayed else None
    refused = answer.status >= status.HTTP_400_BAD_REQUEST
    return Response(
        answer.body, answer.status, headers=headers, content_type=PROBLEM_JSON if refused else None
    )


def _performer(request: Request) -> Stream:
    performer = request.auth if isinstance(request.auth, Stream) else request.user
    if not isinstance(performer, Stream):
        raise PermissionDenied("Only a device or a person can do this.")
    return performer


def checked(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """Return the input that a serializer accepts, without who acts; anything else is bad input."""
    serializer.is_valid(raise_exception=True)
    return {name: value for name, value in serializer.validated_data.items() if name != "operator"}


def operator_of(request: Request) -> str:
    """Return the badge that the request names, if it names one."""
    return str(request.data.get("operator", ""))[:60] if isinstance(request.data, dict) else ""


def _device_time(request: Request) -> datetime | None:
    """Return the time of the device's own clock that came as ``at``, if it is one."""
    said = request.data.get("at") if isinstance(request.data, dict) else None
    try:
        at = parse_datetime(said) if isinstance(said, str) else None
        return at.astimezone(UTC) if at is not None and is_aware(at) else None
    except (ValueError, OverflowError):
        return None


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > 128:
        raise ValidationError({"Idempotency-Key": ["At most 128 characters."]})
    if not key and isinstance(request.auth, Stream):
        raise RuleViolation(
            "idempotency_key_required",
            "A device must send the header Idempotency-Key with every write.",
            rule="one answer per idempotency key",
            next_step="Send a new random key with each new write, and the same key when repeating one.",
            status=400,
        )
    return key or str(uuid.uuid4())


RECORDED_CHARACTERS = 4000


def _recorded(data: Any) -> Any:
    data = without_secrets(data)
    text = canonical_json(data)
    return data if len(text) <= RECORDED_CHARACTERS else {"shortened": text[:RECORDED_CHARACTERS]}
