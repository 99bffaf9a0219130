"""The API describes itself, with nothing fetched from outside."""

import re

import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

pytestmark = pytest.mark.django_db


def test_schema_is_valid_openapi_and_raises_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(schema)
    assert schema["openapi"].startswith("3.1")
    assert {"/api/v1/scans/", "/api/v1/test-runs/ocp/", "/api/v1/burn-in-runs/", "/api/v1/reports/"} <= set(
        schema["paths"]
    )
    assert capsys.readouterr().err == ""


def test_docs_page_loads_only_our_own_files(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert client.get(path).status_code == 200, path
