"""Loading: the dry run, loading twice, drafts, what is frozen, and the seed rack."""

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from mes.burnin.models import BurnInProfile, SeriesLimit
from mes.definitions.services import BadPack, Sign, compare_pack, load_pack
from mes.ledger.services import events_of
from mes.ledger.verification import verify_ledger
from mes.people.models import User
from mes.products.models import (
    BomLine,
    FirmwareBaseline,
    FirmwareVersion,
    Gate,
    Limit,
    Operation,
    Part,
    PartRevision,
    RetestRule,
    Route,
    Slot,
)
from mes.racks.services import install_unit
from mes.serials.models import Supplier, Unit
from mes.stations.models import Site, Station
from tests.definitions.packs import GOOD, changed, written

pytestmark = pytest.mark.django_db

NVL72 = Path(__file__).resolve().parents[2] / "fixtures" / "nvl72"
DRAFT = GOOD.replace("    release: true\n", "")


def command(path: Path, **options: object) -> str:
    """Run load_definitions and return what it printed."""
    out = StringIO()
    call_command("load_definitions", str(path), stdout=out, **options)
    return out.getvalue()


def rows(changes: object) -> list[str]:
    """Return the changed rows as they are printed."""
    assert isinstance(changes, list)
    return [str(change) for change in changes if change.sign != Sign.UNCHANGED]


def problems(path: Path) -> list[str]:
    """Return why a pack is refused, without the file's name."""
    with pytest.raises(BadPack) as refused:
        load_pack(path)
    return [str(problem).removeprefix(f"{path}:") for problem in refused.value.problems]


def test_a_dry_run_prints_the_rows_and_writes_nothing(tmp_path: Path) -> None:
    printed = command(written(tmp_path), dry_run=True)
    assert "+ part TRAY\n" in printed
    assert "+ revision RACK A (released)\n+ bom line RACK A TRAY\n+ slot RACK A U01\n" in printed
    assert "+ gate RACK 1 flow test_passed complete flow\n" in printed
    assert printed.endswith(
        "dry run: 24 added, 0 changed, 0 removed, 0 unchanged, 4 released; nothing was written\n"
    )
    assert not any(model.objects.exists() for model in (Site, Part, PartRevision, Route, BurnInProfile))


def test_a_load_prints_what_its_dry_run_printed(tmp_path: Path) -> None:
    path = written(tmp_path)
    dry, real = command(path, dry_run=True), command(path)
    assert real.splitlines()[:-1] == dry.splitlines()[:-1]
    assert real.splitlines()[-1] == "loaded: 24 added, 0 changed, 0 removed, 0 unchanged, 4 released"


def test_everything_is_stored_as_the_pack_says(tmp_path: Path) -> None:
    load_pack(written(tmp_path))
    slot = Slot.objects.get(revision__part__number="RACK", name="U02")
    assert (slot.type, slot.face, slot.position, slot.slot_number, slot.filled_at) == (
        "tray",
        "front",
        4,
        2,
        90,
    )
    assert [part.number for part in slot.accepts.all()] == ["TRAY"]
    assert Station.objects.get().line.site.code == "S1"
    assert Supplier.objects.get().name == "Demo supplier"
    assert Limit.objects.get().operation.code == "flow"
    assert RetestRule.objects.get().repeats == [90, 110]
    assert FirmwareVersion.objects.get().version == "1.0"
    assert SeriesLimit.objects.get().profile.part.number == "RACK"


def test_only_what_is_marked_is_released(tmp_path: Path) -> None:
    load_pack(written(tmp_path))
    assert PartRevision.objects.get(part__number="RACK").is_released
    assert not PartRevision.objects.get(part__number="TRAY").is_released
    assert Route.objects.get().is_released
    assert FirmwareBaseline.objects.get().is_released
    assert BurnInProfile.objects.get().is_released


def test_loading_twice_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    load_pack(path)
    released_at = Route.objects.get().released_at
    assert rows(load_pack(path)) == []
    assert command(path) == "loaded: 0 added, 0 changed, 0 removed, 24 unchanged, 0 released\n"
    assert Route.objects.get().released_at == released_at


