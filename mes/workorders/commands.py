"""What a scanned command does: start, done, read, skip, report, open, leave, sign off."""

from collections.abc import Callable
from typing import Any

from mes.errors import RuleViolation
from mes.products.services import confirm_reading, find_instruction
from mes.quality.models import Nonconformance
from mes.serials.barcodes import Syntax
from mes.stations.services import (
    require_sign_on,
    sign_off,
)
from mes.workorders.operations import (
    complete_operation,
    skip_operation,
    start_operation,
)
from mes.workorders.position import position_of, require_at_hand
from mes.workorders.problems import report_problem
from mes.workorders.retests import record_break
from mes.workorders.scanning import (
    ACCEPTED,
    Scan,
    answered,
    current_unit,
)

Command = Callable[["Scan", str], dict[str, Any]]


def run_command(scan: Scan) -> dict[str, Any] | None:
    """Do what a command says and answer it; None for what is no command. Refuses with ``unknown_command``."""
    if scan.label.syntax != Syntax.COMMAND:
        return None
    word, _, rest = scan.label.value.partition(":")
    command = COMMANDS.get(word)
    if command is None:
        raise RuleViolation(
            "unknown_command",
            f"There is no command {word}.",
            rule="commands are known words",
            next_step=f"Known commands: {', '.join(COMMANDS)}.",
        )
    return command(scan, rest)


def add_command(word: str, command: Command) -> None:
    """Let an app above this one answer ``CMD:WORD`` and ``CMD:WORD:REST``; call it once, when it is ready."""
    COMMANDS[word] = command


def _start(scan: Scan, _rest: str) -> dict[str, Any]:
    unit = current_unit(scan)
    operation = require_at_hand(position_of(unit), scan.device.station.work_center)
    start_operation(unit=unit, sequence=operation.sequence, station=scan.device.station, by=scan.by)
    return answered(ACCEPTED, "Started", f"{operation} of {unit.serial} is running.", scan.session)


def _done(scan: Scan, _rest: str) -> dict[str, Any]:
    unit, station = current_unit(scan), scan.device.station
    operation = require_at_hand(position_of(unit), station.work_center)
    complete_operation(unit=unit, sequence=operation.sequence, station=station, by=scan.by)
    scan.session.slot = None
    return answered(ACCEPTED, "Done", f"{operation} of {unit.serial} is complete.", scan.session)


def _problem(scan: Scan, symptom: str) -> dict[str, Any]:
    unit, slot, station = current_unit(scan), scan.session.slot, scan.device.station
    found = report_problem(
        unit=unit,
        symptom=symptom,
        source=Nonconformance.Source.TERMINAL,
        by=scan.by,
        work_center=station.work_center,
        location=slot.name if slot else "",
    )
    scan.session.unit = scan.session.slot = None
    held = f"{unit.serial} is on hold: {found.symptom}. Put it on the hold shelf."
    return answered(ACCEPTED, found.number, held, scan.session)


def _sign_off(scan: Scan, _rest: str) -> dict[str, Any]:
    sign_off(device=scan.device, by=scan.by)
    scan.device.operator = None
    scan.session.unit = scan.session.slot = None
    return answered(ACCEPTED, "Signed off", "Nobody is signed on.", scan.session)


def _leave(scan: Scan, _rest: str) -> dict[str, Any]:
    scan.session.unit = scan.session.slot = None
    return answered(ACCEPTED, "Left", "No unit is being worked on here.", scan.session)


def _read(scan: Scan, _rest: str) -> dict[str, Any]:
    operation = require_at_hand(position_of(current_unit(scan)), scan.device.station.work_center)
    instruction = find_instruction(operation.instruction_code)
    require_sign_on(scan.by)
    if instruction is None:
        raise RuleViolation(
            "no_instruction",
            f"{operation} has no work instruction.",
            rule="what is confirmed is there to be read",
            next_step="Go on with the work.",
        )
    confirm_reading(instruction=instruction, person=scan.by.person, by=scan.by)
    return answered(ACCEPTED, "Read and understood", f"{instruction.title}, {instruction}.", scan.session)


def _skip(scan: Scan, rest: str) -> dict[str, Any]:
    unit, station = current_unit(scan), scan.device.station
    operation = require_at_hand(position_of(unit), station.work_center)
    reason = rest.strip() or "skipped at the terminal"
    skip_operation(unit=unit, sequence=operation.sequence, reason=reason, station=station, by=scan.by)
    return answered(ACCEPTED, "Skipped", f"{operation} of {unit.serial} is left out.", scan.session)


def _break(kind: str) -> Command:
    def act(scan: Scan, rest: str) -> dict[str, Any]:
        unit = current_unit(scan)
        reason = rest.strip() or "recorded at the terminal"
        retest = record_break(unit=unit, kind=kind, reason=reason, by=scan.by)
        names = ", ".join(str(operation) for operation in retest.operations) or "nothing"
        rules = ", ".join(rule.name for rule in retest.rules) or "no rule"
        return answered(ACCEPTED, "Opened", f"To be repeated: {names} ({rules}).", scan.session)

    return act


COMMANDS: dict[str, Command] = {
    "START": _start,
    "DONE": _done,
    "READ": _read,
    "SKIP": _skip,
    "WETBREAK": _break("wet_break"),
    "POWERBREAK": _break("power_break"),
    "PROBLEM": _problem,
    "LEAVE": _leave,
    "SIGNOFF": _sign_off,
}
