"""What a report concludes from what it holds: pure, from the content alone, in sentences."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Content = Mapping[str, Any]
Row = Mapping[str, Any]

COMPLETE, RESERVED, OPEN, NOT_INTACT = "complete", "complete_with_reservations", "open", "not_intact"
DONE = {"finished", "shipped"}
USABLE = {"in_stock", *DONE}
NAMED = 6


def summarize(content: Content) -> dict[str, Any]:
    """Return the counts and dates that the first page shows."""
    units, tests, holds = content["units"], content["tests"], content["holds"]
    live = _last_tests(tests)
    runs = content["operations"]
    countries = Counter(_country(unit) for unit in units)
    installed = sorted(unit["installed_at"] for unit in units if unit["installed_at"])
    return {
        "units": len(units),
        "empty_slots": len(content["empty_slots"]),
        "countries_of_origin": dict(sorted(countries.items())),
        "first_installed_at": installed[0] if installed else None,
        "last_installed_at": installed[-1] if installed else None,
        "operations_complete": sum(1 for run in runs if run["state"] == "complete" and _is_live(run)),
        "operations_skipped": sum(1 for run in runs if run["state"] == "skipped" and _is_live(run)),
        "operations_superseded": sum(1 for run in runs if not _is_live(run)),
        "operations_open": len(content["open_operations"]),
        "gate_releases": len(content["gate_releases"]),
        "gate_passes": sum(release["used"] for release in content["gate_releases"]),
        "test_runs": len(tests),
        "test_runs_superseded": sum(1 for run in tests if not _is_live(run)),
        "tests_standing": len(live),
        "tests_passed": sum(1 for run in live if run["outcome"] == "PASS"),
        "burn_in_runs": len(content["burn_in"]),
        "holds": len(holds),
        "holds_open": sum(1 for hold in holds if hold["released_at"] is None),
        "nonconformances": len(content["nonconformances"]),
        "nonconformances_open": len(_open_nonconformances(content)),
        "reworks": len(content["reworks"]),
        "replacements": len(content["replacements"]),
        "histories": len(content["ledger"]["histories"]),
        "events": content["ledger"]["events"],
        "ledger_intact": content["ledger"]["intact"],
    }


def judge(content: Content) -> dict[str, Any]:
    """Return the outcome, the sentence that says it, the open points and the reservations.

    Outcomes: ``complete``, ``complete_with_reservations``, ``open``, and ``not_intact`` when a history was
    altered, for then nothing else counts.
    """
    points = [
        *_ledger_points(content),
        *_state_points(content),
        *_hold_points(content),
        *_nonconformance_points(content),
        *_test_points(content),
        *_burn_in_points(content),
    ]
    reservations = [*_slot_reservations(content), *_time_reservations(content)]
    outcome = _outcome(content, points, reservations)
    return {
        "outcome": outcome,
        "sentence": _sentence(outcome, content, points, reservations),
        "open_points": points,
        "reservations": reservations,
    }


def _outcome(content: Content, points: list[str], reservations: list[str]) -> str:
    if not content["ledger"]["intact"]:
        return NOT_INTACT
    if points:
        return OPEN
    return RESERVED if reservations else COMPLETE


def _sentence(outcome: str, content: Content, points: list[str], reservations: list[str]) -> str:
    serial, summary = content["identification"]["serial"], content["summary"]
    if outcome == NOT_INTACT:
        return f"The ledger is NOT intact: records of {serial} were altered. Do not rely on this report."
    if outcome == OPEN:
        return f"{serial} has {count_of(len(points), 'open point')} and is not complete."
    parts = [
        f"{serial} is complete: {count_of(summary['units'], 'unit')}",
        f"{count_of(summary['tests_passed'], 'test')} passed",
        *_soaked(content),
        f"no open hold, and an intact history of {count_of(summary['events'], 'event')}",
    ]
    reserved = f" With {count_of(len(reservations), 'reservation')}." if reservations else ""
    return f"{', '.join(parts)}.{reserved}"


def _soaked(content: Content) -> Iterator[str]:
    for run in _last_burn_ins(content):
        how = "" if run["time_scale"] == 1 else " in time that was not real time"
        yield f"burn-in passed with {run['credited_hours']:g} of {run['required_hours']:g} h credited{how}"


def _ledger_points(content: Content) -> Iterator[str]:
    for history in content["ledger"]["histories"]:
        if history["faults"]:
            name = history["serial"] or history["of"]
            yield f"The history of {name} is not intact: {'; '.join(history['faults'][:NAMED])}."


def _state_points(content: Content) -> Iterator[str]:
    top, *inside = content["units"]
    if top["state"] not in DONE:
        waiting = in_short(content["open_operations"])
        yield f"{top['serial']} is {_plain(top['state'])}{f'; open: {waiting}' if waiting else ''}."
    for unit in inside:
        if unit["state"] not in USABLE:
            yield f"{_name(unit)} is {_plain(unit['state'])}."


def _hold_points(content: Content) -> Iterator[str]:
    for hold in content["holds"]:
        if hold["released_at"] is None:
            yield f"{_name(hold)} is on hold: {hold['reason']}"


def _open_nonconformances(content: Content) -> list[Row]:
    return [found for found in content["nonconformances"] if found["closed_at"] is None]


def _nonconformance_points(content: Content) -> Iterator[str]:
    for found in _open_nonconformances(content):
        state = "in rework" if found["state"] == "rework" else "open"
        yield f"{found['number']} of {_name(found)} is {state}: {found['symptom']}"


def _test_points(content: Content) -> Iterator[str]:
    for run in _last_tests(content["tests"]):
        if run["outcome"] != "PASS" and run["format"] != "burn_in":
            yield f"The last result of {run['procedure']} on {_name(run)} is {run['outcome']}."


def _burn_in_points(content: Content) -> Iterator[str]:
    for run in _last_burn_ins(content):
        if run["state"] != "passed":
            yield f"The last burn-in of {_name(run)} is {run['state']}."


def _slot_reservations(content: Content) -> Iterator[str]:
    empty = content["empty_slots"]
    if empty:
        yield f"{count_of(len(empty), 'slot')} without a recorded unit: {in_short(empty)}."


def _time_reservations(content: Content) -> Iterator[str]:
    for run in _last_burn_ins(content):
        if run["time_scale"] != 1:
            yield f"Burn-in of {_name(run)}: {run['time']}"


def _last_tests(tests: Iterable[Row]) -> list[Row]:
    """Return the latest run of each procedure on each unit, superseded ones left out."""
    last = {(run["path"], run["procedure"]): run for run in tests if _is_live(run)}
    return list(last.values())


def _last_burn_ins(content: Content) -> list[Row]:
    return list({run["path"]: run for run in content["burn_in"]}.values())


def _country(unit: Row) -> str:
    return str(unit["country_of_origin"] or ("made here" if unit["order"] else "unknown"))


def _is_live(row: Row) -> bool:
    return row["superseded_at"] is None


def _name(row: Row) -> str:
    return f"{row['serial']} in {row['path']}" if row["path"] else str(row["serial"])


def _plain(state: str) -> str:
    return state.replace("_", " ")


def in_short(names: list[str]) -> str:
    """Return names in one line, shortened after six."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def count_of(count: int, noun: str) -> str:
    """Return a count with its noun, e.g. ``1 test``, ``543 units``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