def test_a_released_definition_stays_so_when_a_pack_no_longer_says_it(tmp_path: Path) -> None:
    load_pack(written(tmp_path))
    assert rows(load_pack(written(tmp_path, DRAFT))) == []
    assert Route.objects.get().is_released


def test_a_draft_is_replaced(tmp_path: Path) -> None:
    load_pack(written(tmp_path, DRAFT))
    text = changed("weight_kg: 900.5", "weight_kg: 901", DRAFT)
    text = changed("name: Tray,", "name: Compute tray,", text)
    text = changed("name: U02", "name: U03", text)
    text = changed("order: 1, accepts: [TRAY]", "order: 1, accepts: [CHIP, TRAY]", text)
    assert rows(load_pack(written(tmp_path, text))) == [
        "~ part TRAY: name 'Tray' -> 'Compute tray'",
        "~ revision RACK A: weight_kg 900.500 -> 901",
        "~ slot RACK A U01: accepts ['TRAY'] -> ['CHIP', 'TRAY']",
        "+ slot RACK A U03",
        "- slot RACK A U02",
    ]
    assert sorted(Slot.objects.values_list("name", "accepts__number")) == [
        ("U01", "CHIP"),
        ("U01", "TRAY"),
        ("U03", "TRAY"),
    ]
    assert rows(compare_pack(written(tmp_path, text))) == []


def test_a_draft_is_released_by_a_later_load(tmp_path: Path) -> None:
    load_pack(written(tmp_path, DRAFT))
    assert rows(load_pack(written(tmp_path))) == [
        "~ revision RACK A: release False -> True",
        "~ route RACK 1: release False -> True",
        "~ firmware baseline Baseline 1: release False -> True",
        "~ burn-in profile soak 1: release False -> True",
    ]
    assert Route.objects.get().is_released


def test_a_slot_in_use_is_not_left_out_of_a_draft(tmp_path: Path) -> None:
    load_pack(written(tmp_path, DRAFT))
    slot = Slot.objects.get(name="U02")
    rack, tray = (
        Unit.objects.create(
            site=Site.objects.get(),
            part_revision=PartRevision.objects.get(part__number=part),
            serial=part,
            level=level,
            state=Unit.State.IN_STOCK,
        )
        for part, level in (("RACK", 11), ("TRAY", 10))
    )
    install_unit(parent=rack, slot=slot, child=tray, by=User(username="x").actor())
    text = changed("name: U02", "name: U03", DRAFT)
    text = changed(", low: 0.5, high: 3}", ", low: 0.5, high: 4}", text)
    text = changed("name: tray changed", "name: tray swapped", text)
    assert problems(written(tmp_path, text)) == ["18: slot RACK A U02 is left out, but is in use"]
    assert rows(compare_pack(written(tmp_path, DRAFT))) == []


RELEASED_AND_CHANGED = {
    "head": ("weight_kg: 900.5", "weight_kg: 901", "20: revision RACK A is released; make a new revision"),
    "changed row": (
        "slot_number: 2,",
        "slot_number: 3,",
        "27: revision RACK A is released; make a new revision",
    ),
    "added row": (
        "code: flow\n        name: Flow\n        work_center: BUILD\n",
        "code: flow\n        name: Flow\n        work_center: BUILD\n"
        "      - {sequence: 120, code: more, name: More, work_center: BUILD}\n      - sequence: 110\n"
        "        code: flow2\n        name: Flow\n        work_center: BUILD\n",
        "45: route RACK 1 is released; make a new version",
    ),
    "removed row": (
        "    retest_rules:\n      - {name: tray changed, slot_type: tray, repeats: [90, 110]}\n",
        "",
        "30: route RACK 1 is released; make a new version (- retest rule RACK 1 tray changed removed tray)",
    ),
    "inner row": ("high: 3}", "high: 4}", "48: route RACK 1 is released; make a new version"),
    "baseline": ('"1.0"', '"1.1"', "55: firmware baseline Baseline 1 is released; make a new baseline"),
    "profile": ("high: 87}", "high: 90}", "66: burn-in profile soak 1 is released; make a new version"),
}


