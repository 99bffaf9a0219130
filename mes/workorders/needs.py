"""What an operation asks for: qualified people, calibrated tools, consumables, values and passed tests."""

from collections.abc import Collection
from decimal import Decimal
from typing import NoReturn

from django.db.models import Sum

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.people.services import require_qualified
from mes.products.models import Consumable, DataField, Gate, Operation, RequiredTool
from mes.racks.services import configuration_digest
from mes.serials.models import Unit
from mes.stations.models import Station, Tool
from mes.stations.services import require_tool_usable
from mes.testing.services import PASS, live_outcomes
from mes.workorders.carrying import equals_of
from mes.workorders.models import CapturedValue, ConsumableUse, Labor, OperationRun
from mes.workorders.position import Position
from mes.workorders.releases import holds_of


def require_qualification(operation: Operation, by: Actor) -> None:
    """Refuse with ``not_qualified`` unless the person is qualified in all that the operation names."""
    qualifications = [row.qualification for row in operation.qualifications.all()]
    if qualifications:
        require_qualified(person=by.person, qualifications=qualifications)


def require_qualified_worker(position: Position, operation: Operation, by: Actor) -> None:
    """Refuse with ``not_qualified`` who did not take part and would not be let in."""
    run = position.runs.get(operation.pk)
    if run is None or not operation.qualifications.all():
        return
    if not run.labor.filter(person=by.person).exists():
        require_qualification(operation, by)


def _hold(violation: RuleViolation, excused: Collection[str]) -> None:
    """Refuse, unless a release lets just this pass."""
    if holds_of(violation) not in excused:
        raise violation


def tools_at(station: Station, operation: Operation) -> list[Tool]:
    """Return for each type of tool that an operation names the one scanned last at a station, if any."""
    types = [row.type for row in operation.tools.all()]
    if not types:
        return []
    here = Tool.objects.filter(station=station, type__in=types).order_by("here_since")
    return list({tool.type: tool for tool in here}.values())


def require_tools(operation: Operation, station: Station | None, excused: Collection[str] = ()) -> None:
    """Refuse with ``tool_missing``, ``tool_overdue`` or ``tool_retired``, if there is a station."""
    if station is None:
        return
    found = {tool.type: tool for tool in tools_at(station, operation)}
    for required in operation.tools.all():
        tool = found.get(required.type)
        try:
            require_tool_usable(tool or _missing(required, operation, station))
        except RuleViolation as violation:
            _hold(violation, excused)


def _missing(required: RequiredTool, operation: Operation, station: Station) -> NoReturn:
    name = required.type.replace("_", " ")
    raise RuleViolation(
        "tool_missing",
        f"{operation} is done with a {name}; none is at {station.name}.",
        rule="an operation is done with its tools",
        next_step=f"Scan the label of the {name} you use.",
        tool_type=required.type,
    )


def require_people(position: Position, operation: Operation) -> None:
    """Refuse with ``second_person_missing`` until as many people took part as the operation asks for."""
    run = position.runs.get(operation.pk)
    if operation.people <= 1 or run is None:
        return
    names = sorted(set(Labor.objects.filter(run=run).values_list("person", flat=True)))
    if len(names) < operation.people:
        raise RuleViolation(
            "second_person_missing",
            f"{operation} takes {operation.people} people; so far: {', '.join(names)}.",
            rule="an operation for two is done by two",
            next_step="The other person scans the badge, then the unit.",
            people=names,
        )


def require_consumables(position: Position, operation: Operation, excused: Collection[str] = ()) -> None:
    """Refuse with ``consumable_missing`` until the lots of what the operation uses up are recorded."""
    needed = operation.consumables.all()
    run = position.runs.get(operation.pk)
    if not needed or run is None:
        return
    used = used_up(run)
    for row in needed:
        wanted = f"{row.quantity.normalize():f} {row.unit} of {row.part.name}"
        if used.get(row.part_id, Decimal(0)) < row.quantity:
            _hold(_consumable_missing(row, operation, wanted), excused)


