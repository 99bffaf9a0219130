"""Coolants, coupling types and cooling plans come by packs, and are frozen once released."""

from pathlib import Path

import pytest
from django.db import DatabaseError, transaction

from mes.cooling.models import Coolant, CoolingPlan, CouplingType
from mes.definitions.services import BadPack, load_pack

pytestmark = pytest.mark.django_db
PACK = """
parts:
  - {number: CL-9, name: PG25, kind: coolant, level: 1, tracking: lot}
coolants:
  - part: CL-9
    version: "1"
    temperatures_cel: [20, 40]
    densities_kg_m3: [1023.7, 1014.3]
    specific_heats_kj_kg_k: [3.91, 3.96]
    source: test
    release: true
coupling_types:
  - {code: QD-9, version: "1", name: Blind mate, maximum_mates: 200, release: true}
cooling_plans:
  - {part: CL-9, version: "1", sensors: [Chassis_0_LeakDetector_0_ColdPlate], release: true}
"""


def load(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pack.yaml"
    file.write_text(text)
    load_pack(file)


def test_a_pack_is_loaded_and_frozen(tmp_path: Path) -> None:
    load(tmp_path, PACK)
    coolant = Coolant.objects.get()
    assert coolant.densities_kg_m3 == [1023.7, 1014.3]
    assert CouplingType.objects.get().maximum_mates == 200
    assert CoolingPlan.objects.get().sensors == ["Chassis_0_LeakDetector_0_ColdPlate"]
    for model in (Coolant, CouplingType, CoolingPlan):
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            model.objects.update(assumption="changed")


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("[1023.7, 1014.3]", "[1023.7]", "not of the same length"),
        ("[20, 40]", "[40, 20]", "must rise"),
        ("[3.91, 3.96]", "[3.91, 0]", "greater than 0"),
        ("maximum_mates: 200", "maximum_mates: 0", "maximum_mates must be greater than 0"),
    ],
)
def test_what_is_wrong_with_a_pack(tmp_path: Path, good: str, bad: str, said: str) -> None:
    with pytest.raises(BadPack) as refused:
        load(tmp_path, PACK.replace(good, bad))
    assert said in "\n".join(map(str, refused.value.problems))