@pytest.mark.parametrize("case", RELEASED_AND_CHANGED)
def test_a_released_definition_is_not_changed_by_a_pack(case: str, tmp_path: Path) -> None:
    old, new, expected = RELEASED_AND_CHANGED[case]
    load_pack(written(tmp_path))
    found = problems(written(tmp_path, changed(old, new)))
    assert any(problem.startswith(expected) for problem in found), found
    assert rows(load_pack(written(tmp_path))) == []


def test_the_refusal_says_what_differs(tmp_path: Path) -> None:
    load_pack(written(tmp_path))
    assert problems(written(tmp_path, changed("slot_number: 2,", "slot_number: 3,"))) == [
        "27: revision RACK A is released; make a new revision (~ slot RACK A U02: slot_number 2 -> 3)"
    ]


def test_a_new_revision_follows_a_released_one(tmp_path: Path) -> None:
    load_pack(written(tmp_path))
    text = changed("weight_kg: 900.5", "weight_kg: 901")
    text = changed("  - part: RACK\n    revision: A", "  - part: RACK\n    revision: B", text)
    changes = rows(load_pack(written(tmp_path, text)))
    assert changes[0] == "+ revision RACK B (released)"
    assert PartRevision.objects.filter(part__number="RACK", released_at__isnull=False).count() == 2


FORBIDDEN: dict[str, Callable[[], object]] = {
    "save of a revision": lambda: PartRevision.objects.get(part__number="RACK").save(),
    "update of slots": lambda: Slot.objects.filter(name="U01").update(position=99),
    "update that takes the release back": lambda: Route.objects.update(released_at=None),
    "bulk update of limits": lambda: Limit.objects.bulk_update(
        [Limit(pk=Limit.objects.get().pk, high=99)], ["high"]
    ),
    "bulk create of a BOM line": lambda: BomLine.objects.bulk_create(
        [
            BomLine(
                parent=PartRevision.objects.get(part__number="RACK"),
                part=Part.objects.get(number="CHIP"),
                quantity=1,
            )
        ]
    ),
    "add to what a slot accepts": lambda: Slot.objects.get(name="U01").accepts.add(
        Part.objects.get(number="CHIP")
    ),
    "delete of a gate": lambda: Gate.objects.all().delete(),
    "delete of a baseline": lambda: FirmwareBaseline.objects.get().delete(),
    "raw delete of operations": lambda: run("DELETE FROM products_operation"),
    "raw delete of retest rules": lambda: run("DELETE FROM products_retestrule"),
    "raw delete of firmware versions": lambda: run("DELETE FROM products_firmwareversion"),
    "raw delete of series limits": lambda: run("DELETE FROM burnin_serieslimit"),
    "raw update of a profile": lambda: run("UPDATE burnin_burninprofile SET required_hours = 1"),
}


