"""What is wrong with a unit: opened, which holds the unit at once, and closed by what the board decides."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.products.models import Gate, Operation, Slot
from mes.products.services import place_named
from mes.quality.holds import place_hold, release_hold
from mes.quality.models import Hold, Nonconformance
from mes.racks.models import Installation
from mes.racks.services import find_slot, units_inside
from mes.serials.models import Unit
from mes.serials.services import count_up, lock_units, require_present
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun

COUNTER, PREFIX, DIGITS = "nonconformance:", "NC-", 6
OPEN, CLOSED = Nonconformance.State.OPEN, Nonconformance.State.CLOSED
SUSPECT_COUNTERFEIT = "suspect_counterfeit"
LONGEST_SYMPTOM = 60


@transaction.atomic
def open_nonconformance(
    *,
    unit: Unit,
    symptom: str,
    source: Nonconformance.Source,
    by: Actor,
    description: str = "",
    location: str = "",
    operation: Operation | None = None,
    test_run: TestRun | None = None,
    pictures: Iterable[Attachment] = (),
) -> Nonconformance:
    """Say what is wrong with a unit, and hold it at once until the review board has decided.

    ``location`` is a path of slots below the unit, e.g. ``U08/SC1``; ``operation`` is where it was found and
    defaults to that of the test. Refuses with ``device_not_signed_on``, ``no_symptom``,
    ``slot_not_in_assembly``, ``test_not_failed``, ``wrong_site``, or ``unit_scrapped``, ``unit_shipped``,
    ``unit_returned`` for units that are gone.
    """
    if source != Nonconformance.Source.TEST:
        require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_present(unit)
    pictures = list(pictures)
    _require_of_site(unit, pictures)
    if test_run is not None:
        require_failed(unit, test_run)
    nonconformance = Nonconformance.objects.create(
        site_id=unit.site_id,
        number=_next_number(),
        unit=unit,
        source=source,
        symptom=_code(symptom),
        description=description,
        location=find_place(unit, location).path if location else "",
        operation=operation or (test_run.operation if test_run else None),
        test_run=test_run,
        opened_by=by.person,
        opened_station=by.station,
    )
    nonconformance.pictures.set(pictures)
    _record_opened(nonconformance, pictures, by)
    reason = f"{nonconformance.number}: {nonconformance.symptom}"
    place_hold(unit=unit, reason=reason, by=by, nonconformance=nonconformance)
    return nonconformance


def _record_opened(nonconformance: Nonconformance, pictures: list[Attachment], by: Actor) -> None:
    operation, test_run = nonconformance.operation, nonconformance.test_run
    payload = {
        "number": nonconformance.number,
        "unit": str(nonconformance.unit.uid),
        "symptom": nonconformance.symptom,
        "source": nonconformance.source,
        "location": nonconformance.location,
        "operation": operation.code if operation else "",
        "test_run": str(test_run.uid) if test_run else "",
        "pictures": [picture.sha256 for picture in pictures],
    }
    record(advance(nonconformance, "nonconformance.opened", by=by, payload=payload))


def open_for_failed_test(run: TestRun, by: Actor) -> Nonconformance | None:
    """Open a nonconformance for a failed test where a gate says so, unless one of it is open already."""
    gates = Gate.objects.filter(
        operation=run.operation_id, procedure=run.procedure, opens_nonconformance=True
    )
    if run.outcome != TestRun.Outcome.FAIL or run.operation_id is None or not gates.exists():
        return None
    symptom = _code(run.procedure)
    known = Nonconformance.objects.filter(unit=run.unit_id, operation=run.operation_id, symptom=symptom)
    if run.unit.state in Unit.GONE or known.exclude(state=CLOSED).exists():
        return None
    return open_nonconformance(
        unit=run.unit,
        symptom=symptom,
        source=Nonconformance.Source.TEST,
        description=" ".join(map(str, run.reasons)),
        test_run=run,
        by=by,
    )


@transaction.atomic
def add_pictures(
    *, nonconformance: Nonconformance, pictures: Iterable[Attachment], by: Actor
) -> Nonconformance:
    """Add pictures to what is wrong. Refuses with ``nonconformance_closed`` or ``wrong_site``."""
    nonconformance = locked(nonconformance)
    pictures = list(pictures)
    require_not_closed(nonconformance)
    _require_of_site(nonconformance.unit, pictures)
    nonconformance.pictures.add(*pictures)
    payload = {"pictures": [picture.sha256 for picture in pictures]}
    record(advance(nonconformance, "nonconformance.pictures_added", by=by, payload=payload))
    return nonconformance


@transaction.atomic
def close_nonconformance(*, nonconformance: Nonconformance, reason: str, by: Actor) -> Nonconformance:
    """Close what was decided and done, and release what it held. Refuses with ``nonconformance_closed``."""
    lock_units(nonconformance.unit_id)
    nonconformance = locked(nonconformance)
    require_not_closed(nonconformance)
    changes = {"state": CLOSED, "closed_at": timezone.now(), "closed_by": by.person}
    record(advance(nonconformance, "nonconformance.closed", by=by, payload={"reason": reason}, **changes))
    release_holds_of(nonconformance, reason, by)
    return nonconformance


def release_holds_of(nonconformance: Nonconformance, reason: str, by: Actor) -> None:
    """Release what a decided nonconformance holds; holds of other reasons stay."""
    for hold in Hold.objects.filter(nonconformance=nonconformance, released_at__isnull=True):
        release_hold(hold=hold, reason=f"{nonconformance.number}: {reason}"[:300], by=by)


def require_no_open_nonconformance(unit: Unit) -> None:
    """Refuse with ``nonconformance_open`` while one is open on a unit or on anything inside it. One query."""
    still_open = Nonconformance.objects.exclude(state=CLOSED)
    found = still_open.filter(Q(unit=unit) | Q(unit__in=units_inside(unit))).select_related("unit").first()
    if found is not None:
        raise RuleViolation(
            "nonconformance_open",
            f"{found.number} is open on {found.unit.serial}: {found.symptom}.",
            rule="a unit ships with no nonconformance open",
            release="The review board decides about it.",
            next_step=f"Ask the review board to decide about {found.number}.",
            nonconformance=found.number,
            unit=str(found.unit.uid),
        )


def require_open(nonconformance: Nonconformance) -> None:
    """Refuse with ``already_disposed`` or ``nonconformance_closed`` unless it waits for a decision."""
    require_not_closed(nonconformance)
    if nonconformance.state != OPEN:
        raise RuleViolation(
            "already_disposed",
            f"The review board has decided about {nonconformance.number}: it is in rework.",
            rule="a nonconformance is decided once",
            next_step="Finish the rework; what is found then is a nonconformance of its own.",
        )


def require_not_closed(nonconformance: Nonconformance) -> None:
    """Refuse with ``nonconformance_closed``."""
    if nonconformance.state == CLOSED:
        raise RuleViolation(
            "nonconformance_closed",
            f"{nonconformance.number} is closed.",
            rule="what is closed stays as it is",
            next_step="Open another nonconformance if something is still wrong.",
        )


@dataclass(frozen=True, slots=True)
class SlotPlace:
    """A slot below a unit: the unit that has it, and its path, e.g. ``U08/SC1``."""

    parent: Unit
    slot: Slot
    path: str


def find_place(unit: Unit, path: str) -> SlotPlace:
    """Return the slot at a path of slot names below a unit. Refuses with ``slot_not_in_assembly``."""
    first, *more = path.split("/")
    slot, parent, names = find_slot(revision=unit.part_revision, name=first), unit, []
    for name in more:
        names.append(slot.name)
        parent = _in_slot(parent, slot, path)
        found = place_named(parent.part_revision, name)
        if found is None:
            raise _no_such_place(path, f"{parent.part_revision} in {'/'.join(names)} has no slot {name}.")
        slot = found.slot
    return SlotPlace(parent, slot, "/".join([*names, slot.name]))


def _in_slot(parent: Unit, slot: Slot, path: str) -> Unit:
    live = Installation.objects.live().select_related("child__part_revision__part")
    placed = live.filter(parent=parent, slot=slot).first()
    if placed is None:
        raise _no_such_place(path, f"Nothing is installed in {slot.name} of {parent.serial}.")
    return placed.child


def _no_such_place(path: str, detail: str) -> RuleViolation:
    return RuleViolation(
        "slot_not_in_assembly",
        detail,
        rule="a location is a path of slots below the unit",
        next_step="Name the slots from the unit down, e.g. U08/SC1.",
        location=path,
    )


def require_failed(unit: Unit, run: TestRun) -> None:
    """Refuse with ``test_not_failed`` unless a test run is of the unit and failed."""
    if run.unit_id != unit.pk or run.outcome not in {TestRun.Outcome.FAIL, TestRun.Outcome.ERROR}:
        whose = run.unit.serial if run.unit_id != unit.pk else unit.serial
        raise RuleViolation(
            "test_not_failed",
            f"{run.procedure} of {whose} is {run.outcome}; that is no failed test of {unit.serial}.",
            rule="a nonconformance names the failed test of its unit",
            next_step="Name the test that failed on this unit, or none.",
        )


def _require_of_site(unit: Unit, pictures: list[Attachment]) -> None:
    foreign = next((picture for picture in pictures if picture.site_id != unit.site_id), None)
    if foreign is not None:
        raise RuleViolation(
            "wrong_site",
            f"The picture {foreign.name} belongs to another site than {unit.serial}.",
            rule="what is on record of a unit is of its site",
            next_step="Upload the picture at this site.",
        )


def _code(symptom: str) -> str:
    code = "_".join(symptom.lower().split())[:LONGEST_SYMPTOM]
    if not code:
        raise RuleViolation(
            "no_symptom",
            "A nonconformance says what is wrong, in a short code.",
            rule="a nonconformance names its symptom",
            next_step="Give a symptom such as leak, gpu_ecc or bent_pin.",
        )
    return code


def _next_number() -> str:
    """Return the next number; the counter's row stays locked until the transaction ends."""
    return f"{PREFIX}{count_up(COUNTER):0{DIGITS}d}"
