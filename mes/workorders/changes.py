"""Engineering changes: drafted, shown beforehand, signed by two, applied to all their units or to none."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, StaleRow, advance, locked, record
from mes.people.services import Proof, sign
from mes.products.models import PartRevision, Route
from mes.serials.models import Unit
from mes.serials.services import lock_units, next_serials
from mes.stations.models import RoleAssignment, Site
from mes.stations.services import require_role
from mes.workorders.change_moves import move_unit
from mes.workorders.change_plans import Plan, plan_change
from mes.workorders.models import (
    ChangeApproval,
    ChangeMove,
    ChangeTarget,
    EngineeringChange,
    OrderUnit,
    WorkOrder,
)

Role = RoleAssignment.Role
State = EngineeringChange.State
MEANINGS = {Role.ENGINEER: "engineering approval", Role.QUALITY: "quality approval"}
FOR_GOOD = {"unit_finished", "unit_shipped", "unit_scrapped", "order_closed", "change_other_part"}
RULE = "an engineering change is applied to all of its units or to none"


def _refusal(code: str, detail: str, next_step: str, **more: Any) -> RuleViolation:
    return RuleViolation(code, detail, rule=more.pop("rule", RULE), next_step=next_step, **more)


@transaction.atomic
def draft_change(
    *,
    site: Site,
    title: str,
    reason: str,
    to_revision: PartRevision,
    to_route: Route,
    by: Actor,
    orders: Iterable[WorkOrder] = (),
    units: Iterable[Unit] = (),
) -> EngineeringChange:
    """Draft the move of orders or units to another revision and route.

    Refuses with ``change_without_targets``, ``definition_not_released``, ``wrong_route``, ``wrong_site``,
    ``change_other_part``, ``change_unit_refused`` for what is finished, shipped, scrapped or closed, and
    ``change_changes_nothing``.
    """
    orders, units = list(dict.fromkeys(orders)), list(dict.fromkeys(units))
    _require_targets(site, orders, units)
    _require_definitions(to_revision, to_route, orders)
    change = EngineeringChange.objects.create(
        site=site,
        number=next_serials(prefix="ECO-", count=1)[0],
        title=title,
        reason=reason,
        to_revision=to_revision,
        to_route=to_route,
        created_by=by.person,
    )
    targets = [ChangeTarget(change=change, order=order) for order in orders]
    ChangeTarget.objects.bulk_create([*targets, *(ChangeTarget(change=change, unit=unit) for unit in units)])
    plan = plan_change(change)
    _require_movable(plan, FOR_GOOD)
    _require_something(plan)
    payload = {
        "number": change.number,
        "title": title,
        "reason": reason,
        "to_revision": str(to_revision),
        "to_route": to_route.version,
        "orders": [order.number for order in orders],
        "units": [str(unit.uid) for unit in units],
    }
    record(advance(change, "change.drafted", by=by, payload=payload))
    return change


def _require_targets(site: Site, orders: list[WorkOrder], units: list[Unit]) -> None:
    if not orders and not units:
        raise _refusal(
            "change_without_targets",
            "The change names no order and no unit.",
            "Name the orders or the units that move.",
        )
    targets: list[WorkOrder | Unit] = [*orders, *units]
    elsewhere = [row for row in targets if row.site_id != site.pk]
    if elsewhere:
        raise _refusal(
            "wrong_site",
            f"{elsewhere[0]} belongs to another site than {site}.",
            "Draft a change for each site.",
        )


def _require_definitions(to_revision: PartRevision, to_route: Route, orders: list[WorkOrder]) -> None:
    for definition in (to_revision, to_route):
        if not definition.is_released:
            raise _refusal(
                "definition_not_released",
                f"{definition} is a draft.",
                "Ask engineering to release it first.",
                rule="units move to frozen definitions",
                release="Engineering releases the definition.",
            )
    if to_route.part_id != to_revision.part_id or to_route.kind != Route.Kind.BUILD:
        raise _refusal(
            "wrong_route",
            f"{to_route} is no build route of {to_revision.part.number}.",
            "Choose a build route of this part.",
        )
    for order in orders:
        if order.part_revision.part_id != to_revision.part_id:
            raise _refusal(
                "change_other_part",
                f"Order {order.number} builds {order.part_revision}, not {to_revision.part.number}.",
                "A change moves to another revision of the same part.",
            )


def _require_something(plan: Plan) -> None:
    if not plan.units and not plan.refused and not plan.orders_to_move:
        change = plan.change
        raise _refusal(
            "change_changes_nothing",
            f"All of it is {change.to_revision} on {change.to_route} already.",
            "Nothing to do.",
        )


def _require_movable(plan: Plan, codes: Iterable[str] | None = None) -> None:
    """Refuse with ``change_unit_refused``, naming what cannot be moved (for these codes) and why."""
    refused = [each for each in plan.refused if codes is None or each.code in codes]
    if refused:
        raise _refusal(
            "change_unit_refused",
            " ".join(each.detail for each in refused),
            "Take what cannot be moved out of the change, or wait until it can be: draft the change anew.",
            refused=[{"name": each.name, "code": each.code, "detail": each.detail} for each in refused],
        )


@transaction.atomic
def approve_change(*, change: EngineeringChange, reason: str, proof: Proof, by: Actor) -> EngineeringChange:
    """Sign a change as it would be applied now; engineering and quality both sign, neither the drafter.

    Refuses with ``change_closed``, ``change_unit_refused``, ``change_approved``, ``change_signed_by_you``,
    ``role_missing``, ``own_work`` or as the proof does. What was signed of another plan does not count.
    """
    signer = proof.require().username
    change = locked(change)
    _require_state(change, {State.DRAFT, State.APPROVED})
    plan = plan_change(change)
    _require_movable(plan)
    given = signed_by(change, plan.digest)
    missing = [role for role in MEANINGS if role not in given]
    _require_unsigned(change, given, missing, signer)
    role = Role(require_role(person=signer, roles=missing, site=change.site))
    signature = sign(
        proof=proof,
        meaning=MEANINGS[role],
        reason=reason,
        subject=change,
        digest=plan.digest,
        performers=[change.created_by],
    )
    ChangeApproval.objects.update_or_create(change=change, person=signer, defaults={"signature": signature})
    state = State.APPROVED if missing == [role] else State.DRAFT
    payload = {"signed_by": signer, "role": role, "digest": plan.digest, "signature": str(signature.uid)}
    record(advance(change, "change.signed", by=by, payload=payload, state=state))
    return change


def signed_by(change: EngineeringChange, digest: str) -> dict[str, str]:
    """Return who signed the plan of this digest, by role."""
    roles = {meaning: str(role) for role, meaning in MEANINGS.items()}
    rows = change.approvals.filter(signature__subject_digest=digest).order_by("pk")
    return {roles[meaning]: person for meaning, person in rows.values_list("signature__meaning", "person")}


def _require_unsigned(
    change: EngineeringChange, given: dict[str, str], missing: list[Role], signer: str
) -> None:
    if not missing:
        raise _refusal("change_approved", f"{change.number} is approved already.", "Apply it.")
    if signer in given.values():
        raise _refusal(
            "change_signed_by_you",
            f"{signer} signed {change.number} already; two people sign.",
            f"Ask somebody with the role {' or '.join(missing)} to sign.",
            rule="two different people sign an engineering change",
        )


def _require_state(change: EngineeringChange, states: set[State]) -> None:
    if change.state in states:
        return
    if change.state in {State.APPLIED, State.CANCELLED}:
        raise _refusal("change_closed", f"{change.number} is {change.state}.", "Draft a new change.")
    raise _refusal(
        "change_not_approved",
        f"{change.number} is {change.state}.",
        "Let engineering and quality sign it first.",
        rule="engineering and quality sign an engineering change",
    )


@transaction.atomic
def apply_change(*, change: EngineeringChange, by: Actor) -> list[ChangeMove]:
    """Move all units and orders of an approved change, or none of them.

    Nothing is taken out by hand: what the new revision does not take stays where it is, and the unit does not
    complete its route until it is out. Refuses with ``change_not_approved``, ``change_closed``,
    ``change_unit_refused`` and, when the plan is not the signed one any more, ``change_preview_changed``.
    """
    units = _units_of(change)
    lock_units(*units)
    _lock_orders(change)
    if _units_of(change) != units:
        raise StaleRow(change.stream)
    change = locked(change)
    _require_state(change, {State.APPROVED})
    plan = plan_change(change)
    _require_movable(plan)
    _require_signed(plan)
    moves = [move_unit(plan=plan, unit_plan=unit_plan, by=by) for unit_plan in plan.units]
    _move_orders(plan, by)
    payload = {"units": [str(each.unit.uid) for each in plan.units], "digest": plan.digest}
    closed = {"state": State.APPLIED, "applied_at": timezone.now(), "applied_by": by.person}
    record(advance(change, "change.applied", by=by, payload=payload, **closed))
    return moves


def _lock_orders(change: EngineeringChange) -> None:
    """Lock the orders that move, so that none is released or split while its plan is carried out."""
    rows = WorkOrder.objects.select_for_update(of=("self",)).order_by("pk")
    list(rows.filter(pk__in=change.targets.filter(order__isnull=False).values("order")))


def _units_of(change: EngineeringChange) -> set[int]:
    orders = change.targets.filter(order__isnull=False).values("order")
    built = OrderUnit.objects.filter(work_order__in=orders).values_list("unit", flat=True)
    return {*built, *change.targets.filter(unit__isnull=False).values_list("unit", flat=True)}


def _require_signed(plan: Plan) -> None:
    missing = [role for role in MEANINGS if role not in signed_by(plan.change, plan.digest)]
    if missing:
        raise _refusal(
            "change_preview_changed",
            f"{plan.change.number} would do something else now than what was signed: a unit has moved on.",
            "Look at the preview again and let engineering and quality sign it anew.",
            rule="what is signed is what is done",
        )


def _move_orders(plan: Plan, by: Actor) -> None:
    change = plan.change
    for order in plan.orders_to_move:
        row = locked(order)
        payload = {
            "change": change.number,
            "from_revision": order.part_revision.revision,
            "to_revision": change.to_revision.revision,
            "from_route": order.route.version,
            "to_route": change.to_route.version,
        }
        there = {"part_revision": change.to_revision, "route": change.to_route}
        record(advance(row, "order.changed", by=by, payload=payload, **there))


@transaction.atomic
def cancel_change(*, change: EngineeringChange, reason: str, by: Actor) -> EngineeringChange:
    """Give a change up before it is applied. Refuses with ``change_closed``."""
    change = locked(change)
    _require_state(change, {State.DRAFT, State.APPROVED})
    record(advance(change, "change.cancelled", by=by, payload={"reason": reason}, state=State.CANCELLED))
    return change