def run(sql: str) -> None:
    """Run SQL past the ORM."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize("case", FORBIDDEN)
def test_the_database_freezes_what_is_released(case: str, tmp_path: Path) -> None:
    load_pack(
        written(
            tmp_path,
            changed(
                "  - part: TRAY\n    revision: A\n", "  - part: TRAY\n    revision: A\n    release: true\n"
            ),
        )
    )
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        FORBIDDEN[case]()
    assert rows(compare_pack(written(tmp_path))) == []


def test_what_is_a_draft_is_not_frozen(tmp_path: Path) -> None:
    load_pack(written(tmp_path, DRAFT))
    Slot.objects.update(position=99)
    Operation.objects.all().delete()
    assert not Gate.objects.exists()


def test_a_load_is_recorded_in_the_history_of_the_person(tmp_path: Path) -> None:
    person = User.objects.create_user("demo-engineer")
    path = written(tmp_path)
    command(path, by="demo-engineer")
    event = list(events_of(person))[-1]
    assert (event.kind, event.actor) == ("definitions.loaded", "demo-engineer")
    assert event.payload["rows"] == {"added": 24}
    assert event.payload["released"][0] == "revision RACK A"
    assert len(event.payload["files"][str(path)]) == 64
    assert verify_ledger().intact


def test_neither_a_dry_run_nor_a_bad_pack_is_recorded(tmp_path: Path) -> None:
    person = User.objects.create_user("demo-engineer")
    before = len(list(events_of(person)))
    command(written(tmp_path), dry_run=True, by="demo-engineer")
    with pytest.raises(BadPack):
        load_pack(written(tmp_path, changed("level: 2}", "level: two}")), by=person)
    assert len(list(events_of(person))) == before


def test_the_command_refuses_an_unknown_person(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no user nobody"):
        command(written(tmp_path), by="nobody")
    assert not Part.objects.exists()


def test_the_command_lists_the_problems_and_fails(tmp_path: Path) -> None:
    path, errors = written(tmp_path, changed("level: 2}", "level: two}")), StringIO()
    with pytest.raises(CommandError, match="1 problem; nothing was written"):
        call_command("load_definitions", str(path), stderr=errors)
    assert errors.getvalue() == f"{path}:12: level must be a whole number\n"


def units_in(part: str) -> int:
    """Return how many serials a complete unit of a part has, its own among them."""
    revision = PartRevision.objects.get(part__number=part)
    return 1 + sum(line.quantity * units_in(line.part.number) for line in revision.bom_lines.all())


def test_a_complete_seed_rack_has_543_serials() -> None:
    load_pack(NVL72)
    assert [units_in(part) for part in ("CT-1001", "SW-1001", "PS-1001", "OOB-1001")] == [23, 6, 8, 1]
    lines = dict(
        BomLine.objects.filter(parent__part__number="RK-1001").values_list("part__number", "quantity")
    )
    parts = {"CT-1001": 18, "SW-1001": 9, "PS-1001": 8, "OOB-1001": 2}
    mechanical = {number: quantity for number, quantity in lines.items() if number not in parts}
    assert lines == {**parts, **mechanical}
    assert 1 + sum(mechanical.values()) == 9
    assert all(units_in(number) == 1 for number in mechanical)
    assert units_in("RK-1001") == 543


def test_every_bom_quantity_of_the_seed_rack_equals_its_slots() -> None:
    load_pack(NVL72)
    for line in BomLine.objects.all():
        assert line.quantity == line.parent.slots.filter(accepts=line.part).count(), line


def test_the_trays_of_the_seed_rack_stand_and_report_as_published() -> None:
    load_pack(NVL72)
    numbered = Slot.objects.filter(revision__part__number="RK-1001", slot_number__isnull=False)
    trays = list(numbered.order_by("slot_number"))
    assert [slot.slot_number for slot in trays] == list(range(1, 28))
    assert [slot.tray_index for slot in trays] == [*range(8), *[None] * 9, *range(8, 18)]
    for number, slot in enumerate(trays, 1):
        assert (slot.name, slot.position, slot.height) == (f"U{number + 7:02}", 2 * (number + 7), 2)
        assert slot.type == ("switch_tray" if 9 <= number <= 17 else "compute_tray")
        assert (slot.face, slot.filled_at, slot.order) == ("front", 90, number + 16)


def test_the_shelves_of_the_seed_rack_stand_below_and_above_the_trays() -> None:
    load_pack(NVL72)
    slots = Slot.objects.filter(revision__part__number="RK-1001", type="power_shelf")
    assert [(slot.name, slot.position, slot.filled_at) for slot in slots] == [
        (f"U{unit:02}", 2 * unit, 60) for unit in (3, 4, 5, 6, 36, 37, 38, 39)
    ]


def test_work_on_the_seed_rack_finds_a_station() -> None:
    load_pack(NVL72)
    centers = set(Operation.objects.values_list("work_center", flat=True))
    assert centers <= set(Station.objects.values_list("work_center", flat=True))


def test_a_tray_swap_in_the_seed_rack_repeats_what_the_route_says() -> None:
    load_pack(NVL72)
    rule = RetestRule.objects.get(route__part__number="RK-1001", slot_type="compute_tray")
    assert rule.repeats == [90, 120, 130, 140, 150, 160]
    wet = RetestRule.objects.get(route__part__number="RK-1001", slot_type="manifold")
    assert {80, 110, *rule.repeats} <= set(wet.repeats)
    power = RetestRule.objects.get(route__part__number="RK-1001", slot_type="power_shelf")
    assert {60, *rule.repeats} <= set(power.repeats)


def test_firmware_of_the_seed_racks_is_kept_letter_by_letter() -> None:
    load_pack(NVL72)
    versions = FirmwareVersion.objects.values_list("baseline__name", "unit_kind", "component", "version")
    found = {row[:3]: row[3] for row in versions}
    assert len(found) == 34
    assert found["GB200 1.3", "power_shelf", "PSU"] == "0104"
    assert found["GB200 1.3", "compute_tray", "HMC CPLD"] == "0.22"
    assert found["GB200 1.3", "switch_tray", "SBIOS"] == "0ACTV_00.01.022"
    assert found["GB300 1.0.1", "compute_tray", "GPU"] == "97.10.4A.00.0C"
    assert found["GB300 1.0.1", "compute_tray", "SMR"] == "1.60"


@pytest.mark.parametrize(("version", "needs"), [("1", (None, None)), ("2", (120, 150))])
def test_burn_in_profiles_judge_alike_and_only_the_demo_is_accelerated(
    version: str, needs: tuple[int | None, int | None]
) -> None:
    load_pack(NVL72)
    names = ("l11-72h", "demo-accelerated")
    real, demo = (BurnInProfile.objects.get(name=name, version=version) for name in names)
    assert [(each.power_kw, each.coolant_lpm) for each in (real, demo)] == [needs] * 2
    assert (real.required_hours, real.poll_seconds, real.time_scale) == (72, 10, 1)
    assert (demo.required_hours, demo.poll_seconds, demo.time_scale) == (72, 0.5, 14400)
    assert "demonstration only" in demo.assumption
    limits = [
        list(profile.limits.order_by("pk").values_list("pattern", "unit_kind", "low", "high", "action"))
        for profile in (real, demo)
    ]
    assert limits[0] == limits[1]
    assert ("HGX_GPU_?_TEMP_1", "compute_tray", 0.0, None, "fail_tray") in limits[0]
    assert ("Chassis_0_LeakDetector_*", "compute_tray", 1.3, 2.0, "stop_rack") in limits[0]


def test_the_latest_burn_in_profiles_judge_rates_spreads_and_missing_values() -> None:
    load_pack(NVL72)
    names = ("l11-72h", "demo-accelerated")
    columns = ("group", "unit_kind", "kind", "basis", "missing", "missing_polls", "action")
    real, demo = (
        list(SeriesLimit.objects.filter(profile__name=name, profile__version="3").values_list(*columns))
        for name in names
    )
    assert real == demo
    assert ("gpu temperature rate", "compute_tray", "rate", None, None, None, "fail_tray") in real
    assert ("gpu temperature spread", "compute_tray", "spread", None, None, None, "fail_tray") in real
    assert ("gpu headroom", "compute_tray", None, "headroom", None, None, "fail_tray") in real
    assert ("leak detector", "switch_tray", None, None, "fail", 6, "stop_rack") in real
    sampled = SeriesLimit.objects.filter(profile__version="3", sample_seconds__isnull=False)
    assert {limit.assumption != "" for limit in sampled} == {True}


def test_burn_in_of_the_seed_rack_is_what_its_route_asks_for() -> None:
    load_pack(NVL72)
    asked = set(Gate.objects.filter(operation__sequence=150).values_list("procedure", flat=True))
    assert set(BurnInProfile.objects.values_list("procedure", flat=True)) == asked == {"l11_burn_in"}


def test_serial_prefixes_and_codes_of_the_seed_rack_are_stable() -> None:
    load_pack(NVL72)
    prefixes = dict(Part.objects.exclude(serial_prefix="").values_list("number", "serial_prefix"))
    assert prefixes == {"RK-1001": "RACK", "CT-1001": "CTRAY", "SW-1001": "STRAY", "PS-1001": "SHELF"}
    codes = Station.objects.values_list("code", flat=True)
    assert all(re.fullmatch(r"ST-(REC|TRAY|SHELF|RACK)-\d\d", code) for code in codes)
