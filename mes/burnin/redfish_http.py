"""HTTP to BMCs: few connections that are kept between polls, and failures told without any secret."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Literal, Self
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

MOST_CONNECTIONS = 4
# Longer than a poll interval, shorter than BMCs and firewalls keep what is idle.
KEPT_SECONDS = 60.0

Reason = Literal["unreachable", "timeout", "unauthorised", "garbage", "http_error"]


class RedfishError(Exception):
    """A BMC could not be read or told something. Neither ``reason`` nor ``detail`` ever holds credentials.

    ``status`` is the HTTP status where there was one.
    """

    def __init__(self, reason: Reason, detail: str = "", status: int | None = None) -> None:
        super().__init__(reason, detail, status)
        self.reason: Reason = reason
        self.detail = detail
        self.status = status

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class Answer:
    """What a BMC answered, headers by name in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """The connections of one event loop, at most ``most`` to each BMC at any time; use it only in that loop.

    A request waits for a free connection as long as its caller lets it. What is idle for a minute is closed.
    """

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=most, keepalive_timeout=KEPT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "OData-Version": "4.0"},
            # A proxy named in the environment would get to see the credentials.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        told: str,
        payload: dict[str, Any] | None,
        headers: Mapping[str, str],
        connect: float,
        read: float,
        verify: ssl.SSLContext | bool,
    ) -> Answer:
        """Send one request and return the answer; no redirect is followed.

        ``connect`` and ``read`` are seconds, ``told`` is what a RedfishError says was asked.
        """
        request = self._http.request(
            method,
            URL(url, encoded=True),
            json=payload,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read),
            ssl=_default_tls() if verify is True else verify,
            allow_redirects=False,
        )
        try:
            async with request as response:
                return Answer(response.status, response.headers, await response.read())
        except aiohttp.ConnectionTimeoutError:
            raise RedfishError("unreachable", told) from None
        except TimeoutError:
            raise RedfishError("timeout", told) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            raise RedfishError("unreachable", told) from None
        except (aiohttp.ClientError, ValueError):
            raise RedfishError("garbage", told) from None


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = WeakKeyDictionary()


def share_connections(connections: Connections) -> None:
    """Let every client in the running event loop use these connections instead of its own."""
    _SHARED[asyncio.get_running_loop()] = connections


def shared_connections() -> Connections | None:
    """Return the connections that clients in the running event loop share, None where each has its own."""
    return _SHARED.get(asyncio.get_running_loop())


@cache
def _default_tls() -> ssl.SSLContext:
    # Loading the trust store takes longer than a poll; all clients of a process share it.
    return ssl.create_default_context()
