"""What the review board decides about a nonconformance, signed, and what follows from it at once."""

from dataclasses import dataclass, replace

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.models import Signature
from mes.people.services import Proof, digest_of, sign
from mes.products.models import Operation, Route
from mes.quality.models import Disposition, Nonconformance
from mes.quality.services import SUSPECT_COUNTERFEIT, close_nonconformance, release_holds_of, require_open
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.serials.services import lock_units, return_unit
from mes.stations.models import RoleAssignment as Assignment
from mes.stations.services import require_role
from mes.workorders.models import Labor, OperationRun
from mes.workorders.position import Position, position_of
from mes.workorders.rework import abandon_rework, require_rework, start_rework
from mes.workorders.rework_limits import limit_reached
from mes.workorders.shipping import scrap_ordered_unit

Kind = Disposition.Kind
REWORKED = {Kind.REWORK, Kind.REPAIR}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about which nonconformance."""

    nonconformance: Nonconformance
    kind: str
    reason: str
    rework_route: Route | None
    returns_to: Operation | None

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of what is signed: the decision, and the history it decides about."""
        decided = {
            "nonconformance": self.nonconformance.number,
            "head": self.nonconformance.head,
            "kind": self.kind,
            "reason": self.reason,
            "rework_route": str(self.rework_route or ""),
            "returns_to": str(self.returns_to or ""),
        }
        return digest_of(decided)


@transaction.atomic
def dispose(
    *,
    nonconformance: Nonconformance,
    kind: str,
    reason: str,
    proof: Proof | None,
    by: Actor,
    rework_route: Route | None = None,
    returns_to: Operation | None = None,
    quality_proof: Proof | None = None,
) -> Disposition:
    """Decide about a nonconformance, signed by the review board, and do what follows.

    ``use_as_is`` closes it; ``rework`` and ``repair`` send the unit to ``rework_route`` and back to
    ``returns_to``; ``scrap`` and ``return_to_supplier`` take the unit out and close it. It is on record as
    the act of the board's signer, whoever is signed on. Refuses with
    ``signature_required``, ``already_disposed``, ``nonconformance_closed``, ``role_missing``, ``own_work``
    and the codes of the proof; rework also with ``wrong_route``, ``no_operation``, ``rework_limit``,
    ``unit_closed`` and ``no_work_order``; the others with ``unit_in_use``, ``not_from_supplier`` and
    ``suspect_not_returned``.
    """
    unit = lock_units(nonconformance.unit_id)[nonconformance.unit_id]
    nonconformance = locked(nonconformance)
    require_open(nonconformance)
    decision = Decision(nonconformance, kind, reason, rework_route, returns_to)
    position = _position_for(decision, unit)
    needs_quality = limit_reached(position.order_unit, nonconformance) if position else None
    board, quality = _signatures(decision, unit, proof, quality_proof, needs_quality)
    by = replace(by, person=board.signer)
    disposition = Disposition.objects.create(
        nonconformance=nonconformance,
        kind=kind,
        reason=reason,
        rework_route=rework_route if position else None,
        returns_to=returns_to if position else None,
        signature=board,
        quality_signature=quality,
    )
    _record(disposition, by)
    if position is not None:
        release_holds_of(nonconformance, kind, by)
        start_rework(position, disposition, by)
    else:
        _settle(disposition, unit, by)
    return disposition


def _position_for(decision: Decision, unit: Unit) -> Position | None:
    """Return where a unit that is to be reworked stands, the rules of rework asked; None for the others."""
    if decision.kind in REWORKED:
        position = position_of(unit)
        require_rework(position, decision.rework_route, decision.returns_to)
        return position
    if decision.kind == Kind.RETURN_TO_SUPPLIER:
        _require_returnable(unit)
    return None


def _require_returnable(unit: Unit) -> None:
    """Refuse what may be counterfeit: it must not get back into trade.

    DFARS 252.246-7007(c)(6): not returned until determined to be authentic; here until used as it is.
    """
    suspected = unit.nonconformances.filter(symptom=SUSPECT_COUNTERFEIT)
    if suspected.exclude(dispositions__kind=Kind.USE_AS_IS).exists():
        raise RuleViolation(
            "suspect_not_returned",
            f"{unit.serial} is suspected to be counterfeit.",
            rule="suspect counterfeit parts are not returned to the seller (DFARS 252.246-7007)",
            next_step="Keep it quarantined and report it, or scrap it.",
        )


def _signatures(
    decision: Decision,
    unit: Unit,
    proof: Proof | None,
    quality_proof: Proof | None,
    needs_quality: RuleViolation | None,
) -> tuple[Signature, Signature | None]:
    performers = _performers(decision.nonconformance, unit)
    board = _sign(decision, proof, Assignment.Role.REVIEW_BOARD, performers)
    if quality_proof is not None:
        return board, _sign(decision, quality_proof, Assignment.Role.QUALITY, performers | {board.signer})
    if needs_quality is not None:
        raise needs_quality
    return board, None


def _sign(decision: Decision, proof: Proof | None, role: Assignment.Role, performers: set[str]) -> Signature:
    if proof is None:
        raise RuleViolation(
            "signature_required",
            f"A decision about {decision.nonconformance.number} is signed.",
            rule="the review board signs its dispositions",
            release="Somebody with the role review board signs.",
            next_step="Sign with badge and PIN, or with your password.",
        )
    signer = proof.require().username
    require_role(person=signer, roles=[role], site=decision.nonconformance.site)
    return sign(
        proof=proof,
        meaning=f"{decision.kind} agreed by {role.label}",
        reason=decision.reason,
        subject=decision.nonconformance,
        digest=decision.digest,
        performers=performers,
    )


def _performers(nonconformance: Nonconformance, unit: Unit) -> set[str]:
    """Return who found it and everybody who worked on the unit."""
    runs = OperationRun.objects.filter(unit=unit).values_list("started_by", "completed_by")
    people = {nonconformance.opened_by, *(person for run in runs for person in run)}
    people |= set(Labor.objects.filter(run__unit=unit).values_list("person", flat=True))
    people |= set(Installation.objects.filter(parent=unit).values_list("installed_by", flat=True))
    return people - {""}


def _record(disposition: Disposition, by: Actor) -> None:
    nonconformance, quality = disposition.nonconformance, disposition.quality_signature
    payload = {
        "kind": disposition.kind,
        "reason": disposition.reason,
        "signed_by": disposition.signature.signer,
        "signature": str(disposition.signature.uid),
        "quality_signed_by": quality.signer if quality else "",
        "rework_route": disposition.rework_route.version if disposition.rework_route else "",
        "returns_to": disposition.returns_to.code if disposition.returns_to else "",
    }
    state = Nonconformance.State.REWORK if disposition.kind in REWORKED else nonconformance.state
    record(advance(nonconformance, "nonconformance.disposed", by=by, payload=payload, state=state))


def _settle(disposition: Disposition, unit: Unit, by: Actor) -> None:
    """Do what was decided at once; a unit that was scrapped meanwhile may still be decided to be scrap."""
    reason = f"{disposition.nonconformance.number}: {disposition.reason}"[:300]
    if disposition.kind == Kind.SCRAP and unit.state != Unit.State.SCRAPPED:
        scrap_ordered_unit(unit=unit, reason=reason, by=by)
    if disposition.kind == Kind.RETURN_TO_SUPPLIER:
        return_unit(unit=unit, reason=reason, by=by)
    if disposition.kind != Kind.USE_AS_IS:
        abandon_rework(unit, disposition.kind, by)
    close_nonconformance(nonconformance=disposition.nonconformance, reason=disposition.kind, by=by)
