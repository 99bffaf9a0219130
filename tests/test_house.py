"""The house keeps its shape: complete migrations, layered imports, doors, foreign keys that point down."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.models import ForeignKey, ManyToManyField, OneToOneField

ROOT = Path(__file__).resolve().parents[1]
DOORS = {"models", "meter_models", "services"}
# They only read and answer.
READERS = {
    "serials.barcodes",
    "testing.ocp",
    "testing.tools",
    "ledger.verification",
    "ledger.serializers",
    "burnin.coolants",
}


def layers() -> dict[str, int]:
    """Return each app's height in the import contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = contracts[0]["layers"]
    heights = enumerate(reversed(rows))
    return {name: height for height, row in heights for name in re.split(r"\s*[|:]\s*", row)}


def modules() -> list[Path]:
    return [path for path in (ROOT / "mes").rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything of ours that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_other_apps_are_entered_by_their_doors() -> None:
    apps_of_ours = {path.name for path in (ROOT / "mes").iterdir() if (path / "models.py").exists()}
    trespasses = []
    for path in modules():
        own = path.relative_to(ROOT / "mes").parts[0]
        for name in imported(path):
            root, app, room, *_ = [*name.split("."), "", ""]
            if root != "mes" or app not in apps_of_ours or app == own:
                continue
            if room not in DOORS and f"{app}.{room}" not in READERS:
                trespasses.append(f"{path.relative_to(ROOT)} imports {name}")
    assert trespasses == []


def test_foreign_keys_point_down() -> None:
    heights = layers()
    wrong = []
    for model in apps.get_models():
        if not model.__module__.startswith("mes."):
            continue
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey | OneToOneField | ManyToManyField):
                target = field.related_model
                if isinstance(target, type) and target.__module__.startswith("mes."):
                    here, there = model._meta.app_label, target._meta.app_label
                    if here != there and heights[here] <= heights[there]:
                        wrong.append(f"{model.__name__}.{field.name}")
    assert wrong == []


def test_lock_is_hashed_complete_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|--index-url|--find-links", lock)
    pinned = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", lock, re.MULTILINE))
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[\[<>=]", item)[0] for item in asked} <= pinned
    assert lock.count("--hash=sha256:") > len(pinned)
