"""Firmware against the baseline of the order, by component and vendor, and what a mismatch keeps back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mes.burnin.services import start_run
from mes.errors import RuleViolation
from mes.inventory.models import FoundInventory
from mes.inventory.services import (
    Facts,
    Firmware,
    Maps,
    compare_firmware,
    firmware_violation,
    keep_inventory,
    verify_firmware,
)
from mes.products.models import FirmwareBaseline, FirmwareVersion
from mes.racks.services import install_unit, record_firmware
from mes.serials.models import Unit
from mes.testing.services import Result
from mes.traceability.services import Question, find_affected
from mes.workorders.models import OperationRun, WorkOrder
from mes.workorders.services import change_firmware, report_test
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_site,
    make_unit,
    ordered_unit,
)
from tests.burnin.builders import make_profile
from tests.inventory.builders import VERSIONS, make_baseline, make_map, make_rack, upload

pytestmark = pytest.mark.django_db


def run_at(tray: Unit, versions: dict[str, str]) -> None:
    for component, version in versions.items():
        record_firmware(unit=tray, component=component, version=version, by=TESTER)


def states(unit: Unit) -> dict[str, str]:
    return {row.component: str(row.state) for row in compare_firmware(unit=unit).rows}


def refusal(act: Callable[[], object]) -> RuleViolation:
    with pytest.raises(RuleViolation) as refused:
        act()
    return refused.value


def test_each_component_stands_by_itself() -> None:
    rack, (tray,) = make_rack(1, baseline=make_baseline())
    run_at(tray, {"BMC": "25.08-9", "GPU 0": "97.10.4A.00.0C", "GPU 1": "97.10.4A.00.0B", "HMC": "25.09-A"})
    run_at(tray, {"SBIOS 0": "rc1", "FPGA 0": "1.44"})
    assert states(rack) == {
        "BMC": "at_baseline",
        "GPU 0": "at_baseline",
        "GPU 1": "behind",
        "HMC": "ahead",
        "SBIOS 0": "different",
        "FPGA 0": "unknown",
    }
    assert states(tray) == states(rack)
    assert [row.is_mismatch for row in compare_firmware(unit=rack).rows] == [True] * 3 + [False] * 3


def test_what_the_baseline_asks_for_and_nobody_told_is_a_mismatch() -> None:
    rack, (tray,) = make_rack(1, baseline=make_baseline())
    run_at(tray, {name: version for name, version in VERSIONS.items() if name != "HMC"})
    violation = firmware_violation(rack)
    assert violation is not None and violation.code == "firmware_not_at_baseline"
    assert violation.facts["components"] == ["C01 HMC: not told"]
    run_at(tray, {"HMC": VERSIONS["HMC"]})
    assert firmware_violation(rack) is None


def test_what_its_bmc_tells_no_more_is_not_told() -> None:
    rack, (tray,) = make_rack(1, baseline=make_baseline())
    make_map()
    told = (Firmware("HGX_FW_GPU_0", VERSIONS["GPU"]), Firmware("HGX_FW_GPU_1", VERSIONS["GPU"]))
    others = (
        Firmware("FW_BMC_0", VERSIONS["BMC"]),
        Firmware("HGX_FW_BMC_0", VERSIONS["HMC"]),
        Firmware("HGX_FW_CPU_0", VERSIONS["SBIOS"]),
    )
    start = timezone.now()

    def read(hours: int, *firmware: Firmware) -> None:
        at = start + timedelta(hours=hours)
        facts = Facts(source=FoundInventory.Source.REDFISH, taken_at=at, firmware=(*firmware, *others))
        keep_inventory(unit=tray, facts=facts, by=TESTER, maps=Maps())

    read(0, *told)
    assert firmware_violation(rack) is None
    read(1, told[0])
    read(2, told[0])
    silent = next(row for row in compare_firmware(unit=rack).mismatches)
    assert (silent.component, silent.state, silent.found) == ("GPU 1", "not_told", VERSIONS["GPU"])
    assert silent.detail.startswith("No longer told;")
    read(3, *told)
    assert firmware_violation(rack) is None


def test_without_a_baseline_nothing_was_promised() -> None:
    rack, (tray,) = make_rack(1)
    run_at(tray, {"BMC": "1.0"})
    assert states(rack) == {"BMC": "unknown"}
    assert firmware_violation(rack) is None
    assert refusal(lambda: verify_firmware(unit=rack, by=TESTER)).code == "no_firmware_baseline"


def test_the_verdict_is_a_test_run_and_a_change_undoes_it() -> None:
    rack, (tray,) = make_rack(1, baseline=make_baseline(), ask=repeat_firmware)
    run_at(tray, {**VERSIONS, "BMC": "25.07-1"})
    failed = verify_firmware(unit=rack, by=TESTER).test_run
    assert (failed.procedure, failed.outcome) == ("firmware", "FAIL")
    assert failed.reasons == ["C01 BMC: 25.07-1 is behind; the baseline is 25.08-9."]
    change_firmware(unit=tray, component="BMC", version="25.08-9", by=TESTER)
    passed = verify_firmware(unit=rack, by=TESTER).test_run
    assert passed.outcome == "PASS"
    change_firmware(unit=tray, component="BMC", version="25.09-1", by=TESTER)
    passed.refresh_from_db()
    assert passed.superseded_at is not None


def repeat_firmware(made: dict[int, Any]) -> None:
    route = made[30].route
    route.retest_rules.create(name="new firmware", trigger="firmware_change", slot_type="", repeats=[30])


def test_a_burn_in_waits_for_verified_firmware() -> None:
    rack, (tray,) = make_rack(1, baseline=make_baseline())
    profile = make_profile(rack.part_revision)

    def start() -> object:
        return start_run(unit=rack, profile=profile, by=TESTER)

    assert refusal(start).code == "firmware_not_verified"
    report_test(unit=rack, result=Result("firmware", "FAIL"), by=TESTER)
    assert "is FAIL" in refusal(start).detail
    run_at(tray, VERSIONS)
    verify_firmware(unit=rack, by=TESTER)
    assert refusal(start).code == "bmc_unknown"
    operation = rack.order_units.get().route.operations.get(sequence=30)
    report_test(unit=rack, result=Result("firmware", "FAIL"), by=TESTER)
    OperationRun.objects.create(unit=rack, operation=operation, state="complete", started_by="x")
    assert refusal(start).code == "bmc_unknown"


def shelves(*vendors: str, mixed: bool) -> tuple[Unit, list[Unit]]:
    """Return a rack with a power shelf of each vendor, ordered with a baseline that approves two vendors."""
    baseline = FirmwareBaseline.objects.create(name="power", mixed_vendors=mixed)
    for vendor, version in (("Delta", "0104"), ("LiteOn", "0101")):
        FirmwareVersion.objects.create(
            baseline=baseline, unit_kind="power_shelf", component="PSU", vendor=vendor, version=version
        )
    shelf = make_part("power_shelf", level=10)
    revision = make_assembly("rack", level=11, takes={f"P{n}": shelf for n in range(len(vendors))})
    rack = ordered_unit(revision, make_route(revision))
    WorkOrder.objects.update(firmware_baseline=baseline)
    units = [make_unit(shelf) for _ in vendors]
    for unit, slot in zip(units, revision.slots.all(), strict=True):
        install_unit(parent=rack, slot=slot, child=unit, by=TESTER)
    return rack, units


def test_versions_are_those_of_the_vendor() -> None:
    rack, (delta, liteon) = shelves("Delta", "LiteOn", mixed=True)
    upload(delta, firmware=[("PSU 0", "0104", "Delta"), ("PSU 1", "0103", "delta")])
    upload(liteon, firmware=[("PSU 0", "0101", "LiteOn"), ("PSU 1", "0101", "Acme"), ("PSU 2", "0101", "")])
    rows = {(row.place, row.component): row.state for row in compare_firmware(unit=rack).rows}
    assert rows == {
        ("P0", "PSU 0"): "at_baseline",
        ("P0", "PSU 1"): "behind",
        ("P1", "PSU 0"): "at_baseline",
        ("P1", "PSU 1"): "wrong_vendor",
        ("P1", "PSU 2"): "not_told",
    }


def test_vendors_are_not_mixed_where_the_baseline_says_so() -> None:
    rack, (delta, liteon) = shelves("Delta", "LiteOn", mixed=False)
    upload(delta, firmware=[("PSU 0", "0104", "Delta")])
    upload(liteon, firmware=[("PSU 0", "0104", "Delta")])
    assert states(rack) == {"PSU 0": "at_baseline"}
    upload(liteon, firmware=[("PSU 0", "0101", "LiteOn")])
    assert {row.state for row in compare_firmware(unit=rack).rows} == {"wrong_vendor"}


def test_a_containment_by_firmware_finds_numbered_components() -> None:
    _, (tray, other) = make_rack(2)
    run_at(tray, {"GPU 3": "97.1"})
    run_at(other, {"GPUX 3": "97.1"})
    question = Question(site=make_site(), firmware_component="gpu", firmware_version="97.1")
    assert [row.unit.serial for row in find_affected(question=question).units] == [tray.serial]
