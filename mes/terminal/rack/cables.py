"""The cables of a unit as a page: differences first, then every cable with its checks, and what to cut."""

from django.http import HttpRequest, HttpResponse

from mes.cabling.models import CablingVerdict
from mes.cabling.services import (
    CableRow,
    CableState,
    PortMap,
    PortState,
    cable_list,
    count_states,
    cut_list,
    find_plan,
    port_map,
)
from mes.serials.models import Unit
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.page import unit_response

WORDS = {
    CableState.MISSING: "– not connected",
    CableState.LOOSE: "✕ loose",
    CableState.FAILED: "✕ check failed",
    CableState.UNCHECKED: "▶ to be checked",
    CableState.DONE: "✓ done",
}
VIEWS = {
    PortState.SWAPPED: "✕ swapped",
    PortState.MISSING: "✕ missing",
    PortState.UNEXPECTED: "✕ unexpected",
    PortState.UNKNOWN: "– unknown",
    PortState.MATCHED: "✓ matched",
}
LOOSE_OR_BAD = {CableState.LOOSE, CableState.FAILED}
DIFFERENCES = {PortState.SWAPPED, PortState.MISSING, PortState.UNEXPECTED}
UNKNOWN_SHOWN = 12


@unit_page
def cables(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show the cables of a unit against its plan, and what the machine itself sees."""
    plan = find_plan(unit)
    if plan is None:
        return unit_response(request, unit, "terminal/rack/cables.html", plan=None)
    rows = cable_list(unit=unit, plan=plan)
    seen = port_map(unit=unit)
    return unit_response(
        request,
        unit,
        "terminal/rack/cables.html",
        plan=plan.row,
        counts=_named(count_states(rows), WORDS),
        faults=[_cable(row) for row in rows if row.state in LOOSE_OR_BAD],
        cables=[_cable(row) for row in rows],
        view=_view(seen),
        cuts=cut_list(rows),
        verdicts=_verdicts(unit),
    )


def _named(counts: dict[str, int], words: dict[CableState, str]) -> list[tuple[str, int]]:
    return [(word, counts[state.value]) for state, word in words.items()]


def _cable(row: CableRow) -> dict[str, object]:
    return {"row": row, "word": WORDS[row.state], "alarm": row.state in LOOSE_OR_BAD}


def _view(seen: PortMap) -> dict[str, object]:
    """Return the machine's view: what differs, and of what nobody reported only how many and the first."""
    wrong = [row for row in seen.rows if row.state in DIFFERENCES]
    unknown = [row for row in seen.rows if row.state == PortState.UNKNOWN]
    return {
        "taken_at": seen.taken_at,
        "counts": [(VIEWS[state], seen.counts[state.value]) for state in PortState],
        "wrong": [(VIEWS[row.state], row) for row in wrong],
        "unknown": unknown[:UNKNOWN_SHOWN],
        "more": max(0, len(unknown) - UNKNOWN_SHOWN),
        "nvlinks": sorted(seen.nvlinks.items()),
    }


def _verdicts(unit: Unit) -> list[CablingVerdict]:
    """Return the latest verdict of each procedure. Two queries."""
    rows = CablingVerdict.objects.filter(unit=unit).select_related("test_run").order_by("-pk")
    found = (rows.filter(procedure=procedure).first() for procedure in CablingVerdict.Procedure)
    return [verdict for verdict in found if verdict]
