"""What must be repeated after the cooling loop or the power path was opened, or firmware was changed.

The rules are data on the route. Exactly the operations that they name are superseded; nothing else is
repeated, nothing is deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.services import Actor, StaleRow, advance, events_of, record
from mes.products.models import Operation, RetestRule
from mes.racks.models import Installation, InstalledFirmware
from mes.racks.services import find_slot, record_firmware, require_out
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.workorders.models import OrderUnit
from mes.workorders.position import COMPLETE, RUNNING, Position, own_operations, own_position_of
from mes.workorders.superseding import supersede

Trigger = RetestRule.Trigger
BREAKS = (Trigger.WET_BREAK, Trigger.POWER_BREAK, Trigger.CABLE_CHANGE)


@dataclass(frozen=True, slots=True)
class Retest:
    """Which operations an act made untrue, and the rules that say so."""

    operations: list[Operation]
    rules: list[RetestRule]

    def because(self, operation: Operation) -> list[str]:
        """Return the names of the rules that repeat an operation."""
        return [rule.name for rule in self.rules if operation.sequence in rule.repeats]


@dataclass(frozen=True, slots=True)
class FirmwareChange:
    """The version recorded, the one before (none: the first record), and what must be repeated."""

    firmware: InstalledFirmware
    before: str | None
    retest: Retest


@transaction.atomic
def record_break(*, unit: Unit, kind: str, reason: str, by: Actor, slot_name: str = "") -> Retest:
    """Record that the cooling loop (``wet_break``), the power path (``power_break``) or a cable was opened.

    ``slot_name`` says where, for rules that are about a slot type. Returns what must be repeated and why.
    Refuses with ``unknown_break``, ``slot_not_in_assembly``, ``unit_closed``, ``unit_shipped``,
    ``unit_scrapped`` or ``no_work_order``. A held unit may be opened: that is how it is repaired.
    """
    require_sign_on(by)
    if kind not in BREAKS:
        raise RuleViolation(
            "unknown_break",
            f"There is no break {kind}.",
            rule="breaks are of a known kind",
            next_step=f"Say {' or '.join(BREAKS)}.",
        )
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    require_out(unit)
    slot = find_slot(revision=unit.part_revision, name=slot_name) if slot_name else None
    position = own_position_of(unit)
    record(advance(unit, f"unit.{kind}", by=by, payload={"reason": reason, "slot": slot_name}))
    return apply_rules(position, kind, slot.type if slot else "", because=reason, by=by)


def apply_rules(position: Position, trigger: str, slot_type: str, *, because: str, by: Actor) -> Retest:
    """Supersede what the rules for a trigger name; those without a slot type are about every slot."""
    rules = list(
        RetestRule.objects.filter(
            route=position.order_unit.route, trigger=trigger, slot_type__in={"", slot_type}
        )
    )
    sequences = {sequence for rule in rules for sequence in rule.repeats}
    named = [operation for operation in own_operations(position) if operation.sequence in sequences]
    undone = [operation for operation in named if position.state_of(operation) in {COMPLETE, RUNNING}]
    names = ", ".join(rule.name for rule in rules)
    supersede(position, undone, tests_of=named, because=f"{names}: {because}", by=by)
    return Retest(undone, rules)


def opened_since(*, unit: Unit, procedure: str, since: datetime) -> str:
    """Return why a test of a unit that was measured by then is to be repeated; empty if it is not.

    Besides an earlier result that was superseded since, a break or a removal counts whose rule repeats an
    operation that asks for the test, also when there was no result yet. At most six queries.
    """
    undone = TestRun.objects.filter(unit=unit, procedure=procedure, superseded_at__gt=since).first()
    if undone is not None:
        return undone.superseded_because
    rules = _rules_about(unit, procedure)
    return (_break_since(unit, rules, since) or _removal_since(unit, rules, since)) if rules else ""


def _rules_about(unit: Unit, procedure: str) -> list[RetestRule]:
    routes = OrderUnit.objects.filter(unit=unit, closed_at__isnull=True).values("route")
    asking = Operation.objects.filter(route__in=routes, gates__procedure=procedure)
    sequences = set(asking.values_list("sequence", flat=True))
    rules = RetestRule.objects.filter(route__in=routes) if sequences else RetestRule.objects.none()
    return [rule for rule in rules if sequences & set(rule.repeats)]


def _break_since(unit: Unit, rules: Iterable[RetestRule], since: datetime) -> str:
    types = {slot.name.casefold(): slot.type for slot in unit.part_revision.slots.all()}
    for event in events_of(unit).filter(kind__in=[f"unit.{kind}" for kind in BREAKS], at__gt=since):
        opened = types.get(event.payload["slot"].casefold(), "")
        for rule in rules:
            if event.kind == f"unit.{rule.trigger}" and rule.slot_type in {"", opened}:
                return f"{rule.name}: {event.payload['reason']}"
    return ""


def _removal_since(unit: Unit, rules: Iterable[RetestRule], since: datetime) -> str:
    names = {rule.slot_type: rule.name for rule in rules if rule.trigger == Trigger.REMOVED}
    removed = Installation.objects.filter(parent=unit, slot__type__in=names, removed_at__gt=since)
    row = removed.select_related("slot").first()
    return f"{row.slot.name} opened: {names[row.slot.type]}" if row else ""


@transaction.atomic
def change_firmware(*, unit: Unit, component: str, version: str, by: Actor) -> FirmwareChange:
    """Record the firmware of a component; a change, not a first record, repeats what the rules name.

    The rules are those of the topmost unit that the component is in, for there it was tested.
    """
    top_id = _top_of(unit)
    units = lock_units(*{top_id, unit.pk})
    if _top_of(unit) != top_id:
        raise StaleRow(unit.stream)
    firmware, before = record_firmware(unit=units[unit.pk], component=component, version=version, by=by)
    top = lock_units(top_id)[top_id]
    ordered = OrderUnit.objects.filter(unit=top, closed_at__isnull=True).exists()
    retest = Retest([], [])
    if before not in {None, version} and ordered:
        because = f"{component} of {unit.serial} from {before} to {version}"
        position, slot_type = own_position_of(top), _slot_type(top, unit)
        retest = apply_rules(position, Trigger.FIRMWARE_CHANGE, slot_type, because=because, by=by)
    return FirmwareChange(firmware, before, retest)


def _top_of(unit: Unit) -> int:
    roots = Installation.objects.live().filter(child=unit).values_list("root", flat=True)
    return roots.first() or unit.pk


def _slot_type(top: Unit, unit: Unit) -> str:
    """Return the type of the slot of ``top`` that a unit is in, at any depth; "" for ``top`` itself."""
    placed = None
    while unit.pk != top.pk:
        placed = Installation.objects.live().select_related("slot", "parent").get(child=unit)
        unit = placed.parent
    return placed.slot.type if placed else ""
