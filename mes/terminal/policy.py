"""What a browser may load on the terminal's pages."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

View = Callable[..., HttpResponse]


def own_origin_only(view: View) -> View:
    """Let the pages of a view load from this server only, and never run inline scripts or styles."""

    @wraps(view)
    def secured(request: HttpRequest, **named: Any) -> HttpResponse:
        response = view(request, **named)
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    return secured
