"""What a terminal shows: where its device, person and unit stand, and what to do next."""

from dataclasses import dataclass

from django.db.models import Count, Sum

from mes.products.models import Operation, Slot
from mes.quality.models import Hold
from mes.serials.models import Unit
from mes.stations.models import Device, Tool
from mes.terminal.elevation import Drawing, Seat, State, draw, read_seats
from mes.terminal.step import Step, read_step
from mes.workorders.models import OperationRun, WorkSession
from mes.workorders.services import SIGN_ON, TAKE_UP, Position, next_step, places_to_fill, position_of

RUNNING = OperationRun.State.RUNNING


@dataclass(frozen=True, slots=True)
class Work:
    """The unit a device works on: its position on the route, the operation at hand, and its slots."""

    unit: Unit
    position: Position
    operation: Operation | None
    seats: list[Seat]
    chosen: Slot | None
    expected: Slot | None
    emptied: frozenset[int] = frozenset()
    asks: Step | None = None
    holds: tuple[Hold, ...] = ()

    @property
    def step(self) -> tuple[int, int]:
        """Return the number of the operation at hand, from 1, of how many."""
        done, total = self.position.steps
        return min(done + 1, total), total

    @property
    def to_fill(self) -> list[Seat]:
        """Return the slots that the operation at hand fills; in rework those that the rework emptied."""
        if self.position.rework is not None:
            return [seat for seat in self.seats if seat.slot.pk in self.emptied]
        sequence = self.operation.sequence if self.operation else None
        return [seat for seat in self.seats if seat.slot.filled_at == sequence]

    @property
    def filled(self) -> int:
        """Return how many of those hold something."""
        return sum(1 for seat in self.to_fill if seat.placed)

    @property
    def drawing(self) -> Drawing:
        """Return the elevation."""
        return draw(self.seats)

    @property
    def shown_states(self) -> list[State]:
        """Return the states a legend explains: wrong ones only where there are any."""
        wrong = [State.WRONG] if any(seat.state == State.WRONG for seat in self.seats) else []
        return [State.EMPTY, State.NEXT, State.INSTALLED, *wrong]


def read_session(device: Device) -> WorkSession | None:
    """Return what a device is working on, with its unit, or None before its first scan. One query."""
    sessions = WorkSession.objects.select_related("unit__part_revision__part", "slot")
    return sessions.filter(device=device).first()


def cursor_of(device: Device, session: WorkSession | None) -> str:
    """Return a short text that changes whenever the page would look different. One query, for the tools."""
    unit = session.unit if session else None
    slot = session.slot_id if session else None
    person = device.operator.version if device.operator else 0
    here = Tool.objects.filter(station=device.station).aggregate(count=Count("pk"), versions=Sum("version"))
    tools = f"{here['count']}.{here['versions'] or 0}"
    shown = f"{unit.pk if unit else 0}-{unit.version if unit else 0}-{slot or 0}"
    return f"{device.version}-{shown}-{person}-{tools}"


def read_work(device: Device, session: WorkSession | None) -> Work | None:
    """Return the unit being worked on; None while nobody is signed on, or no unit was scanned."""
    if session is None or session.unit is None or device.operator_id is None:
        return None
    position = position_of(session.unit)
    operation = position.at_hand(device.station.work_center)
    empty = _empty_slots(position, operation)
    expected = session.slot or next(iter(empty), None)
    seats = read_seats(session.unit, expected)
    emptied = frozenset(slot.pk for slot in empty) if position.rework else frozenset()
    asks = read_step(device, position, operation) if operation else None
    holds = _holds(session.unit)
    return Work(session.unit, position, operation, seats, session.slot, expected, emptied, asks, holds)


def _holds(unit: Unit) -> tuple[Hold, ...]:
    """Return what holds a unit, oldest first."""
    open_holds = Hold.objects.filter(unit=unit, released_at__isnull=True).order_by("pk")
    return tuple(open_holds.select_related("nonconformance", "containment")) if unit.held else ()


def _empty_slots(position: Position, operation: Operation | None) -> list[Slot]:
    """Return the slots that a running operation has left to fill, in order."""
    if operation is None or position.state_of(operation) != RUNNING:
        return []
    return [place.slot for place in places_to_fill(position, operation)]


def next_action(device: Device, work: Work | None) -> str:
    """Return what the person does now, in one line."""
    if device.operator_id is None:
        return SIGN_ON
    if work is None:
        return TAKE_UP
    if work.holds:
        return f"{work.unit.serial} is on hold. Put it on the hold shelf."
    return next_step(
        work.position,
        work.operation,
        empty=[seat.place for seat in work.to_fill if not seat.placed],
        chosen=work.chosen,
        work_center=device.station.work_center,
    )


def done_refused(work: Work | None) -> str:
    """Return why a step cannot be called done now, in a few words; empty if it can."""
    if work is None or work.asks is None:
        return "No step at hand"
    if work.holds:
        return "The unit is on hold"
    return "" if work.asks.is_running else f"Done at {work.asks.operation.work_center}"
