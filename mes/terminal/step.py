"""What a step asks of who works on it: rules, instruction, values, tools, consumables and people."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.utils import timezone

from mes.people.models import User
from mes.products.models import Consumable, DataField, Instruction, Operation
from mes.products.services import find_instruction, has_read
from mes.stations.models import Device, RoleAssignment, Station, Tool
from mes.workorders.models import CapturedValue, ConsumableUse, Labor, OperationRun
from mes.workorders.services import GateState, Position, gates_of, limits_in_words, tools_at

RUNNING = OperationRun.State.RUNNING
# What holds a step only because it is not done yet; anything else that holds it is not normal.
TO_DO = {
    *("slots_empty", "value_missing", "consumable_missing", "second_person_missing", "test_missing"),
    *("instruction_unread", "tool_missing", "wrong_station", "operation_out_of_order"),
}
GATES = {
    "person": "Somebody is signed on",
    "unit_usable": "Unit is not on hold",
    "unit_out": "Unit is in nothing else",
    "order_running": "Order is released",
    "work_center": "Right station",
    "not_started": "Not started before",
    "running": "Step is running",
    "turn": "Earlier steps are done",
    "qualified": "Person is qualified",
    "instruction_read": "Instruction is read",
    "tools": "Tools are here and calibrated",
    "tests_before": "Tests before it passed",
    "nothing_held_inside": "Nothing inside is on hold",
    "slots_filled": "Slots are filled",
    "people": "Enough people took part",
    "consumables": "Consumables are recorded",
    "values": "Values are recorded and good",
    "tests_passed": "Tests passed",
}


@dataclass(frozen=True, slots=True)
class GateRow:
    """A rule of the step as it is shown."""

    state: GateState

    @property
    def name(self) -> str:
        """Return the rule in a few words."""
        return GATES.get(self.state.gate, self.state.gate.replace("_", " "))

    @property
    def is_alarm(self) -> bool:
        """Return whether it holds the unit for more than work that is still to do."""
        return self.state.violation is not None and self.state.violation.code not in TO_DO

    @property
    def who(self) -> str:
        """Return who may release it."""
        if not self.state.releasable_by:
            return self.state.violation.release if self.state.violation else ""
        roles = [str(RoleAssignment.Role(role).label) for role in self.state.releasable_by]
        return f"{' or '.join(roles)}, with a reason and a signature."


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A value to record, with what was recorded last."""

    field: DataField
    value: CapturedValue | None

    @property
    def limits(self) -> str:
        """Return the limits in words; empty when there are none."""
        has_limits = self.field.low is not None or self.field.high is not None
        return limits_in_words(self.field) if has_limits else ""

    @property
    def recorded(self) -> str:
        """Return what was recorded, in words."""
        if self.value is None:
            return ""
        if self.value.number is None:
            return self.value.text
        return f"{self.value.number:g} {self.field.unit}".strip()

    @property
    def state(self) -> str:
        """Return missing, good, bad or recorded; optional ones are never missing."""
        if self.value is None:
            return "missing" if self.field.required else "optional"
        words = {CapturedValue.Verdict.PASS: "good", CapturedValue.Verdict.FAIL: "bad"}
        return words.get(CapturedValue.Verdict(self.value.verdict), "recorded")


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A type of tool that the step is done with, and the one at this station."""

    type: str
    tool: Tool | None

    @property
    def name(self) -> str:
        """Return the type in words."""
        return self.type.replace("_", " ")

    @property
    def due_at(self) -> datetime | None:
        """Return when its calibration is due."""
        return self.tool.calibration_due_at if self.tool else None

    @property
    def state(self) -> str:
        """Return missing, retired, overdue or ready."""
        if self.tool is None:
            return "missing"
        if self.tool.retired_at is not None:
            return "retired"
        return "overdue" if self.due_at is not None and self.due_at <= timezone.now() else "ready"


@dataclass(frozen=True, slots=True)
class ConsumableRow:
    """What the step uses up, and the lots recorded."""

    consumable: Consumable
    uses: list[ConsumableUse]

    @property
    def wanted(self) -> str:
        """Return how much the step takes."""
        return self._in_words(self.consumable.quantity)

    @property
    def lots(self) -> list[str]:
        """Return what was used of which lot."""
        return [f"{self._in_words(use.quantity)} of lot {use.lot.number}" for use in self.uses]

    @property
    def left(self) -> str:
        """Return how much is still to record; empty for nothing."""
        left = self.consumable.quantity - sum((use.quantity for use in self.uses), Decimal(0))
        return self._in_words(left) if left > 0 else ""

    def _in_words(self, quantity: Decimal) -> str:
        return f"{quantity.normalize():f} {self.consumable.unit}"


@dataclass(frozen=True, slots=True)
class Step:
    """The operation at hand with all that it asks for."""

    operation: Operation
    is_here: bool
    is_running: bool
    blocked: list[GateRow] = field(default_factory=list)
    released: list[GateRow] = field(default_factory=list)
    met: list[GateRow] = field(default_factory=list)
    instruction: Instruction | None = None
    is_read: bool = False
    fields: list[FieldRow] = field(default_factory=list)
    tools: list[ToolRow] = field(default_factory=list)
    consumables: list[ConsumableRow] = field(default_factory=list)
    people: list[str] = field(default_factory=list)

    @property
    def can_start(self) -> bool:
        """Return whether it waits to be started at this station."""
        return self.is_here and not self.is_running

    @property
    def people_missing(self) -> int:
        """Return how many more people must take part."""
        return max(self.operation.people - len(self.people), 0) if self.is_running else 0


def read_step(device: Device, position: Position, operation: Operation) -> Step:
    """Return what an operation asks of the person at a device. As many queries for any unit."""
    run = position.runs.get(operation.pk)
    gates = _gates(device, position, operation)
    instruction = find_instruction(operation.instruction_code) if operation.instruction_code else None
    person = device.actor().person
    return Step(
        operation=operation,
        is_here=operation.work_center == device.station.work_center,
        is_running=position.state_of(operation) == RUNNING,
        blocked=sorted(
            (row for row in gates if row.state.state == "blocked"), key=lambda row: not row.is_alarm
        ),
        released=[row for row in gates if row.state.state == "released"],
        met=[row for row in gates if row.state.state == "open"],
        instruction=instruction,
        is_read=instruction is not None and has_read(person=person, instruction=instruction),
        fields=_fields(operation, run),
        tools=_tools(operation, device.station),
        consumables=_consumables(operation, run),
        people=_people(run),
    )


def _gates(device: Device, position: Position, operation: Operation) -> list[GateRow]:
    """Return the rules that count now: those of the start, or of the completion once it runs."""
    found = gates_of(
        unit=position.unit, by=device.actor(), sequence=operation.sequence, station=device.station
    )
    moment = "complete" if position.state_of(operation) == RUNNING else "start"
    return [GateRow(gate) for gate in found.gates if gate.moment == moment]


def _fields(operation: Operation, run: OperationRun | None) -> list[FieldRow]:
    asked = list(operation.data_fields.all())
    if run is None or not asked:
        return [FieldRow(each, None) for each in asked]
    values = CapturedValue.objects.filter(run=run, replaced_at__isnull=True).select_related("attachment")
    live = {value.field_id: value for value in values}
    return [FieldRow(each, live.get(each.pk)) for each in asked]


def _tools(operation: Operation, station: Station) -> list[ToolRow]:
    here = {tool.type: tool for tool in tools_at(station, operation)}
    return [ToolRow(row.type, here.get(row.type)) for row in operation.tools.all()]


def _consumables(operation: Operation, run: OperationRun | None) -> list[ConsumableRow]:
    asked = list(operation.consumables.all())
    if not asked:
        return []
    uses = list(ConsumableUse.objects.filter(run=run).select_related("lot")) if run else []
    return [ConsumableRow(row, [use for use in uses if use.lot.part_id == row.part_id]) for row in asked]


def _people(run: OperationRun | None) -> list[str]:
    """Return the names of those who took part, first come first."""
    if run is None:
        return []
    names = list(dict.fromkeys(Labor.objects.filter(run=run).order_by("pk").values_list("person", flat=True)))
    known = {user.username: user.get_full_name() for user in User.objects.filter(username__in=names)}
    return [known.get(name) or name for name in names]
