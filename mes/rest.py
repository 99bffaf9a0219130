"""The REST house rules: problem documents (RFC 9457), pages, and acts answered once."""

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as CoreValidationError
from django.http import Http404
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from rest_framework import filters, pagination, status
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from mes.errors import RuleViolation
from mes.ledger.models import Stream
from mes.ledger.services import Actor, Answer, advance, answer_once, canonical_json, locked, record

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


class OrderingFilter(filters.OrderingFilter):
    """Orders by the model's own columns."""

    def get_default_valid_fields(
        self, queryset: Any, view: Any, context: Any = None
    ) -> list[tuple[str, str]]:
        """Return what `?ordering=` may name."""
        return [(field.name, field.name) for field in queryset.model._meta.concrete_fields]


class CursorPagination(pagination.CursorPagination):
    """Pages by cursor, newest first unless `?ordering=` says otherwise."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        """Return one page; a cursor that is none of ours is not found."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, CoreValidationError) as error:
            raise NotFound("Invalid cursor.") from error


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
    text = canonical_json(data)
    return data if len(text) <= RECORDED_CHARACTERS else {"shortened": text[:RECORDED_CHARACTERS]}
