"""What the settings are where the environment says nothing, and what it may say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_house import ROOT

PROBE = """
import json
from django.conf import settings
from django.db import connection
database = settings.DATABASES["default"]
print(json.dumps({
    "debug": settings.DEBUG,
    "engine": database["ENGINE"],
    "options": {k: str(v) for k, v in database["OPTIONS"].items()},
    "broker": settings.CELERY_BROKER_URL,
    "hosts": settings.ALLOWED_HOSTS,
    "secure": settings.SESSION_COOKIE_SECURE,
}))
"""


def settings_with(folder: Path, **environment: str) -> dict[str, Any]:
    """Return the settings a fresh process sees."""
    known = {"PATH": os.environ["PATH"], "SECRET_KEY": "x" * 50, "MES_DATA_DIR": str(folder)}
    run = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", PROBE],
        cwd=ROOT,
        env={**known, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(run.stdout))


def test_defaults_are_safe_and_need_no_server(tmp_path: Path) -> None:
    found = settings_with(tmp_path)
    assert (found["debug"], found["broker"]) == (False, "embedded://localhost")
    assert found["engine"] == "django.db.backends.sqlite3"
    assert found["options"]["transaction_mode"] == "IMMEDIATE"
    assert found["hosts"] == ["localhost", "127.0.0.1", "[::1]"]


def test_sqlite_runs_with_wal_full_sync_and_foreign_keys(tmp_path: Path) -> None:
    pragmas = ["journal_mode", "synchronous", "foreign_keys", "recursive_triggers"]
    probe = (
        "from django.db import connection\n"
        f"for pragma in {pragmas}:\n"
        "    print(connection.cursor().execute(f'PRAGMA {pragma}').fetchone()[0])\n"
    )
    run = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", probe],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SECRET_KEY": "x" * 50, "MES_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["wal", "2", "1", "1"]


@pytest.mark.parametrize(
    ("environment", "broker"),
    [
        ({"REDIS_URL": "redis://r:6379/1"}, "redis://r:6379/1"),
        ({"REDIS_URL": "redis://r:6379/1", "CELERY_BROKER_URL": "redis://c:6379/2"}, "redis://c:6379/2"),
    ],
)
def test_broker(tmp_path: Path, environment: dict[str, str], broker: str) -> None:
    assert settings_with(tmp_path, **environment)["broker"] == broker


def test_postgresql_has_a_pool(tmp_path: Path) -> None:
    found = settings_with(tmp_path, DATABASE_URL="postgresql://u@127.0.0.1:1/n", HTTPS_ONLY="1", DEBUG="1")
    assert found["engine"] == "django.db.backends.postgresql"
    assert "max_size" in found["options"]["pool"]
    assert (found["secure"], found["debug"]) == (True, True)


def test_without_a_secret_key_nothing_starts_but_the_demo(tmp_path: Path) -> None:
    bare = {"PATH": "", "MES_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "check"]
    refused = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "Set SECRET_KEY" in refused.stderr
    demo = {**bare, "MES_DEMO": "1"}
    subprocess.run(command, cwd=ROOT, env=demo, capture_output=True, check=True)
    assert len((tmp_path / "secret-key").read_text()) > 50
