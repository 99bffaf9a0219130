"""How devices and paired terminals prove who they are."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from mes.people.models import User
from mes.stations.models import Device
from mes.stations.services import find_by_token, find_paired, note_seen


class DeviceTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer prefix.secret` of a device."""

    def authenticate(self, request: Request) -> tuple[User | Device, Device] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        device = find_by_token(token.strip())
        if device is None:
            raise AuthenticationFailed("This token is unknown, expired or revoked.")
        note_seen(device)
        return device.caller, device

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class TerminalAuthentication(SessionAuthentication):
    """The session of a browser that was paired with a terminal device."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        device = find_paired(request._request.session)
        if device is None:
            return None
        self.enforce_csrf(request)
        note_seen(device)
        return device.caller, device


class DeviceTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the API's description names device tokens."""

    target_class = DeviceTokenAuthentication
    name = "deviceToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "prefix.secret"}


class TerminalScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the API's description names paired terminals."""

    target_class = TerminalAuthentication
    name = "terminalSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
