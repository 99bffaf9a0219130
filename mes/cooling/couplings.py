"""Fit quick-disconnects, count how often each is mated, and refuse what is worn out."""

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from mes.cooling.models import Coupling, CouplingMate, CouplingType
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.stations.services import require_sign_on


@transaction.atomic
def fit_coupling(*, manifold: Unit, place: str, type: CouplingType, serial: str, by: Actor) -> Coupling:
    """Fit a coupling to a place of a manifold or hose; one known by its serial brings its mates along.

    Refuses with ``coupling_type_not_released``, ``place_taken``, ``coupling_elsewhere``,
    ``coupling_worn_out``, ``device_not_signed_on``, or as ``require_here``.
    """
    require_sign_on(by)
    manifold = lock_units(manifold.pk)[manifold.pk]
    require_here(manifold)
    if not type.is_released:
        raise RuleViolation(
            "coupling_type_not_released",
            f"The coupling type {type} is a draft.",
            rule="only released types are fitted",
            next_step="Ask engineering to release it.",
        )
    if taken := _at(manifold, place).first():
        raise RuleViolation(
            "place_taken",
            f"{place} of {manifold.serial} has coupling {taken.serial}.",
            rule="one coupling per place",
            next_step="Remove it first, or name another place.",
        )
    known = Coupling.objects.filter(type=type, serial__iexact=serial).first()
    coupling = _refit(known, manifold, place) if known else _new(type, serial, manifold, place)
    payload = {"manifold": str(manifold.uid), "place": place, "mates": coupling.mates}
    changes = {"manifold": manifold, "place": place, "fitted_at": timezone.now(), "removed_at": None}
    record(advance(coupling, "coupling.fitted", by=by, payload=payload, removal_reason="", **changes))
    return coupling


def _refit(known: Coupling, manifold: Unit, place: str) -> Coupling:
    coupling = locked(known)
    if coupling.removed_at is None:
        raise RuleViolation(
            "coupling_elsewhere",
            f"{coupling.serial} is fitted at {coupling.place} of {coupling.manifold.serial}.",
            rule="a coupling is in one place",
            next_step="Check the serial; remove it there first if it really is here.",
        )
    if coupling.mates >= coupling.maximum_mates:
        raise _worn_out(coupling)
    return coupling


def _new(type: CouplingType, serial: str, manifold: Unit, place: str) -> Coupling:
    return Coupling.objects.create(
        type=type, serial=serial, manifold=manifold, place=place, maximum_mates=type.maximum_mates
    )


@transaction.atomic
def remove_coupling(*, coupling: Coupling, reason: str, by: Actor) -> Coupling:
    """Take a coupling off its manifold; its mates stay counted. Refuses with ``coupling_removed``."""
    require_sign_on(by)
    coupling = locked(coupling)
    if coupling.removed_at is not None:
        raise RuleViolation(
            "coupling_removed",
            f"{coupling.serial} was removed before.",
            rule="a coupling is removed once",
            next_step="Nothing to do.",
        )
    payload = {"manifold": str(coupling.manifold.uid), "place": coupling.place, "reason": reason}
    changes = {"removed_at": timezone.now(), "removal_reason": reason[:200]}
    record(advance(coupling, "coupling.removed", by=by, payload=payload, **changes))
    return coupling


@transaction.atomic
def record_mate(*, manifold: Unit, place: str, by: Actor, mated_with: Unit | None = None) -> CouplingMate:
    """Count one mate of the coupling at a place of a manifold: never lost, never beyond its maximum.

    Refuses with ``coupling_unknown``, ``coupling_worn_out`` or ``device_not_signed_on``.
    """
    require_sign_on(by)
    found = _at(manifold, place).first()
    if found is None:
        raise _unknown(f"No coupling is fitted at {place} of {manifold.serial}.")
    return _count(found, mated_with, by)


@transaction.atomic
def record_slot_mates(
    *, parent: Unit, slot_name: str, by: Actor, mated_with: Unit | None = None
) -> list[CouplingMate]:
    """Count one mate of every coupling that a slot has on what is installed in a rack: supply and return.

    A coupling belongs to slot U08 when its place is U08 or begins with "U08 ". An install counts by itself;
    this is for what is mated besides. Refuses as ``record_mate``; either all are counted or none.
    """
    require_sign_on(by)
    mates = count_slot_mates(parent=parent, slot_name=slot_name, by=by, mated_with=mated_with)
    if not mates:
        raise _unknown(f"No coupling on what is installed in {parent.serial} belongs to {slot_name}.")
    return mates


def count_slot_mates(
    *, parent: Unit, slot_name: str, by: Actor, mated_with: Unit | None = None
) -> list[CouplingMate]:
    """Do what ``record_slot_mates`` does in the caller's transaction; none where no coupling is fitted."""
    found = _of_slot(parent, slot_name).order_by("pk")
    return [_count(coupling, mated_with, by) for coupling in found]


def _of_slot(parent: Unit, slot_name: str) -> QuerySet[Coupling]:
    beside = Installation.objects.live().filter(parent=parent).values("child")
    here = Q(place__iexact=slot_name) | Q(place__istartswith=f"{slot_name} ")
    return Coupling.objects.filter(here, manifold__in=beside, removed_at__isnull=True)


def _at(manifold: Unit, place: str) -> QuerySet[Coupling]:
    fitted = Coupling.objects.filter(manifold=manifold, removed_at__isnull=True)
    return fitted.filter(place__iexact=place)


def _unknown(detail: str) -> RuleViolation:
    return RuleViolation(
        "coupling_unknown",
        detail,
        rule="mates are counted by the coupling's serial",
        next_step="Fit the coupling with its serial first.",
    )


def _count(coupling: Coupling, mated_with: Unit | None, by: Actor) -> CouplingMate:
    """Count on the locked row: rivals wait for each other here, and the maximum is a constraint besides."""
    coupling = locked(coupling)
    if coupling.removed_at is not None:
        raise _unknown(f"{coupling.serial} was removed from {coupling.place} meanwhile.")
    if coupling.mates >= coupling.maximum_mates:
        raise _worn_out(coupling)
    number = coupling.mates + 1
    payload = {"number": number, "place": coupling.place, "manifold": str(coupling.manifold.uid)}
    if mated_with is not None:
        payload["mated_with"] = str(mated_with.uid)
    record(advance(coupling, "coupling.mated", by=by, payload=payload, mates=number))
    return CouplingMate.objects.create(
        coupling=coupling,
        number=number,
        manifold=coupling.manifold,
        place=coupling.place,
        mated_with=mated_with,
        mated_by=by.person,
    )


def _worn_out(coupling: Coupling) -> RuleViolation:
    return RuleViolation(
        "coupling_worn_out",
        f"{coupling.serial} at {coupling.place} was mated {coupling.mates} times; its type allows"
        f" {coupling.maximum_mates}.",
        rule="a coupling is mated as often as its type allows",
        next_step="Remove it and fit a new one.",
        coupling=coupling.serial,
    )
