"""The browser of the terminal's tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.terminal.floor import Floor

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Run Playwright for one module only: its event loop occupies the thread that later tests need."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Launch the machine's own Chromium; where it is absent, skip, or fail where CI asks for it."""
    if not CHROMIUM.exists():
        refuse = pytest.fail if os.environ.get("CI_REQUIRE_BROWSER") == "1" else pytest.skip
        refuse(f"{CHROMIUM} is not on this machine")
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def browser_context_args() -> dict[str, Any]:
    """Look at the pages at the size they are laid out for."""
    return {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture(scope="session", autouse=True)
def database_beside_the_browser() -> Iterator[None]:
    """Let the tests use the database although Playwright runs an event loop in their thread."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    yield
    patch.undo()


@pytest.fixture
def floor(db: None) -> Floor:
    """Return a rack of three trays on order, and a terminal."""
    return Floor()
