"""What the tests of traceability share."""

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.traceability.builders import Rack


@pytest.fixture(autouse=True)
def reports_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.REPORTS_DIR = tmp_path
    return tmp_path


@pytest.fixture
def rack(db: None) -> Rack:
    rack = Rack()
    rack.build()
    return rack
