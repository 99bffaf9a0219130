"""A live hipot: begun by two people on an empty rack, which is locked out until it ends.

The lockout is a column of the unit that is written with the unit's version. Installs, removals, cables,
operations and breaks all change the unit by comparing its version, so of a hipot and any of them that come at
the same moment one is refused; and the database keeps no two live sessions of a unit.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mes.electrical.instruments import require_calibrated, require_instrument
from mes.electrical.models import HipotSession, SafetyPlan, SafetyTest
from mes.electrical.readings import Readings, require_measured
from mes.electrical.recording import keep_test, note_instrument, plan_of, require_planned
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.models import Signature, User
from mes.people.services import Proof, digest_of, require_qualified, sign
from mes.products.models import Operation
from mes.racks.services import paths_of, require_out, units_inside
from mes.serials.models import Unit
from mes.serials.services import end_lock_out, lock_out, lock_units, require_usable
from mes.stations.services import require_sign_on

State = HipotSession.State
MEANING = "live hipot"
USUAL, LONGEST = timedelta(minutes=30), timedelta(hours=2)
NAMED = 6
TWO_PEOPLE = "a live hipot takes two people"


@transaction.atomic
def begin_hipot(
    *,
    unit: Unit,
    instrument: str,
    reason: str,
    proofs: Sequence[Proof],
    by: Actor,
    lasts: timedelta = USUAL,
) -> HipotSession:
    """Open a live hipot of an empty rack, signed by two people; nobody else may touch it until it has ended.

    Refuses with ``hipot_needs_two_people``, ``hipot_same_person``, ``not_qualified``, ``rack_not_empty``,
    ``hipot_too_long``, ``unit_held``, ``unit_locked_out``, ``unit_closed``; as ``record_safety_test`` does
    for plan, limits and instrument; and as the proofs do.
    """
    require_sign_on(by)
    _require_short(lasts)
    people = _two_people(proofs)
    unit = lock_units(unit.pk)[unit.pk]
    require_usable(unit)
    require_out(unit)
    operation = require_planned(SafetyTest.Kind.HIPOT, unit)
    _require_qualified(people, operation)
    tool, _ = require_instrument(code=instrument, unit=unit, kind=SafetyTest.Kind.HIPOT)
    plan = plan_of(unit)
    require_empty(unit, plan)
    note_instrument(tool, unit, by)
    expires_at = timezone.now() + lasts
    signed = {
        "unit": str(unit.uid),
        "operation": operation.code,
        "instrument": tool.code,
        "plan": str(plan or ""),
        "people": sorted(person.username for person in people),
        "expires_at": expires_at,
    }
    first, second = _sign(unit, proofs, reason, signed)
    session = HipotSession(
        unit=unit,
        operation=operation,
        plan=plan,
        tool=tool,
        reason=reason,
        first_person=first.signer,
        second_person=second.signer,
        first_signature=first,
        second_signature=second,
        station=by.station,
        expires_at=expires_at,
    )
    lock_out(unit=unit, reason=f"live hipot by {first.signer} and {second.signer}", by=by)
    session.save()
    record(advance(session, "hipot.begun", by=by, payload={**signed, "serial": unit.serial}))
    return session


def _require_short(lasts: timedelta) -> None:
    if not timedelta(0) < lasts <= LONGEST:
        raise RuleViolation(
            "hipot_too_long",
            f"A live hipot lasts at most {LONGEST.total_seconds() / 60:g} minutes.",
            rule="a rack is locked out for a short time",
            next_step="Ask for less.",
        )


def _two_people(proofs: Sequence[Proof]) -> tuple[User, User]:
    if len(proofs) != 2:
        raise RuleViolation(
            "hipot_needs_two_people",
            f"{len(proofs)} of 2 people signed.",
            rule=TWO_PEOPLE,
            next_step="The other person scans the badge and types the PIN too.",
        )
    first, second = (proof.require() for proof in proofs)
    if first.pk == second.pk:
        raise RuleViolation(
            "hipot_same_person",
            f"{first} signed twice.",
            rule=TWO_PEOPLE,
            next_step="Somebody else signs as the second person.",
        )
    return first, second


def _require_qualified(people: Sequence[User], operation: Operation) -> None:
    wanted = [row.qualification for row in operation.qualifications.select_related("qualification")]
    for person in people:
        require_qualified(person=person.username, qualifications=wanted)


def foreign_inside(unit: Unit, plan: SafetyPlan | None) -> QuerySet[Unit]:
    """Return what is inside a unit, at any depth, and may not stay there under high voltage."""
    may_stay = plan.may_stay if plan else []
    inside = units_inside(unit).exclude(part_revision__part__kind__in=may_stay)
    return inside.select_related("part_revision__part").order_by("pk")


def require_empty(unit: Unit, plan: SafetyPlan | None) -> None:
    """Refuse with ``rack_not_empty``, naming what is in, unless all that is inside may stay."""
    found = list(foreign_inside(unit, plan))
    if not found:
        return
    where = paths_of([each.pk for each in found[:NAMED]])
    names = [
        f"{each.part_revision.part.name} {each.serial} in {where[each.pk].slots}" for each in found[:NAMED]
    ]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    raise RuleViolation(
        "rack_not_empty",
        f"{unit.serial} holds {', '.join(names)}{more}.",
        rule=f"under high voltage a rack holds {_stays(plan)}",
        next_step="Take it out first.",
        inside=[{"uid": str(each.uid), "serial": each.serial} for each in found[:NAMED]],
        count=len(found),
    )


def _stays(plan: SafetyPlan | None) -> str:
    kinds = [kind.replace("_", " ") for kind in plan.may_stay] if plan else []
    return f"nothing but {', '.join(kinds)}" if kinds else "nothing"


def _sign(
    unit: Unit, proofs: Sequence[Proof], reason: str, signed: dict[str, Any]
) -> tuple[Signature, Signature]:
    """Sign for both, in the order of their keys, so that two sessions never wait for each other."""
    made = {}
    for proof in sorted(proofs, key=lambda proof: proof.require().pk):
        person = proof.require()
        made[person.pk] = sign(
            proof=proof, meaning=MEANING, reason=reason, subject=unit, digest=digest_of(signed)
        )
    first, second = (made[proof.require().pk] for proof in proofs)
    return first, second


@transaction.atomic
def finish_hipot(*, session: HipotSession, readings: Readings, discharged: bool, by: Actor) -> SafetyTest:
    """End a live hipot with its result, by one of its two people; the lockout ends with it.

    Refuses with ``hipot_ended``, ``hipot_by_others``, ``hipot_not_discharged``, ``hipot_expired``,
    ``instrument_overdue`` and as ``require_measured``; the unit then stays locked out.
    """
    require_sign_on(by)
    session = _lock_live(session)
    _require_one_of_two(session, by)
    _require_discharged(session, discharged)
    _require_in_time(session)
    calibration = require_calibrated(session.tool)
    require_measured(readings, session.plan)
    _end(session, State.FINISHED, "finished", by)
    return keep_test(
        unit=session.unit,
        readings=readings,
        tool=session.tool,
        calibration=calibration,
        plan=session.plan,
        session=session,
        by=by,
    )


@transaction.atomic
def abort_hipot(*, session: HipotSession, reason: str, discharged: bool, by: Actor) -> HipotSession:
    """End a live hipot without a result; anybody may stop it, for anybody may see the danger.

    The lockout ends, so the unit must be discharged. Refuses with ``hipot_ended``, ``hipot_not_discharged``
    or ``reason_missing``.
    """
    require_sign_on(by)
    session = _lock_live(session)
    _require_discharged(session, discharged)
    if not reason.strip():
        raise RuleViolation(
            "reason_missing",
            "Aborting says why.",
            rule="a hipot is aborted with a reason",
            next_step="Give the reason.",
        )
    _end(session, State.ABORTED, reason, by, abort_reason=reason)
    return session


def _lock_live(session: HipotSession) -> HipotSession:
    lock_units(session.unit_id)
    session = locked(session)
    if session.state != State.LIVE:
        raise RuleViolation(
            "hipot_ended",
            f"The {session} was {session.state} by {session.ended_by}.",
            rule="a hipot ends once",
            next_step="Begin another one if it must be repeated.",
        )
    return session


def _require_one_of_two(session: HipotSession, by: Actor) -> None:
    if by.person not in session.people:
        raise RuleViolation(
            "hipot_by_others",
            f"{by.person} is not one of the two who do the {session}: {' and '.join(session.people)}.",
            rule="who began a hipot finishes it; anybody may abort it",
            next_step="One of the two signs on and records the result.",
            people=session.people,
        )


def _require_discharged(session: HipotSession, discharged: bool) -> None:
    if not discharged:
        raise RuleViolation(
            "hipot_not_discharged",
            f"{session.unit.serial} stays locked out: it is not said to be discharged.",
            rule="the lockout ends once the voltage is off and the rack is discharged",
            next_step="Switch the tester off, discharge the rack, then say so.",
        )


def _require_in_time(session: HipotSession) -> None:
    if timezone.now() >= session.expires_at:
        raise RuleViolation(
            "hipot_expired",
            f"The {session} expired at {timezone.localtime(session.expires_at):%H:%M}.",
            rule="a result is recorded while the session lasts",
            next_step="See that the rack is discharged, abort this session, and begin another one.",
            expired_at=session.expires_at,
        )


def _end(session: HipotSession, state: State, reason: str, by: Actor, **changes: Any) -> None:
    ended = {"state": state, "ended_at": timezone.now(), "ended_by": by.person, **changes}
    record(advance(session, f"hipot.{state}", by=by, payload={"reason": reason}, **ended))
    end_lock_out(unit=session.unit, reason=f"hipot {state}", by=by)
