"""How the demo's rack is powered on and what it then says of itself: positions, ports, firmware.

What is wrong was not known to anybody: the comparisons find it, people put it right, and the same comparisons
say that it is right.
"""

import time
from datetime import UTC, datetime
from typing import Any

from mes.products.models import FirmwareBaseline, FirmwareVersion, Operation
from mes.racks.services import AsBuilt
from mes.simulators.floor import FloorDevice, UnexpectedAnswer
from mes.simulators.machines import EXCHANGED, SHELF, Machines
from mes.simulators.plan import required_tests
from mes.simulators.story import Factory, Job, Proof
from mes.simulators.wiring import cable_all, cables_of, disconnect

WAIT_SECONDS = 120
Row = dict[str, Any]


def find_and_verify(job: Job) -> None:
    """Read the rack, put right what the comparisons find, and have its inventory judged."""
    machines = job.factory.power_on(job.unit)
    collect(job, job.unit["uid"])
    _tell_shelves(job, machines)
    job.factory.found += _put_trays_right(job, machines) + _put_cables_right(job, machines)
    _verify(job, "inventory-comparison")


def collect(job: Job, uid: str) -> None:
    """Have the BMCs of a unit, and of what is in it, read; wait for the worker."""
    collection = job.tester.post(f"units/{uid}/inventories/collect/", {})

    def ended() -> bool:
        row = job.tester.get(f"inventory-collections/{collection['uid']}/")
        collection.update(row)
        return bool(row["ended_at"])

    _wait(job.factory, ended)
    if collection["state"] != "complete":
        raise UnexpectedAnswer(f"the inventory was not collected: {collection['errors']}")


