"""Safety plans come by packs, are checked, and are frozen once released."""

from pathlib import Path

import pytest
from django.db import DatabaseError, transaction

from mes.definitions.services import BadPack, load_pack
from mes.electrical.models import SafetyPlan
from tests.builders import make_part

pytestmark = pytest.mark.django_db

PACK = """
safety_plans:
  - {part: %s, version: "1", may_stay: [%s], bond_points: [front door, frame], release: true}
"""


def write(folder: Path, number: str, kind: str) -> Path:
    pack = folder / "electrical.yaml"
    pack.write_text(PACK % (number, kind))
    return pack


def test_a_plan_is_loaded_once_and_the_database_keeps_it(tmp_path: Path) -> None:
    rack, _ = make_part("rack", level=11), make_part("busbar", level=3)
    pack = write(tmp_path, rack.part.number, "busbar")
    assert [change.sign for change in load_pack(pack)] == ["+"]
    assert [change.sign for change in load_pack(pack)] == ["="]
    plan = SafetyPlan.objects.get()
    assert (plan.may_stay, plan.bond_points, plan.hipot_circuits) == (["busbar"], ["front door", "frame"], [])
    for act in (plan.delete, lambda: SafetyPlan.objects.update(may_stay=["compute_tray"])):
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            act()


def test_a_kind_that_no_part_has_is_a_problem(tmp_path: Path) -> None:
    rack = make_part("rack", level=11)
    with pytest.raises(BadPack) as bad:
        load_pack(write(tmp_path, rack.part.number, "bus_bar"))
    assert [problem.reason for problem in bad.value.problems] == ["no part is of kind 'bus_bar'"]
