"""Talking to one BMC: login, at most four connections, separate timeouts, and errors that hold no secret."""

import asyncio
import json
import re
import ssl
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from mes.burnin.redfish_http import Answer, Connections, RedfishError, shared_connections
from mes.burnin.redfish_reading import Body, TrayLayout

SESSIONS = "/redfish/v1/SessionService/Sessions"
LOGOUT_SECONDS = 2.0
NOT_OFFERED = (404, 405, 501)
PATH = re.compile(r"/redfish/[!-~]*")

T = TypeVar("T")


@dataclass(frozen=True)
class BmcAddress:
    """Where a BMC is (``https://host``) and how to log in. Raises ValueError for credentials in the URL."""

    url: str
    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("a BMC address is http(s)://host[:port], without credentials in it")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait: to connect, for an answer, and for an answer to what a BMC may take minutes over."""

    connect: float = 3.0
    read: float = 10.0
    slow: float = 180.0


@dataclass(slots=True)
class BmcMemory:
    """What is worth keeping about a BMC between polls: the session, and what discovery found.

    ``found`` holds an unfinished discovery, so that the next poll of a slow BMC goes on where this one ran
    out of time. This has a live token in it: keep it in the process, never store or log it.
    """

    token: str | None = field(default=None, repr=False)
    session_path: str | None = None
    sessions_offered: bool = True
    system: str | None = None
    layout: TrayLayout | None = None
    ports: tuple[str, ...] | None = None
    found: dict[str, Body] = field(default_factory=dict, repr=False)
    login: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)


class RedfishSession:
    """JSON requests to one BMC, as an async context manager.

    Logs in to a session on first use and again when it has expired; falls back to basic authentication where
    the BMC offers no sessions. With ``keep_session`` the session outlives this object, in ``memory``.
    """

    def __init__(
        self,
        address: BmcAddress,
        memory: BmcMemory,
        *,
        keep_session: bool,
        timeouts: Timeouts,
        verify: ssl.SSLContext | bool,
    ) -> None:
        self.memory = memory
        self.timeouts = timeouts
        self._address = address
        self._keep_session = keep_session
        self._verify = verify
        self._url = address.url.rstrip("/")
        self._basic = {"Authorization": aiohttp.encode_basic_auth(address.username, address.password)}

    async def __aenter__(self) -> Self:
        shared = shared_connections()
        self._connections, self._is_own = shared or Connections(), shared is None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        answers = error is None or (isinstance(error, RedfishError) and error.status is not None)
        try:
            if answers and not self._keep_session:
                await self._log_out()
        finally:
            if self._is_own:
                await self._connections.close()

    async def get(self, path: str, *, slow: bool = False) -> Body:
        """Return a resource; raises RedfishError. ``slow`` is for what a BMC may take minutes over."""
        response = await self._request(_Call("GET", path, slow=slow))
        try:
            body = _decode(response.body)
        except (ValueError, RecursionError):
            raise RedfishError("garbage", f"GET {path} is not JSON", response.status) from None
        if not isinstance(body, dict):
            raise RedfishError("garbage", f"GET {path} is not a JSON object", response.status)
        return body

    async def get_all(self, paths: Iterable[str]) -> list[Body]:
        """Return resources in order, asked for side by side; raises RedfishError."""
        return await gather_all(self.get(path) for path in paths)

    async def post(self, path: str, payload: Body, *, intent_key: str = "") -> None:
        """Carry out an action; raises RedfishError. The key also goes along as an Idempotency-Key header."""
        headers = {"Idempotency-Key": intent_key} if intent_key else {}
        await self._request(_Call("POST", path, payload, headers, slow=True))

    async def _request(self, call: "_Call") -> Answer:
        _refuse_foreign(call.path)
        token = await self._token()
        response = await self._send(call, token)
        if response.status == 401 and token is not None:
            response = await self._send(call, await self._token(expired=token))
        _refuse_failure(response, call)
        return response

    async def _token(self, expired: str | None = None) -> str | None:
        """Return the session token, logging in where there is none; None means basic authentication."""
        async with self.memory.login:
            if expired is not None and self.memory.token == expired:
                self.memory.token = None
            if self.memory.token is None and self.memory.sessions_offered:
                await self._log_in()
            return self.memory.token

    async def _log_in(self) -> None:
        payload = {"UserName": self._address.username, "Password": self._address.password}
        call = _Call("POST", SESSIONS, payload)
        response = await self._exchange(call)
        if response.status in NOT_OFFERED:
            self.memory.sessions_offered = False
            return
        _refuse_failure(response, call)
        if not (token := response.headers.get("X-Auth-Token")):
            raise RedfishError("garbage", "the login gave no token", response.status)
        self.memory.token = token
        self.memory.session_path = urlsplit(response.headers.get("Location", "")).path or None

    async def _log_out(self) -> None:
        # BMCs hold few sessions, but one that does not answer must not hold up the caller.
        token, path = self.memory.token, self.memory.session_path
        self.memory.token = None
        if token is None or path is None or not path.startswith(f"{SESSIONS}/"):
            return
        with suppress(RedfishError, TimeoutError):
            async with asyncio.timeout(LOGOUT_SECONDS):
                await self._send(_Call("DELETE", path), token)

    async def _send(self, call: "_Call", token: str | None) -> Answer:
        identified = self._basic if token is None else {"X-Auth-Token": token}
        return await self._exchange(replace(call, headers={**call.headers, **identified}))

    async def _exchange(self, call: "_Call") -> Answer:
        return await self._connections.exchange(
            call.method,
            f"{self._url}{call.path}",
            told=str(call),
            payload=call.payload,
            headers=call.headers,
            connect=self.timeouts.connect,
            read=self.timeouts.slow if call.slow else self.timeouts.read,
            verify=self._verify,
        )


@dataclass(frozen=True, slots=True)
class _Call:
    """A request; only method and path are ever told in errors, never headers or payload."""

    method: str
    path: str
    payload: Body | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    slow: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


async def gather_all(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """Return all results in order; when some fail, raise the first failure after the others have ended."""
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _decode(body: bytes) -> Any:
    """Return what JSON says; some BMCs write a bare NaN, which only the slower parser reads."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(body)


def _refuse_foreign(path: object) -> None:
    # Paths come out of answers: one that names another host would carry the token there.
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise RedfishError("garbage", "a link leads out of the Redfish tree")


def _refuse_failure(response: Answer, call: _Call) -> None:
    status = response.status
    if status in (401, 403):
        raise RedfishError("unauthorised", str(call), status)
    if not 200 <= status < 300:
        raise RedfishError("http_error", f"{call} answered {status}", status)