def _wait(factory: Factory, done: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the rack did not tell of itself in time")
        time.sleep(0.3)
        factory.watch()


def _verify(job: Job, comparison: str, *, wrong: bool = False, **body: str) -> Row:
    verdict = job.tester.post(f"units/{job.unit['uid']}/{comparison}/verify/", body)
    if (verdict["outcome"] == "PASS") is wrong:
        raise UnexpectedAnswer(f"{comparison} is {verdict['outcome']}: {verdict}")
    return verdict


def _put_trays_right(job: Job, machines: Machines) -> list[str]:
    """Let the inventory find the tray in the wrong slot; record the trays where they really are."""
    factory, unit = job.factory, job.unit
    rows = job.tester.get(f"units/{unit['uid']}/inventory-comparison/")["rows"]
    found = [row["detail"] for row in rows if row["is_difference"]]
    _tell(factory, "inventory", found)
    _verify(job, "inventory-comparison", wrong=True)
    install = job.part.filled_by(EXCHANGED[0])
    scanner = factory.device(install.work_center)
    serials = {slot: machines.serial_at(slot) for slot in EXCHANGED}
    cables = [row for slot in EXCHANGED for row in cables_of(scanner, unit["uid"], slot)]
    repeat = disconnect(scanner, unit["uid"], cables, "demo: the tray is taken out")
    for slot in EXCHANGED:
        body = {"slot": slot, "reason": "demo: found in the other slot by the inventory"}
        removed = scanner.post(f"units/{unit['uid']}/remove/", body)
        repeat |= {f"{row['sequence']} {row['name']}" for row in removed["repeat"]}
    factory.report(f"  {' and '.join(EXCHANGED)} put right; to be repeated: {', '.join(sorted(repeat))}")
    factory.take_up(unit, install.work_center, scanner)
    for slot, other in zip(EXCHANGED, reversed(EXCHANGED), strict=True):
        scanner.scan(f"SLOT:{slot}")
        scanner.scan(serials[other])
    scanner.scan("CMD:DONE")
    _cable_again(job)
    for serial in serials.values():
        collect(job, factory.uids[serial])
    return found


def _put_cables_right(job: Job, machines: Machines) -> list[str]:
    """Let the ports find the crossed cables; put each into its own port and cable again."""
    factory, unit = job.factory, job.unit
    rows = _port_rows(job, machines)
    swapped = [row for row in rows if row["state"] == "swapped"]
    found = [row["detail"] for row in rows if row["state"] != "matched"]
    _tell(factory, "port map", found)
    _verify(job, "port-map", wrong=True)
    labels = swapped[0]["cables"]
    scanner = factory.device(_cabling(job).work_center)
    rows = [{"label": label} for label in labels]
    repeat = disconnect(scanner, unit["uid"], rows, "demo: the port map says it is swapped")
    machines.uncross()
    factory.report(f"  {' and '.join(labels)} put right; to be repeated: {', '.join(sorted(repeat))}")
    _cable_again(job)
    return found


def _cabling(job: Job) -> Operation:
    return next(each for each in job.part.operations if "cabling" in required_tests(each))


def _cable_again(job: Job) -> None:
    """Repeat the cabling of what was taken off, then take up again what it interrupted."""
    cabling = _cabling(job)
    scanner = job.factory.device(cabling.work_center)
    job.factory.take_up(job.unit, cabling.work_center, scanner)
    cable_all(Job(job.factory, job.part, job.unit, cabling, scanner))
    scanner.scan("CMD:DONE")
    _resume(job)


def verify_ports(job: Job) -> None:
    """Read the ports again, and have them judged."""
    _port_rows(job, job.factory.power_on(job.unit))
    verdict = _verify(job, "port-map")
    job.factory.report(f"  port map of {job.unit['serial']}: {verdict['outcome']}")


def _port_rows(job: Job, machines: Machines) -> list[Row]:
    """Hand in what the management switches hear, have the BMCs asked, and return the port map."""
    uid, asked_at = job.unit["uid"], datetime.now(UTC).isoformat()
    for switch in machines.switches():
        body = {"source": "lldp", "taken_at": asked_at, "neighbours": machines.heard_by(switch)}
        job.tester.post(f"units/{uid}/neighbours/", {"device": switch, **body})
    job.tester.post(f"units/{uid}/port-map/poll/", {})
    rows: list[Row] = []

    def known() -> bool:
        rows[:] = job.tester.get(f"units/{uid}/port-map/")["rows"]
        return all(row["state"] != "unknown" for row in rows)

    _wait(job.factory, known)
    return rows


def bring_to_baseline(job: Job) -> None:
    """Let the firmware comparison find the component that is behind; update it and compare again."""
    factory, unit = job.factory, job.unit
    machines = factory.power_on(unit)
    rows = job.tester.get(f"units/{unit['uid']}/firmware-comparison/")["rows"]
    wrong = [row for row in rows if row["is_mismatch"]]
    found = [f"{row['place']} {row['component']}: {row['detail']}" for row in wrong]
    _tell(factory, "firmware", found)
    factory.found += found
    _verify(job, "firmware-comparison", wrong=True)
    for serial in {row["serial"] for row in wrong}:
        machines.fault(serial, "none")
        collect(job, factory.uids[serial])
    factory.report(f"  {', '.join(sorted({row['serial'] for row in wrong}))} updated to {machines.baseline}")
    _resume(job)
    _verify(job, "firmware-comparison")


def _tell_shelves(job: Job, machines: Machines) -> None:
    for shelf in machines.shelves():
        _tell_shelf(job.tester, shelf, machines.baseline)


def _tell_shelf(tester: FloorDevice, shelf: AsBuilt, baseline: str) -> None:
    """Hand in what a tester read of a power shelf: its PSUs and controller, with their firmware."""
    versions = FirmwareBaseline.objects.get(name=baseline).versions.filter(unit_kind=SHELF)
    parts = [
        {"kind": node.unit.part_revision.part.kind, "name": node.slot, "serial": node.unit.serial}
        for node in shelf.children
    ]
    body = {"serial": shelf.unit.serial, "components": parts, "firmware": _shelf_firmware(versions, parts)}
    tester.post(f"units/{shelf.unit.uid}/inventories/", body)


def _shelf_firmware(versions: Any, parts: list[dict[str, str]]) -> list[dict[str, str]]:
    by_component: dict[str, FirmwareVersion] = {row.component: row for row in versions}
    return [
        {"name": numbered(part["name"]), "version": row.version, "vendor": row.vendor}
        for part in parts
        if (row := by_component.get(part["kind"].upper()))
    ]


def numbered(slot: str) -> str:
    """Return the component in a slot as a baseline counts it: PSU1 is PSU 1."""
    name = slot.rstrip("0123456789")
    return f"{name} {slot.removeprefix(name)}".strip()


def compare_after_soak(job: Job) -> None:
    """Read the rack again: it must tell what it told before the soak."""
    collect(job, job.unit["uid"])
    _tell_shelves(job, job.factory.power_on(job.unit))
    _verify(job, "inventory-comparison", procedure="post_soak")


def _resume(job: Job) -> None:
    """Start the operation again; a call, for the same label scanned twice within seconds counts once."""
    job.tester.post(f"units/{job.unit['uid']}/operations/{job.operation.sequence}/start/")


def _tell(factory: Factory, by: str, found: list[str]) -> None:
    for detail in found:
        factory.report(f"  found by the {by}: {detail}")


PROOFS: dict[str, Proof] = {
    "inventory": find_and_verify,
    "port_map": verify_ports,
    "firmware": bring_to_baseline,
    "post_soak": compare_after_soak,
}
