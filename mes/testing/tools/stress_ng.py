"""Reader of ``stress-ng --yaml``: what each stressor did. Only the exit status says if checks passed."""

from collections.abc import Iterator
from typing import Any

import yaml

from mes.testing.models import Measurement
from mes.testing.services import Result, measure
from mes.testing.tools.output import DEEPEST, Body, UnreadableOutput, conclude, objects

MOST_CHARACTERS = 256 * 1024
FAILED_STATUS = 2
# EXIT STATUS of stress-ng(1).
STATUSES = {
    1: "it was called wrongly, or its harness ran out of resources",
    3: "a stressor lacked resources and was not started",
    4: "a stressor is not implemented on this machine",
    5: "a stressor was killed by a signal",
    6: "a stressor ended by itself",
    7: "its counts are not to be trusted",
}
MEASURED = {"bogo-ops-per-second-real-time": "1/s", "wall-clock-time": "s"}


def load_stress_ng(text: str) -> Body:
    """Return the YAML document of a run; raises UnreadableOutput, also for a document with aliases."""
    if len(text) > MOST_CHARACTERS:
        raise UnreadableOutput(f"YAML of more than {MOST_CHARACTERS // 1024} KiB is not read")
    try:
        _require_plain(text)
        data = yaml.safe_load(text)
    except UnreadableOutput:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise UnreadableOutput(f"its YAML is cut or damaged: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(data, dict) or not isinstance(data.get("system-info"), dict):
        raise UnreadableOutput("it is no output of stress-ng --yaml")
    return data


def _require_plain(text: str) -> None:
    """Refuse aliases and deep nesting before anything is built of them: both can cost without end."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
            raise UnreadableOutput("it refers to itself or is nested too deep")


def read_stress_ng(data: Body, text: str, *, exit_status: int | None) -> Result:
    """Judge a run by its exit status: 2 is FAIL, 0 is PASS if every stressor worked, the rest is RETEST."""
    stressors = objects(data.get("metrics"))
    info = data["system-info"]
    return conclude(
        "stress-ng",
        failures=["One or more stressors failed their checks."] if exit_status == FAILED_STATUS else [],
        faults=_faults(stressors, text, exit_status),
        procedure_version=str(info.get("stress-ng-version") or "")[:30],
        measurements=[row for stressor in stressors for row in _measurements(stressor)],
        details={"system": {str(key): str(value) for key, value in info.items()}, "exit_status": exit_status},
    )


def _faults(stressors: list[Body], text: str, exit_status: int | None) -> Iterator[str]:
    if exit_status is None:
        yield "The exit status of stress-ng was not given; its YAML does not say whether its checks passed."
    elif exit_status in STATUSES:
        yield f"stress-ng ended with status {exit_status}: {STATUSES[exit_status]}."
    if not text.rstrip().endswith("\n..."):
        yield "The end of the YAML document is missing: the output is cut."
    if not stressors:
        yield "No stressor ran."
    for stressor in stressors:
        if not _is_positive(stressor.get("bogo-ops")):
            yield f"The stressor {_name(stressor)} did nothing."


def _measurements(stressor: Body) -> Iterator[Measurement]:
    for key, unit in MEASURED.items():
        if key in stressor:
            row = measure(key, stressor[key], unit=unit)
            row.component = _name(stressor)[:120]
            yield row


def _name(stressor: Body) -> str:
    return str(stressor.get("stressor") or "without a name")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
