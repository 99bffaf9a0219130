"""Simulated scanners, testers and supervisors: they work through the REST API like real ones."""

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any

import httpx

REFUSED, IN_PROGRESS = 422, 409
TRIES = 5
Report = Callable[[str], None]


class UnexpectedAnswer(Exception):  # noqa: N818 - names what came back
    """The API answered something else than the story of the demo needs."""


class Refusals:
    """Counts refusals by code and tells of each, from several threads."""

    def __init__(self, report: Report) -> None:
        self.codes: Counter[str] = Counter()
        self._report, self._lock = report, Lock()

    def add(self, who: str, problem: dict[str, Any]) -> None:
        """Note one refusal."""
        with self._lock:
            self.codes[problem["code"]] += 1
            self._report(f"  refused at {who}: {problem['code']} - {problem['detail']} {problem['next']}")


class Caller:
    """Sends requests to the API; each write has an idempotency key of its own."""

    def __init__(self, url: str, name: str, refusals: Refusals) -> None:
        self.name, self.refusals = name, refusals
        self.client = httpx.Client(base_url=url, timeout=60)

    def call(self, method: str, path: str, body: Any = None, *, refused: str = "") -> dict[str, Any]:
        """Send one request; ``refused`` names the code it must be refused with, if it must."""
        return self._checked(self._send(method, path, json=body), path, refused)

    def post(self, path: str, body: Any = None, *, refused: str = "") -> dict[str, Any]:
        """Send one POST."""
        return self.call("POST", path, body or {}, refused=refused)

    def get(self, path: str) -> dict[str, Any]:
        """Send one GET."""
        return self.call("GET", path)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, again with the same key when the connection broke or it is still worked on."""
        headers = {**request.pop("headers", {}), "Idempotency-Key": str(uuid.uuid4())}
        for _ in range(TRIES):
            try:
                answer = self.client.request(method, f"/api/v1/{path}", headers=headers, **request)
                if answer.status_code != IN_PROGRESS:
                    return answer
                problem = answer.text[:300]
            except httpx.TransportError as error:
                problem = str(error)
            time.sleep(0.2)
        raise UnexpectedAnswer(f"{self.name} {path}: {TRIES} tries failed: {problem}")

    def _checked(self, answer: httpx.Response, path: str, refused: str) -> dict[str, Any]:
        if answer.status_code >= 500 or "json" not in answer.headers.get("content-type", ""):
            raise UnexpectedAnswer(f"{self.name} {path}: {answer.status_code} {answer.text[:300]}")
        body: dict[str, Any] = answer.json()
        if answer.status_code == REFUSED:
            self.refusals.add(self.name, body)
        code = body.get("code", "") if answer.is_error else ""
        if code != refused:
            raise UnexpectedAnswer(f"{self.name} {path}: {answer.status_code} {json.dumps(body)[:500]}")
        return body


class FloorDevice(Caller):
    """A scanner or tester with its token."""

    def __init__(self, url: str, name: str, token: str, refusals: Refusals) -> None:
        super().__init__(url, name, refusals)
        self.client.headers["Authorization"] = f"Bearer {token}"

    def scan(self, raw: str, *, refused: str = "") -> dict[str, Any]:
        """Scan a code."""
        return self.post("scans/", {"raw": raw}, refused=refused)

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """Keep a picture as an attachment."""
        files = {"file": (name, content, "image/png")}
        return self._checked(self._send("POST", "attachments/", files=files), "attachments/", "")

    def report_ocp(self, unit: str, procedure: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        """Report a test as OCP Test & Validation 2.0 JSON lines."""
        path = f"test-runs/ocp/?unit={unit}&procedure={procedure}"
        headers = {"Content-Type": "application/x-ndjson"}
        body = "\n".join(json.dumps(line) for line in lines)
        return self._checked(self._send("POST", path, content=body, headers=headers), path, "")


class Supervisor(Caller):
    """A person who signs in with user name and password, as a browser does."""

    def __init__(self, url: str, username: str, password: str, refusals: Refusals) -> None:
        super().__init__(url, username, refusals)
        page = self.client.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        if token is None:
            raise UnexpectedAnswer("the sign-in page has no form")
        form = {"username": username, "password": password, "csrfmiddlewaretoken": token[1]}
        answer = self.client.post("/admin/login/?next=/admin/", data=form)
        if not answer.is_redirect:
            raise UnexpectedAnswer(f"sign-in answered {answer.status_code}")
        self.client.headers["X-CSRFToken"] = self.client.cookies["csrftoken"]
