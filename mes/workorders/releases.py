"""Gates that were released for a unit: what each lets pass, found, used up, counted."""

from django.db.models import F, QuerySet
from django.utils import timezone

from mes.errors import RuleViolation
from mes.products.models import Operation
from mes.serials.models import Unit
from mes.workorders.models import GateRelease

SUBJECTS = ("procedure", "field", "part", "tool_type", "tool", "instruction", "version", "person", "slots")


def holds_of(violation: RuleViolation) -> str:
    """Return in short what a refusal holds a unit for: its code and what it is about."""
    about = [str(violation.facts[name]) for name in SUBJECTS if name in violation.facts]
    return " ".join([violation.code, *about])[:200]


def live_releases(*, unit: Unit, operation: Operation) -> QuerySet[GateRelease]:
    """Return the releases of an operation's gates that can still be used on a unit, oldest first."""
    rows = GateRelease.objects.filter(unit=unit, operation=operation, used__lt=F("allowed"))
    return rows.filter(expires_at__gt=timezone.now()).order_by("pk")


def use_release(*, unit: Unit, operation: Operation, gate: str, holds: str) -> GateRelease | None:
    """Use a release of a gate once and return it; None when there is none left for what holds the unit."""
    live = live_releases(unit=unit, operation=operation)
    for release in live.filter(gate=gate, holds=holds):
        if live.filter(pk=release.pk).update(used=F("used") + 1):
            return release
    return None
