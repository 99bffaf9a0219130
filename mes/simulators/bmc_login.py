"""Who may talk to a simulated BMC: basic authentication and Redfish sessions (DSP0266 clause 13)."""

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SESSION_SECONDS = 1800.0
MOST_SESSIONS = 64


@dataclass(slots=True)
class _Session:
    token: str
    last_used: float


class Login:
    """The accounts of one BMC: a single user, with up to 64 sessions that end after 30 idle minutes."""

    def __init__(self, username: str, password: str, clock: Callable[[], float]) -> None:
        self._credentials = (username, password)
        encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._basic = f"Basic {encoded}"
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request with these headers is authenticated; a used session stays open."""
        token = headers.get("x-auth-token")
        if token is None:
            return headers.get("authorization") == self._basic
        now = self._clock()
        for session in self._open_sessions(now).values():
            if session.token == token:
                session.last_used = now
                return True
        return False

    def open_session(self, username: object, password: object) -> tuple[str, str] | None:
        """Return the id and token of a new session, or None for wrong credentials or too many sessions."""
        now = self._clock()
        if (username, password) != self._credentials or len(self._open_sessions(now)) >= MOST_SESSIONS:
            return None
        session_id, token = secrets.token_hex(5), secrets.token_hex(16)
        self._sessions[session_id] = _Session(token, now)
        return session_id, token

    def close_session(self, session_id: str) -> bool:
        """End a session; False when there is none of that id."""
        return self._sessions.pop(session_id, None) is not None

    def session_ids(self) -> list[str]:
        """Return the ids of the open sessions."""
        return list(self._open_sessions(self._clock()))

    def _open_sessions(self, now: float) -> dict[str, _Session]:
        expired = [key for key, each in self._sessions.items() if now - each.last_used > SESSION_SECONDS]
        for key in expired:
            del self._sessions[key]
        return self._sessions