def _consumable_missing(row: Consumable, operation: Operation, wanted: str) -> RuleViolation:
    return RuleViolation(
        "consumable_missing",
        f"{operation} uses {wanted}; no lot of it is recorded.",
        rule="what is used up is recorded by lot",
        next_step=f"Scan the lot label of the {row.part.name}.",
        part=row.part.number,
    )


def used_up(run: OperationRun) -> dict[int, Decimal]:
    """Return how much of each part a run used up, by part id. One query."""
    rows = ConsumableUse.objects.filter(run=run).values_list("lot__part").annotate(total=Sum("quantity"))
    return dict(rows)


def require_values(position: Position, operation: Operation, excused: Collection[str] = ()) -> None:
    """Refuse with ``value_missing`` or ``value_out_of_limits`` until all required values are good."""
    run = position.runs.get(operation.pk)
    if run is None or not operation.data_fields.all():
        return
    live = {value.field_id: value for value in run.values.filter(replaced_at__isnull=True)}
    for field in operation.data_fields.all():
        value = live.get(field.pk)
        if value is None and field.required:
            _hold(_value_missing(field, operation), excused)
        if value is not None and value.verdict == CapturedValue.Verdict.FAIL:
            _hold(_out_of_limits(field, value), excused)


def _value_missing(field: DataField, operation: Operation) -> RuleViolation:
    return RuleViolation(
        "value_missing",
        f"{operation} records {field.prompt}; it is missing.",
        rule="values are recorded before the operation is done",
        next_step=f"Record {field.prompt}.",
        field=field.name,
    )


def _out_of_limits(field: DataField, value: CapturedValue) -> RuleViolation:
    return RuleViolation(
        "value_out_of_limits",
        f"{field.prompt} is {value.number:g} {field.unit}; the limit is {limits_in_words(field)}.",
        rule="recorded values keep to their limits",
        next_step="Correct it and record it again, or report a problem.",
        field=field.name,
    )


def limits_in_words(limited: DataField) -> str:
    """Return e.g. 'at least 1 and at most 2 N.m'."""
    parts = [
        f"at least {limited.low:g}" if limited.low is not None else "",
        f"at most {limited.high:g}" if limited.high is not None else "",
    ]
    return f"{' and '.join(part for part in parts if part)} {limited.unit}"


def require_tests(unit: Unit, operation: Operation, moment: str, excused: Collection[str] = ()) -> None:
    """Refuse with ``test_missing`` or ``test_failed`` unless every test asked for passed on what is built."""
    gates = [gate for gate in operation.gates.all() if gate.moment == moment]
    procedures = [gate.procedure for gate in gates if gate.rule == Gate.Rule.TEST_PASSED]
    if not procedures:
        return
    judged_by = operation if moment == Gate.Moment.COMPLETE else None
    outcomes = live_outcomes(
        unit=unit,
        procedures=procedures,
        configuration=configuration_digest(unit),
        operation=judged_by,
        equals=equals_of(unit, [operation]) if judged_by else (),
    )
    for procedure in procedures:
        if (outcome := outcomes.get(procedure)) != PASS:
            _hold(_not_passed(procedure, outcome, operation, unit), excused)


def _not_passed(procedure: str, outcome: str | None, operation: Operation, unit: Unit) -> RuleViolation:
    if outcome is None:
        return RuleViolation(
            "test_missing",
            f"{operation} needs the test {procedure}; {unit.serial} was not tested as it is built now.",
            rule=str(Gate.Rule.TEST_PASSED),
            next_step=f"Run {procedure}.",
            procedure=procedure,
        )
    return RuleViolation(
        "test_failed",
        f"{operation} needs the test {procedure}; its last result on {unit.serial} is {outcome}.",
        rule=str(Gate.Rule.TEST_PASSED),
        next_step=f"Repair what failed and run {procedure} again.",
        procedure=procedure,
    )
