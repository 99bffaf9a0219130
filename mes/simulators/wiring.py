"""How the demo cables a rack: every planned cable, the mistakes that are refused, the checks, the verdict."""

from typing import Any

from mes.simulators.floor import FloorDevice
from mes.simulators.plan import Assembly, plan
from mes.simulators.story import Factory, Job, Proof

Row = dict[str, Any]


def cable_all(job: Job) -> None:
    """Connect and check every cable that is not done yet, then have the cabling judged."""
    factory, uid, scanner = job.factory, job.unit["uid"], job.tester
    rows = [row for row in _rows(scanner, uid) if row["state"] != "done"]
    parts: dict[str, Assembly] = {row["part"]: plan(row["part"]) for row in rows}
    if not factory.cables:
        rows = rows[_scan_first(factory, uid, rows, parts, scanner) :]
    for row in rows:
        if row["cable"]:
            check(scanner, uid, row)
        else:
            connect(scanner, uid, row, factory.cable(parts[row["part"]], row["label"]))
    verdict = scanner.post(f"units/{uid}/cables/verify/")
    done = sum(row["state"] == "done" for row in _rows(scanner, uid))
    factory.report(f"  {done} cables of {job.unit['serial']} connected and checked: {verdict['outcome']}")


def _rows(scanner: FloorDevice, uid: str) -> list[Row]:
    rows: list[Row] = scanner.get(f"units/{uid}/cables/")["rows"]
    return rows


def _scan_first(
    factory: Factory, uid: str, rows: list[Row], parts: dict[str, Assembly], scanner: FloorDevice
) -> int:
    """Cable the first two as people do, by scanning, with their mistakes; return how many are done."""
    first, second = rows[:2]
    cable = factory.cable(parts[first["part"]], first["label"])
    crossed = {"end_a": first["end_a"], "end_b": second["end_b"], "cable": cable}
    scanner.post(f"units/{uid}/cables/connect/", crossed, refused="cables_swapped")
    for label in (f"PORT:{first['end_a']}", f"PORT:{first['end_b']}", cable, "CMD:CHECK:SEAT"):
        scanner.scan(label)
    ends = {"end_a": second["end_a"], "end_b": second["end_b"]}
    scanner.post(f"units/{uid}/cables/connect/", {**ends, "cable": cable}, refused="cable_reused")
    connect(scanner, uid, second, factory.cable(parts[second["part"]], second["label"]))
    return 2


def connect(scanner: FloorDevice, uid: str, row: Row, cable: str) -> None:
    """Connect one cable and check it."""
    body = {"end_a": row["end_a"], "end_b": row["end_b"], "cable": cable, "label": row["label"]}
    scanner.post(f"units/{uid}/cables/connect/", {**body, "cut_length_mm": row["length_mm"]})
    check(scanner, uid, row)


def check(scanner: FloorDevice, uid: str, row: Row) -> None:
    """Do what the plan asks to be checked on a connected cable."""
    for kind in row["checks_asked"]:
        scanner.post(f"units/{uid}/cables/checks/", {"label": row["label"], "kind": kind})


def cables_of(scanner: FloorDevice, uid: str, device: str) -> list[Row]:
    """Return the cables that are connected to a device."""
    rows: list[Row] = scanner.get(f"units/{uid}/cables/?device={device}")["rows"]
    return [row for row in rows if row["cable"]]


def disconnect(scanner: FloorDevice, uid: str, rows: list[Row], reason: str) -> set[str]:
    """Take cables off; return what must be repeated for it."""
    repeat: set[str] = set()
    for row in rows:
        body = {"label": row["label"], "reason": reason}
        repeat |= set(scanner.post(f"units/{uid}/cables/disconnect/", body)["repeat"])
    return repeat


PROOFS: dict[str, Proof] = {"cabling": cable_all}
