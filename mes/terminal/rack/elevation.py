"""The elevation of a unit as a page: what differs from the design first, then the slots, then the picture."""

from django.http import HttpRequest, HttpResponse

from mes.products.services import Place
from mes.racks.services import budgets_of
from mes.serials.models import Unit
from mes.terminal.elevation import Seat, State, draw
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.finding import Found, find_in
from mes.terminal.rack.page import unit_response
from mes.workorders.services import (
    Comparison,
    SlotRow,
    SlotState,
    Tested,
    Verdict,
    compare_with_design,
)

LONGEST = 200  # characters of a code; what is longer is no label
NO_CODE = Found("")
SENTENCES = {
    Verdict.DIFFERENT: "differs from its design",
    Verdict.UNFINISHED: "is as designed so far, and not complete",
    Verdict.DEVIATING: "is as designed, with approved deviations",
    Verdict.AS_DESIGNED: "is as designed",
}
NOT_FILLED = {
    SlotState.WRONG: State.WRONG,
    SlotState.EXTRA: State.EXTRA,
    SlotState.MISSING: State.MISSING,
    SlotState.EXPECTED: State.EXPECTED,
}


@unit_page
def elevation(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show a unit against its design. `?find=` highlights what a code names, `?every=1` lists all depths."""
    compared = compare_with_design(unit=unit)
    code = request.GET.get("find", "").replace("\0", "").strip()[:LONGEST]
    found = find_in(compared, code) if code else NO_CODE
    seats = seats_of_design(compared, found)
    listed = [row for row in compared.rows if row.is_direct or "every" in request.GET]
    facts = {
        "compared": compared,
        "budgets": budgets_of(unit=unit),
        "sentence": SENTENCES[compared.verdict],
        "counts": [(SlotState(name), count) for name, count in compared.counts.items() if count],
        "deviations": compared.only(SlotState.DEVIATION),
        "found": found,
        "listed": [(row, found.marks(row)) for row in listed],
        "every": len(compared.rows) if len(listed) < len(compared.rows) else 0,
        "seats": seats,
        "drawing": draw(seats),
        "legend": [(seat.state, seat.word, seat.style) for seat in _one_of_each(seats)],
    }
    return unit_response(request, unit, "terminal/rack/elevation.html", **facts)


def seats_of_design(compared: Comparison, found: Found = NO_CODE) -> list[Seat]:
    """Return the slots of a compared unit as they are drawn: those that stand somewhere, in filling order."""
    direct = [(row, row.slot) for row in compared.rows if row.is_direct]
    return [
        Seat(
            row.place or Place(slot, frozenset(), "nothing"),
            row.placement,
            _drawn(row, compared),
            found.marks(row),
        )
        for row, slot in direct
        if slot is not None
    ]


def _one_of_each(seats: list[Seat]) -> list[Seat]:
    """Return a seat in each state that is drawn, in the order of the states."""
    first = {seat.state: seat for seat in reversed(seats)}
    return [first[state] for state in State if state in first]


def _drawn(row: SlotRow, compared: Comparison) -> State:
    """Return the state a slot is drawn in: the worst of its own and of what is inside."""
    if row.state in NOT_FILLED:
        return NOT_FILLED[row.state]
    inside = [each for each in compared.rows if each.path.startswith(f"{row.path}/")]
    return _filled(row, inside)


def _filled(row: SlotRow, inside: list[SlotRow]) -> State:
    if any(each.state in NOT_FILLED for each in inside):
        return State.INSIDE
    if row.held or any(each.held for each in inside):
        return State.HELD
    if row.tested == Tested.FAILED:
        return State.FAILED
    if SlotState.DEVIATION in {row.state, *(each.state for each in inside)}:
        return State.DEVIATION
    return State.TESTED if row.tested == Tested.PASSED else State.INSTALLED
