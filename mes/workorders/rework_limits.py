"""How often a unit may be reworked before quality must agree."""

from django.db.models import Count, Q

from mes.errors import RuleViolation
from mes.products.models import ReworkLimit
from mes.quality.models import Nonconformance
from mes.workorders.models import OrderUnit, Rework

Scope = ReworkLimit.Scope


def limit_reached(order_unit: OrderUnit, nonconformance: Nonconformance) -> RuleViolation | None:
    """Return the refusal ``rework_limit`` if one more rework needs quality to agree. Two queries."""
    limits = list(ReworkLimit.objects.filter(route=order_unit.route_id).order_by("pk"))
    counts = _reworks_so_far(order_unit, nonconformance) if limits else {}
    reached = next((limit for limit in limits if counts.get(limit.scope, 0) >= limit.maximum), None)
    return _refusal(reached, counts[reached.scope], nonconformance) if reached else None


def _reworks_so_far(order_unit: OrderUnit, nonconformance: Nonconformance) -> dict[str, int]:
    found_at = nonconformance.operation
    same_symptom = Q(nonconformance__symptom=nonconformance.symptom)
    counted = {Scope.IN_ALL.value: Count("pk"), Scope.PER_SYMPTOM.value: Count("pk", filter=same_symptom)}
    if found_at is not None:
        same_operation = Q(nonconformance__operation__code=found_at.code)
        counted[Scope.PER_OPERATION.value] = Count("pk", filter=same_operation)
    return Rework.objects.filter(unit=order_unit.unit_id).aggregate(**counted)


def _refusal(limit: ReworkLimit, so_far: int, nonconformance: Nonconformance) -> RuleViolation:
    what = {
        Scope.IN_ALL.value: "in all",
        Scope.PER_OPERATION.value: f"for what {nonconformance.operation} found",
        Scope.PER_SYMPTOM.value: f"for {nonconformance.symptom}",
    }[limit.scope]
    return RuleViolation(
        "rework_limit",
        f"{nonconformance.unit.serial} was reworked {so_far} times {what}; its route allows {limit.maximum}.",
        rule=f"at most {limit.maximum} reworks {limit.get_scope_display().lower()} without quality",
        release="Somebody with the role quality agrees by a second signature.",
        next_step="Ask quality to sign the disposition too, or decide otherwise.",
        scope=limit.scope,
        maximum=limit.maximum,
        so_far=so_far,
    )
