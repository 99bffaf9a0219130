"""Racks read through their simulated BMCs: what is kept, compared and judged, and what cannot be read."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.burnin.models import BmcEndpoint
from mes.errors import RuleViolation
from mes.inventory import collecting, services
from mes.inventory.models import Collection, FoundComponent, FoundFirmware, FoundInventory, Verdict
from mes.inventory.services import (
    Facts,
    Maps,
    ask_collection,
    collect,
    collect_due,
    compare_firmware,
    compare_inventory,
    keep_inventory,
    verify_inventory,
)
from mes.ledger.models import Event
from mes.racks.models import InstalledFirmware
from mes.racks.services import install_unit, remove_unit
from mes.serials.models import Unit
from mes.testing.models import TestRun
from tests.builders import TESTER, make_route, make_unit, ordered_unit, placed
from tests.inventory.builders import VERSIONS, bmcs, collected, fill, make_baseline, make_map, make_rack

pytestmark = pytest.mark.django_db


def refusal(act: Callable[[], object]) -> RuleViolation:
    with pytest.raises(RuleViolation) as refused:
        act()
    return refused.value


def differences(rack: Unit) -> list[tuple[str, str]]:
    return [(row.place, row.state) for row in compare_inventory(unit=rack).differences]


def test_a_rack_as_scanned_has_no_difference_and_its_verdict_opens_the_gate() -> None:
    make_map()
    rack, trays = make_rack(2, baseline=make_baseline())
    with bmcs(rack):
        collection = collected(rack)
    assert (collection.state, collection.units_read, collection.errors) == ("complete", 2, {})
    assert differences(rack) == []
    states = [str(row.state) for row in compare_inventory(unit=rack).rows]
    # Each tray: itself, 2 boards, 4 GPUs, 2 CPUs, BMC, HMC, 4 NICs, 2 DPUs, 1 M.2, 4 E1.S; not its TPM.
    assert (states.count("match"), states.count("not_told")) == (2 * 22, 2)
    verdict = verify_inventory(unit=rack, by=TESTER)
    run = verdict.test_run
    assert run.operation is not None
    assert (run.procedure, run.outcome, run.format, run.operation.sequence) == (
        "inventory",
        "PASS",
        "record",
        20,
    )
    assert FoundInventory.objects.filter(unit=trays[0], source="redfish", collection=collection).count() == 1
    assert Event.objects.filter(kind="unit.inventory_found").count() == 2


def test_each_fault_of_a_tray_is_found_and_named_once() -> None:
    make_map()
    rack, trays = make_rack(2, baseline=make_baseline())
    with bmcs(rack) as simulator:
        simulator.set_fault(trays[0].serial, "wrong_slot")
        simulator.set_fault(trays[1].serial, "changed_part")
        simulator.set_fault(trays[1].serial, "old_firmware")
        collected(rack)
    assert differences(rack) == [("C01", "wrong_slot"), ("C02/NIC3", "wrong_serial")]
    rows = compare_inventory(unit=rack).rows
    assert "It seems to be in C02" in rows[0].detail
    (behind,) = compare_firmware(unit=rack).mismatches
    assert (behind.place, behind.component, behind.state) == ("C02", "GPU 0", "behind")
    verdict = verify_inventory(unit=rack, by=TESTER)
    assert verdict.test_run.outcome == TestRun.Outcome.FAIL
    assert len(verdict.test_run.reasons) == len(verdict.rows) == 2


def test_what_cannot_be_read_is_an_error_and_never_a_pass() -> None:
    make_map()
    rack, trays = make_rack(3)
    with bmcs(rack) as simulator:
        simulator.set_fault(trays[0].serial, "vanish")
        BmcEndpoint.objects.filter(unit=trays[1]).delete()
        collection = collected(rack)
    assert (collection.state, collection.units_read, collection.units_asked) == ("failed", 1, 3)
    assert collection.errors[trays[0].serial].startswith("unreachable")
    assert collection.errors[trays[1].serial] == "no BMC address is known"
    refused = refusal(lambda: verify_inventory(unit=rack, by=TESTER))
    assert (refused.code, refused.facts["not_read"]) == ("inventory_not_collected", ["C01", "C02"])
    assert not Verdict.objects.exists()


def test_an_inventory_from_before_a_tray_was_installed_does_not_count() -> None:
    make_map()
    rack, (tray,) = make_rack(1)
    with bmcs(rack):
        collected(rack)
    slot = rack.part_revision.slots.get()
    remove_unit(parent=rack, slot=slot, reason="look", by=TESTER)
    install_unit(parent=rack, slot=slot, child=tray, by=TESTER)
    assert refusal(lambda: verify_inventory(unit=rack, by=TESTER)).code == "inventory_not_collected"


def test_a_part_swapped_without_a_scan_and_one_swapped_with_it() -> None:
    make_map()
    rack, (tray,) = make_rack(1)
    with bmcs(rack):
        collected(rack)
    old = placed(tray, "NIC0").child
    slot = tray.part_revision.slots.get(name="NIC0")
    remove_unit(parent=rack, slot=rack.part_revision.slots.get(), reason="swap", by=TESTER)
    remove_unit(parent=tray, slot=slot, reason="broken", by=TESTER)
    install_unit(parent=tray, slot=slot, child=fill(make_unit(old.part_revision, "NEW-NIC")), by=TESTER)
    install_unit(parent=rack, slot=rack.part_revision.slots.get(), child=tray, by=TESTER)
    with bmcs(rack):
        collected(rack)
    assert differences(rack) == []


def test_after_the_soak_the_rack_must_report_what_it_reported_before() -> None:
    make_map()
    rack, (tray,) = make_rack(1)
    with bmcs(rack) as simulator:
        collected(rack)

        def after() -> Verdict:
            return verify_inventory(unit=rack, procedure="post_soak", by=TESTER)

        assert refusal(after).code == "no_inventory_verdict"
        verify_inventory(unit=rack, by=TESTER)
        assert refusal(after).code == "inventory_not_collected"
        collected(rack)
        assert after().test_run.outcome == "PASS"
        simulator.set_fault(tray.serial, "changed_part")
        collected(rack)
        assert after().test_run.outcome == "FAIL"


def test_firmware_changes_are_recorded_with_before_and_after_and_repeat_what_rules_name() -> None:
    make_map()
    rack, (tray,) = make_rack(1)
    with bmcs(rack):
        collected(rack)
        first = Event.objects.filter(kind="unit.firmware_recorded").count()
        collected(rack)
    assert Event.objects.filter(kind="unit.firmware_recorded").count() == first == 8
    with bmcs(rack, versions={**VERSIONS, "BMC": "25.09-1"}):
        collected(rack)
    event = Event.objects.filter(kind="unit.firmware_recorded").latest("id")
    assert event.payload == {"component": "BMC", "version": "25.09-1", "before": "25.08-9"}
    rows = InstalledFirmware.objects.filter(unit=tray, component="BMC").order_by("pk")
    assert [(row.version, row.until is None) for row in rows] == [("25.08-9", False), ("25.09-1", True)]


def test_an_older_inventory_that_comes_late_changes_no_firmware() -> None:
    make_map()
    rack, (tray,) = make_rack(1)
    with bmcs(rack):
        collected(rack)
    late = Facts(
        source=FoundInventory.Source.TESTER,
        taken_at=timezone.now() - timedelta(hours=1),
        firmware=(services.Firmware("BMC", "1.0"),),
    )
    keep_inventory(unit=tray, facts=late, by=TESTER, maps=Maps())
    assert InstalledFirmware.objects.get(unit=tray, component="BMC", until=None).version == "25.08-9"


def test_one_collection_at_a_time_is_done_once() -> None:
    make_map()
    rack, _ = make_rack(1)
    with bmcs(rack):
        collection = ask_collection(unit=rack, by=TESTER)
        assert refusal(lambda: ask_collection(unit=rack, by=TESTER)).code == "collection_running"
        assert (collect_due(), collect(collection.pk), collect_due()) == (1, False, 0)
        ask_collection(unit=rack, by=TESTER)
    assert FoundInventory.objects.count() == 1


def test_a_collection_that_a_worker_left_behind_makes_room() -> None:
    make_map()
    rack, _ = make_rack(1)
    left = ask_collection(unit=rack, by=TESTER)
    collecting._claim(left.pk)
    Collection.objects.filter(pk=left.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    ask_collection(unit=rack, by=TESTER)
    left.refresh_from_db()
    assert left.state == "failed" and "No worker" in left.errors[rack.serial]
    assert not collecting._finish(left, read=1, errors={}, by=TESTER)


def test_what_has_no_bmc_is_not_collected() -> None:
    rack, _ = make_rack(1)
    assert refusal(lambda: ask_collection(unit=rack, by=TESTER)).code == "nothing_to_collect"
    assert refusal(lambda: verify_inventory(unit=rack, by=TESTER)).code == "inventory_not_collected"


def test_an_answer_that_cannot_be_kept_is_an_error_of_its_tray(monkeypatch: pytest.MonkeyPatch) -> None:
    make_map()
    rack, (tray,) = make_rack(1)

    def fail(**_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(collecting, "keep_inventory", fail)
    with bmcs(rack):
        collection = collected(rack)
    assert (collection.state, collection.errors) == ("failed", {tray.serial: "could not be kept: ValueError"})


def test_a_comparison_takes_the_same_queries_for_any_number_of_trays() -> None:
    make_map()
    counts = []
    for trays in (1, 4):
        rack, units = make_rack(trays, baseline=make_baseline())
        for unit in units:
            facts = Facts(source=FoundInventory.Source.TESTER, taken_at=timezone.now())
            keep_inventory(unit=unit, facts=facts, by=TESTER, maps=Maps())
        with CaptureQueriesContext(connection) as inventory:
            assert len(compare_inventory(unit=rack).trays) == trays
        with CaptureQueriesContext(connection) as firmware:
            assert len(compare_firmware(unit=rack).rows) == trays * 4
        counts.append((len(inventory), len(firmware)))
    assert counts[0] == counts[1] == (13, 12)


def test_a_tray_alone_is_compared_by_itself() -> None:
    make_map()
    rack, (tray, _) = make_rack(2)
    with bmcs(rack):
        collected(tray)
    comparison = compare_inventory(unit=tray)
    assert next(row.place for row in comparison.rows if row.state == "match") == "C01"
    assert comparison.differences == [] and len(comparison.trays) == 1
    loose = ordered_unit(tray.part_revision, make_route(tray.part_revision))
    assert compare_inventory(unit=loose).not_read


def test_what_was_found_is_never_changed() -> None:
    make_map()
    rack, _ = make_rack(1)
    with bmcs(rack):
        collected(rack)
    verify_inventory(unit=rack, by=TESTER)
    for model in (FoundInventory, FoundComponent, FoundFirmware, Verdict):
        row = model._default_manager.first()
        for act in (lambda row=row: row.save(), lambda row=row: row.delete()):
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                act()


def test_an_upload_of_a_part_without_bmc_from_before_it_was_installed_holds_nothing() -> None:
    make_map()
    rack, (tray,) = make_rack(1)
    board = placed(tray, "SC0").child
    facts = Facts(FoundInventory.Source.TESTER, timezone.now() - timedelta(days=1), {"serial": "OTHER"})
    keep_inventory(unit=board, facts=facts, by=TESTER, maps=Maps())
    with bmcs(rack):
        collected(rack)
    assert verify_inventory(unit=rack, by=TESTER).test_run.outcome == "PASS"
