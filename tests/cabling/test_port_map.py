"""The machine's own view: reports imported and polled, compared with the plan port by port."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.burnin.services import PortSeen, set_bmc
from mes.cabling import polling, tasks
from mes.cabling.models import CableConnection, CablingVerdict, Neighbour, NeighbourReport, PortPoll
from mes.racks.services import install_unit, remove_unit
from mes.serials.models import Identifier
from mes.simulators.bmc import SimulatorThread, running_simulator
from mes.simulators.bmc_identity import TrayIdentity
from mes.testing.models import TestRun
from mes.workorders.models import OperationRun
from tests.builders import TESTER, make_unit, placed
from tests.cabling.builders import Hall

pytestmark = pytest.mark.django_db
RIGHT = {
    "U08/NIC1": "LEAF-1/1",
    "U09/NIC1": "LEAF-1/2",
    "U08/BMC": "U41/1",
    "U09/BMC": "U41/2",
    "U08/NIC2": "LEAF-2/Eth1/1",
}


@pytest.fixture
def hall() -> Hall:
    return Hall()


def neighbour(end: str, sees: str = "", **more: Any) -> dict[str, Any]:
    device, _, port = end.partition("/")
    remote, _, remote_port = sees.partition("/")
    link = "up" if sees else "down"
    row = {"device": device, "port": port, "link": link, "remote_device": remote, "remote_port": remote_port}
    return {**row, **more}


def report(hall: Hall, sees: dict[str, str] | list[dict[str, Any]], at: datetime | None = None) -> Any:
    rows = [neighbour(*each) for each in sees.items()] if isinstance(sees, dict) else sees
    at = at or timezone.now()
    answer = hall.post("neighbours", source="lldp", taken_at=at.isoformat(), neighbours=rows)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def found(hall: Hall) -> dict[str, Any]:
    answer = hall.get("port-map")
    assert answer.status_code == 200, answer.json()
    return dict(answer.json())


def rows(hall: Hall, state: str) -> list[tuple[list[str], str]]:
    return [(row["cables"], row["detail"]) for row in found(hall)["rows"] if row["state"] == state]


def test_nothing_reported_is_unknown_and_no_pass(hall: Hall) -> None:
    assert found(hall)["counts"] == {
        **dict.fromkeys(("swapped", "missing", "unexpected", "matched"), 0),
        "unknown": 5,
    }
    verdict = hall.post("port-map/verify").json()
    assert verdict["outcome"] == "FAIL" and "N8: neither end was reported." in verdict["faults"]


def test_all_as_planned_passes(hall: Hall) -> None:
    report(hall, RIGHT)
    assert found(hall)["counts"]["matched"] == 5
    verdict = hall.post("port-map/verify").json()
    assert (verdict["outcome"], verdict["faults"]) == ("PASS", [])
    assert CablingVerdict.objects.get().test_run.operation.sequence == 30  # type: ignore[union-attr]


def test_a_swapped_pair_is_named_once(hall: Hall) -> None:
    report(hall, {**RIGHT, "U08/NIC1": "LEAF-1/2", "U09/NIC1": "LEAF-1/1"})
    counts = found(hall)["counts"]
    assert (counts["swapped"], counts["matched"], counts["missing"], counts["unexpected"]) == (1, 3, 0, 0)
    ((cables, detail),) = rows(hall, "swapped")
    assert cables == ["N8", "N9"]
    assert detail == "N8 and N9 are swapped: U08/NIC1 sees LEAF-1/2, U09/NIC1 sees LEAF-1/1"
    assert hall.post("port-map/verify").json()["faults"] == [f"{detail}."]


def test_the_far_end_tells_as_well(hall: Hall) -> None:
    report(hall, {there: here for here, there in RIGHT.items()})
    assert found(hall)["counts"]["matched"] == 5


def test_no_link_is_missing(hall: Hall) -> None:
    report(hall, {**RIGHT, "U08/NIC1": ""})
    assert rows(hall, "missing") == [(["N8"], "N8: no link at U08/NIC1")]


@pytest.mark.parametrize("far", ["up", "down"])
def test_who_was_seen_last_on_a_link_that_is_down_does_not_count(hall: Hall, far: str) -> None:
    down = [neighbour(end, sees, link="down") for end, sees in RIGHT.items() if end == "U08/NIC1"]
    others = [neighbour(*each) for each in RIGHT.items() if each[0] != "U08/NIC1"]
    report(hall, [*others, *down, neighbour("LEAF-1/1", "U08/NIC1", link=far)])
    ((cables, detail),) = rows(hall, "missing")
    assert cables == ["N8"] and detail.startswith("N8: no link at U08/NIC1")
    assert hall.post("port-map/verify").json()["outcome"] == "FAIL"


def test_a_link_nobody_planned_is_unexpected(hall: Hall) -> None:
    report(hall, {**RIGHT, "U08/NIC1": "LEAF-7/1", "U08/NIC7": "LEAF-7/7", "LEAF-1/44": "OTHER/1"})
    assert [cables for cables, _ in rows(hall, "missing")] == [["N8"]]
    assert sorted(detail for _, detail in rows(hall, "unexpected")) == [
        "U08/NIC1 sees LEAF-7/1; U08/NIC1 is planned to LEAF-1/1 (N8)",
        "U08/NIC7 sees LEAF-7/7, which nobody planned",
    ]


def test_half_a_swap_is_no_pair(hall: Hall) -> None:
    report(hall, {**RIGHT, "U08/NIC1": "LEAF-1/2", "U09/NIC1": ""})
    assert found(hall)["counts"]["swapped"] == 0
    assert [cables for cables, _ in rows(hall, "missing")] == [["N8"], ["N9"]]
    assert len(rows(hall, "unexpected")) == 1


def test_a_link_without_a_name_is_unknown_not_matched(hall: Hall) -> None:
    up = [neighbour("U08/NIC1", link="up"), neighbour("U09/NIC1", "LEAF-1")]
    report(hall, up)
    said = [detail for _, detail in rows(hall, "unknown")]
    assert "N8: the link is up, but nobody says to whom" in said
    assert "N9: U09/NIC1 sees LEAF-1, but not which port of it" in said


def test_devices_are_known_by_serial_mac_domain_and_their_own_port_names(hall: Hall) -> None:
    tray, switch = hall.tray_in("U08"), hall.tray_in("U41")
    Identifier.objects.create(unit=switch, kind="mac", value="02:00:00:00:00:41")
    report(
        hall,
        [
            neighbour(f"{tray.serial}/x", "leaf-1.hall.example/1", port="IO_Board_0_CX8_0/Port_0"),
            neighbour("U08/x", "02:00:00:00:00:41/1", port="BMC_0/eth0"),
            neighbour(f"{switch.serial.lower()}/2", "U09/BMC"),
        ],
    )
    assert sorted(cables[0] for cables, _ in rows(hall, "matched")) == ["B8", "B9", "N8"]


def test_what_was_seen_before_a_cable_or_tray_was_put_in_says_nothing(hall: Hall) -> None:
    report(hall, RIGHT)
    hall.connect("N8")
    slot = placed(hall.unit, "U09").slot
    remove_unit(parent=hall.unit, slot=slot, reason="bad", by=TESTER)
    install_unit(parent=hall.unit, slot=slot, child=make_unit(hall.tray), by=TESTER)
    assert sorted(cables[0] for cables, _ in rows(hall, "unknown")) == ["B9", "N8", "N9"]
    report(hall, RIGHT)
    assert found(hall)["counts"]["matched"] == 5


def test_the_newest_report_counts_and_the_same_again_is_confirmed(hall: Hall) -> None:
    first, second, third = (timezone.now() for _ in range(3))
    report(hall, {"U08/NIC1": "LEAF-1/1"}, second)
    report(hall, {"U08/NIC1": ""}, third)
    assert found(hall)["counts"]["missing"] == 1
    late = report(hall, {"U08/NIC1": "LEAF-1/1"}, first)
    assert late["is_current"] is False
    same = report(hall, {"U08/NIC1": ""}, third + timedelta(days=9))
    assert datetime.fromisoformat(same["confirmed_at"]) <= timezone.now()
    assert NeighbourReport.objects.count() == 3
    listed = hall.scanner.get("neighbour-reports/", is_current=True).json()["results"]
    assert [row["uid"] for row in listed] == [same["uid"]]


def test_two_reports_that_disagree_are_decided_by_the_newer(hall: Hall) -> None:
    report(hall, RIGHT)
    body = {"source": "redfish", "device": "U08", "taken_at": timezone.now().isoformat()}
    hall.post("neighbours", **body, neighbours=[neighbour("U08/NIC1", "LEAF-7/1")])
    assert [cables for cables, _ in rows(hall, "missing")] == [["N8"]]


def port_map_runs(hall: Hall) -> list[tuple[str, bool]]:
    """Return outcome and whether it is live of each test run of the port map, oldest first."""
    runs = TestRun.objects.filter(unit=hall.unit, procedure="port_map").order_by("pk")
    return [(run.outcome, run.superseded_at is None) for run in runs]


def pass_port_map(hall: Hall) -> None:
    report(hall, RIGHT)
    assert hall.post("port-map/verify").json()["outcome"] == "PASS"


def gate(hall: Hall) -> str:
    """Return how the gate stands that asks for the port map."""
    listed = hall.scanner.get(f"units/{hall.unit.uid}/gates/", operation=30).json()["gates"]
    return next(str(row["state"]) for row in listed if row["gate"] == "tests_passed")


DIFFERENT = {
    "swapped": {**RIGHT, "U08/NIC1": "LEAF-1/2", "U09/NIC1": "LEAF-1/1"},
    "missing": {**RIGHT, "U08/NIC1": ""},
    "unexpected": {**RIGHT, "U08/NIC7": "LEAF-7/7"},
}


@pytest.mark.parametrize("state", DIFFERENT)
def test_a_later_report_that_differs_takes_the_pass_back_once(hall: Hall, state: str) -> None:
    pass_port_map(hall)
    assert gate(hall) == "open"
    for _ in range(3):
        report(hall, DIFFERENT[state])
    assert port_map_runs(hall) == [("PASS", False), ("FAIL", True)]
    assert gate(hall) == "blocked"
    verdict = CablingVerdict.objects.latest("pk")
    verdict = CablingVerdict.objects.latest("pk")
    assert verdict.test_run.details["counts"][state] == 1
    assert verdict.faults[0].removesuffix(".") in TestRun.objects.earliest("pk").superseded_because
    report(hall, RIGHT)
    assert gate(hall) == "blocked"
    assert hall.post("port-map/verify").json()["outcome"] == "PASS"
    assert gate(hall) == "open"


@pytest.mark.parametrize("source", ["nvlink", "redfish"])
def test_whatever_the_source_a_difference_takes_the_pass_back(hall: Hall, source: str) -> None:
    pass_port_map(hall)
    body = {"source": source, "device": "U08", "taken_at": timezone.now().isoformat()}
    hall.post("neighbours", **body, neighbours=[neighbour("U08/NIC1")])
    assert port_map_runs(hall) == [("PASS", False), ("FAIL", True)]


def test_a_later_report_without_a_difference_leaves_the_pass(hall: Hall) -> None:
    pass_port_map(hall)
    report(hall, RIGHT)
    report(hall, {**RIGHT, "LEAF-1/44": "OTHER/1"})
    report(hall, {end: sees for end, sees in RIGHT.items() if end != "U08/NIC1"})
    report(hall, DIFFERENT["missing"], timezone.now() - timedelta(hours=1))
    assert rows(hall, "unknown") == [(["N8"], "N8: neither end was reported")]
    assert port_map_runs(hall) == [("PASS", True)]


def test_a_report_costs_the_same_however_many_ports_a_pass_is_taken_back_for() -> None:
    counts = []
    for many in (3, 40):
        cables: list[Any] = [(f"N{n}", f"U08/P{n}", f"LEAF-1/{n}", "DAC", 2000, []) for n in range(many)]
        hall = Hall(cables=cables)
        report(hall, {a: b for _, a, b, *_ in cables})
        assert hall.post("port-map/verify").json()["outcome"] == "PASS"
        with CaptureQueriesContext(connection) as queries:
            report(hall, {a: "" for _, a, *_ in cables})
        assert port_map_runs(hall)[-1] == ("FAIL", True)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_report_names_its_devices(hall: Hall) -> None:
    bad = [{"port": "NIC1", "link": "up"}]
    answer = hall.post("neighbours", source="lldp", taken_at=timezone.now().isoformat(), neighbours=bad)
    assert answer.status_code == 400


def test_the_comparison_costs_the_same_however_many_ports() -> None:
    counts = []
    for many in (3, 40):
        cables: list[Any] = [(f"N{n}", f"U08/P{n}", f"LEAF-1/{n}", "DAC", 2000, []) for n in range(many)]
        hall = Hall(cables=cables)
        report(hall, {a: b for _, a, b, *_ in cables})
        found(hall)
        with CaptureQueriesContext(connection) as queries:
            assert found(hall)["counts"]["matched"] == many
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 9


@pytest.fixture
def simulator(hall: Hall) -> Iterator[SimulatorThread]:
    """Serve both trays, cabled as planned; the switch is known by its serial."""
    oob = hall.tray_in("U41").serial
    u08 = {
        "IO_Board_0_CX8_0/Port_0": {"device": "LEAF-1", "port": "1"},
        "IO_Board_0_CX8_1/Port_0": {"device": "LEAF-2", "port": "Eth1/1"},
        "BMC_0/eth0": {"device": oob, "port": "1"},
    }
    u09 = {
        "IO_Board_0_CX8_0/Port_0": {"device": "LEAF-1", "port": "2"},
        "BMC_0/eth0": {"device": oob, "port": "2"},
    }
    trays = [
        TrayIdentity(hall.tray_in(slot).serial, neighbours=sees)
        for slot, sees in (("U08", u08), ("U09", u09))
    ]
    with running_simulator(trays) as running:
        for slot in ("U08", "U09"):
            tray = hall.tray_in(slot)
            set_bmc(
                unit=tray, url=running.url(tray.serial), username="factory", password="simulator", by=TESTER
            )
        yield running


def test_bmcs_are_polled_and_a_swap_is_found(hall: Hall, simulator: SimulatorThread) -> None:
    asked = hall.post("port-map/poll").json()
    assert asked["next_due_at"] is not None
    (due,) = polling.due_polls()
    assert polling.poll_ports(due)
    assert not polling.poll_ports(due)
    assert found(hall)["counts"]["matched"] == 5
    assert found(hall)["nvlinks"] == {"up": 144}
    assert set(NeighbourReport.objects.values_list("source", "device")) == {
        (source, device) for source in ("redfish", "nvlink") for device in ("U08", "U09")
    }
    first, second = (hall.tray_in(slot).serial for slot in ("U08", "U09"))
    port = "IO_Board_0_CX8_0/Port_0"
    simulator.swap_neighbours(first, port, second, port)
    assert hall.post("port-map/verify").json()["outcome"] == "PASS"
    for _ in range(2):
        polling.read_neighbours(unit=hall.unit)
    assert [cables for cables, _ in rows(hall, "swapped")] == [["N8", "N9"]]
    assert port_map_runs(hall) == [("PASS", False), ("FAIL", True)]
    simulator.set_fault(second, "vanish")
    assert list(polling.read_neighbours(unit=hall.unit)) == ["U09"]


def test_endless_names_of_one_bmc_lose_nothing_of_the_others(
    hall: Hall, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (hall.tray_in(slot).pk for slot in ("U08", "U09"))
    seen = PortSeen("BMC_0/eth0", "Ethernet", "up", None, "x" * 255 + "\0", "1\0")
    good = PortSeen("BMC_0/eth0", "Ethernet", "up", None, hall.tray_in("U41").serial, "2")
    monkeypatch.setattr(polling, "read_ports", lambda endpoints: {first: (seen,), second: (good,)})
    assert polling.read_neighbours(unit=hall.unit) == {}
    kept = Neighbour.objects.get(device="U08")
    assert (kept.remote_device, kept.remote_port) == ("x" * 200, "1")
    assert found(hall)["counts"]["matched"] == 1


def test_racks_in_test_are_polled_by_themselves(
    hall: Hall, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks.poll, "apply_async", lambda args, expires: sent.append(args[0]))
    tasks.dispatch()
    assert sent == []
    operation = hall.route.operations.get(sequence=30)
    run = OperationRun.objects.create(unit=hall.unit, operation=operation, attempt=1, state="running")
    tasks.dispatch()
    tasks.poll(sent[0])
    poll = PortPoll.objects.get()
    assert poll.polled_at and poll.next_due_at and poll.next_due_at > timezone.now() + timedelta(minutes=4)
    OperationRun.objects.filter(pk=run.pk).update(state="complete")
    PortPoll.objects.update(next_due_at=timezone.now())
    tasks.poll(poll.pk)
    poll.refresh_from_db()
    assert poll.next_due_at is None
    assert not CableConnection.objects.exists()
