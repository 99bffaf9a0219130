"""A small HTTP/1.1 server for simulated devices: keep-alive, plain bodies, ways to misbehave on purpose."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, cast

HEADER_LIMIT = 32_768
BODY_LIMIT = 1_048_576


class BadRequest(ValueError):  # noqa: N818 - named after the status it becomes
    """The client sent something that is not a request this server reads; the text says what."""


class Outage(Enum):
    """What a handler returns instead of an answer: HANG never answers, RESET breaks the connection."""

    HANG = "hang"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: path without trailing slash, the query after its "?", header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object ({} for an empty body); raises BadRequest for anything else."""
        try:
            payload = json.loads(self.body or b"{}")
        except ValueError as error:
            raise BadRequest("the body is not JSON") from error
        if not isinstance(payload, dict):
            raise BadRequest("the body is not a JSON object")
        return payload


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; Content-Length and Content-Type are added when it is sent."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def render(self, *, close: bool) -> bytes:
        """Return the bytes on the wire."""
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            "Content-Type: application/json",
            "OData-Version: 4.0",
            f"Content-Length: {len(self.body)}",
            f"Connection: {'close' if close else 'keep-alive'}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


Handler = Callable[[Request], Response | Outage]


def json_response(payload: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return ``payload`` as a JSON answer."""
    return Response(status, json.dumps(payload, separators=(",", ":")).encode(), headers)


class HttpServer:
    """One listening TCP port on 127.0.0.1 whose requests all go to one handler.

    ``requests`` and ``connections`` count what was received and opened, ``peak_connections`` is the most
    connections ever open at once.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests = 0
        self.connections = 0
        self.peak_connections = 0
        self.port = 0
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def open_connections(self) -> int:
        """Return how many connections are open now."""
        return len(self._connections)

    async def start(self, port: int = 0) -> int:
        """Listen on ``port`` (0: any free one) and return the port; raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Stop listening and drop every open connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.transport.abort()
        await self._server.wait_closed()

    def opened(self, connection: "_Connection") -> None:
        """Count a new connection."""
        self._connections.add(connection)
        self.connections += 1
        self.peak_connections = max(self.peak_connections, len(self._connections))

    def closed(self, connection: "_Connection") -> None:
        """Forget a connection."""
        self._connections.discard(connection)


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.buffer = b""
        self.hung = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.closed(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        try:
            while not (self.hung or self.transport.is_closing()) and (request := self._take_request()):
                self.server.requests += 1
                self._send(self.server.handler(request), close=_wants_close(request))
        except BadRequest as error:
            self._send(json_response({"error": {"message": str(error)}}, 400), close=True)

    def _take_request(self) -> Request | None:
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if len(head) > HEADER_LIMIT:
            raise BadRequest("the header is too long")
        if not separator:
            return None
        method, target, headers = _parse_head(head)
        length = _body_length(headers)
        if len(rest) < length:
            return None
        self.buffer = rest[length:]
        path, _, query = target.partition("?")
        return Request(method, path.rstrip("/") or "/", headers, rest[:length], query)

    def _send(self, answer: Response | Outage, *, close: bool) -> None:
        if answer is Outage.HANG:
            self.hung = True
        elif answer is Outage.RESET:
            self._reset()
        else:
            self.transport.write(answer.render(close=close))
            if close:
                self.transport.close()

    def _reset(self) -> None:
        # Without lingering, closing sends RST instead of FIN: what a device that lost power looks like.
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    request_line, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _version = request_line.split(" ")
    except ValueError as error:
        raise BadRequest("the request line is malformed") from error
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return method, target, headers


def _body_length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequest("only bodies with a Content-Length are read")
    text = headers.get("content-length", "0")
    if not text.isdecimal() or int(text) > BODY_LIMIT:
        raise BadRequest("the Content-Length is not acceptable")
    return int(text)


def _wants_close(request: Request) -> bool:
    return request.headers.get("connection", "").lower() == "close"
