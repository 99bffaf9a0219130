"""Results of stress tools in a run: taken in while it goes on, and what they decide about its trays."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.attachments.services import store_attachment
from mes.burnin.models import BurnInAttempt, BurnInRun, ToolResult
from mes.errors import RuleViolation
from mes.ledger.services import Actor, locked
from mes.racks.services import configuration_digest
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.testing.services import record_test_run, storable
from mes.testing.tools.reading import ToolOutput, UnreadableOutput

Outcome = TestRun.Outcome
State = BurnInRun.State
Results = Mapping[int, Sequence[ToolResult]]

OPEN = (State.STARTING, State.SOAKING, State.PAUSED, State.STOPPING, State.JUDGING)
SUFFIXES = {"ocp": "jsonl", "dcgm": "json", "fio": "json", "stress-ng": "yaml"}


def results_of(attempts: Iterable[BurnInAttempt]) -> Results:
    """Return the results of trays, oldest first, by the attempt's primary key. One query."""
    found: dict[int, list[ToolResult]] = {}
    for result in ToolResult.objects.filter(attempt__in=attempts).select_related("test_run", "output"):
        found.setdefault(result.attempt_id, []).append(result)
    return found


def find_failure(results: Iterable[ToolResult]) -> str:
    """Return why a tool says that the tray is bad, or ""; no later result takes a FAIL back."""
    failed = next((result for result in results if result.test_run.outcome == Outcome.FAIL), None)
    return f"{failed} is FAIL{_because(failed)}" if failed else ""


def find_lacking(results: Iterable[ToolResult], required: Collection[str]) -> list[str]:
    """Return what the evidence of a tray lacks, in words; of each test of a tool the latest result stands.

    ``required`` names tools, or with a colon one test of a tool; any PASS of a tool that stands will do.
    """
    latest = {(result.tool, result.name): result for result in results}
    passed = {key for key, result in latest.items() if result.test_run.outcome == Outcome.PASS}
    met = {tool for tool, _ in passed} | {f"{tool}:{name}" for tool, name in passed}
    unrun = [result for key, result in latest.items() if key not in passed]
    tried = {result.tool for result in unrun} | {f"{result.tool}:{result.name}" for result in unrun}
    return [
        *(f"{result} could not run{_because(result)}" for result in unrun),
        *(f"no result of {tool}" for tool in required if tool not in met | tried),
    ]


def lacking_of(
    attempts: Iterable[BurnInAttempt], results: Results, required: Mapping[str, Collection[str]]
) -> dict[int, str]:
    """Return by tray what its evidence lacks, in words; ``required`` are the tools by unit kind."""
    lacking = {
        attempt.pk: find_lacking(
            results.get(attempt.pk, ()), required.get(attempt.unit.part_revision.part.kind, ())
        )
        for attempt in attempts
    }
    return {key: "; ".join(each) for key, each in lacking.items() if each}


def _because(result: ToolResult) -> str:
    reasons = result.test_run.reasons
    return f": {str(reasons[0]).rstrip('.')}" if reasons else ""


def evidence_of(attempts: Iterable[BurnInAttempt]) -> list[dict[str, Any]]:
    """Return the results of trays as JSON-ready rows for the verdict, tray by tray. One query."""
    trays = list(attempts)
    results = results_of(trays)
    return [
        {"slot": attempt.slot.name, "attempt": attempt.number, **result_row(result)}
        for attempt in trays
        for result in results.get(attempt.pk, ())
    ]


def result_row(result: ToolResult) -> dict[str, Any]:
    """Return a result as JSON-ready data; ``sha256`` is of the output as it is kept."""
    test = result.test_run
    return {
        "tool": result.tool,
        "name": result.name,
        "outcome": test.outcome,
        "reasons": test.reasons,
        "received_at": test.received_at.isoformat(),
        "test_run": str(test.uid),
        "output": str(result.output.uid),
        "sha256": result.output.sha256,
    }


@transaction.atomic
def post_result(
    *,
    run: BurnInRun,
    output: ToolOutput | UnreadableOutput,
    by: Actor,
    slot: str = "",
    unit: Unit | None = None,
) -> ToolResult:
    """Keep what a tool found on the tray in a slot of a run (or on a unit), as a test run of that tray.

    The next tick heeds it. Refuses with ``result_unreadable``, ``burn_in_takes_no_results`` before the stress
    and after the verdict, ``not_in_burn_in``, and as ``store_attachment`` does.
    """
    if isinstance(output, UnreadableOutput):
        raise _unreadable(output)
    run = locked(run)
    if run.state not in OPEN:
        raise _closed(run)
    attempt = _find_attempt(run, slot, unit)
    suffix = SUFFIXES.get(output.tool, "txt")
    kept = store_attachment(
        site=run.unit.site,
        name=f"{output.tool}-{attempt.slot.name}-{attempt.number}.{suffix}",
        content_type="text/plain",
        content=output.kept.encode(),
        by=by,
    )
    result = output.result
    result.procedure = f"burn_in_{output.tool}"
    result.details |= {"burn_in_run": str(run.uid), "slot": attempt.slot.name, "sha256": kept.sha256}
    test = record_test_run(
        unit=attempt.unit, result=result, configuration=configuration_digest(attempt.unit), by=by
    )
    if run.state == State.JUDGING:
        _judge_again(run)
    name = storable(output.name)
    return ToolResult.objects.create(attempt=attempt, tool=output.tool, name=name, test_run=test, output=kept)


def _judge_again(run: BurnInRun) -> None:
    """Fence out a tick that may be writing the verdict without this result, and let the next one begin."""
    fence = {"epoch": run.epoch + 1, "lease_until": None, "next_due_at": timezone.now()}
    BurnInRun.objects.filter(pk=run.pk).update(**fence)


def _find_attempt(run: BurnInRun, slot: str, unit: Unit | None) -> BurnInAttempt:
    live = run.attempts.exclude(state=BurnInAttempt.State.SUPERSEDED).select_related("slot", "unit")
    attempts = list(live)
    for attempt in attempts:
        is_slot = not slot or attempt.slot.name.casefold() == slot.casefold()
        if is_slot and (unit is None or attempt.unit_id == unit.pk):
            return attempt
    raise RuleViolation(
        "not_in_burn_in",
        f"The {run} soaks nothing like {slot or (unit and unit.serial)}.",
        rule="a result belongs to a tray that the run soaks now",
        next_step="Name one of its slots, or the tray that is installed there.",
        slots=[attempt.slot.name for attempt in attempts],
    )


def _unreadable(error: UnreadableOutput) -> RuleViolation:
    return RuleViolation(
        "result_unreadable",
        f"The output cannot be read: {error}.",
        rule="what a tool found is read from its own whole output",
        next_step="Send it as the tool wrote it, under the tool's name; if it broke off, run the tool again.",
    )


def _closed(run: BurnInRun) -> RuleViolation:
    return RuleViolation(
        "burn_in_takes_no_results",
        f"The {run} is {run.state}.",
        rule="results of stress tools belong to a burn-in from its stress to its verdict",
        next_step="Send it while the run goes on; report a test outside a burn-in as a test run of the unit.",
        state=run.state,
    )
