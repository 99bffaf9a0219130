"""What people do with a run: pause, resume and abort it."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.burnin.findings import Finding, Rule
from mes.burnin.intents import Kind, enqueue
from mes.burnin.models import BurnInAttempt, BurnInRun, Gap
from mes.burnin.tick import save_gaps
from mes.burnin.working import STRESSED, State, Tray
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.stations.services import require_sign_on

ABORTABLE = frozenset({State.QUEUED, State.PREPARING, State.STARTING, State.SOAKING, State.PAUSED})


@transaction.atomic
def pause_run(*, run: BurnInRun, reason: str, by: Actor, keep_stress: bool) -> BurnInRun:
    """Stop counting soak time until the run is resumed; the stress ends meanwhile unless ``keep_stress``.

    The trays are polled as before, for nothing but a leak or a limit that stops the rack: that ends the run.
    Refuses with ``burn_in_not_soaking``, ``reason_required`` or
    ``device_not_signed_on``.
    """
    run = lock_in(run, frozenset({State.SOAKING}), "soaking", reason=reason, by=by)
    now = timezone.now()
    attempts = _live_attempts(run)
    save_gaps([gap for attempt in attempts if (gap := _pause_gap(attempt, now, reason))])
    if not keep_stress:
        enqueue(run=run, attempts=attempts, kind=Kind.STOP, occasion=str(run.epoch + 1))
    _rewind(attempts, keep_stress=keep_stress)
    doing = "stress kept on" if keep_stress else "stress off"
    payload = {"reason": reason, "keep_stress": keep_stress, "credited_seconds": run.credited_seconds}
    move(
        run,
        State.PAUSED,
        "burn_in.paused",
        by=by,
        now=now,
        payload=payload,
        waits_for=f"paused, {doing}: {reason}"[:200],
    )
    return run


@transaction.atomic
def resume_run(*, run: BurnInRun, by: Actor, reason: str = "") -> BurnInRun:
    """Let a paused run go on once every tray reports its stress again; those without are told to start it.

    Refuses with ``burn_in_not_paused`` or ``device_not_signed_on``.
    """
    run = lock_in(run, frozenset({State.PAUSED}), "paused", reason=None, by=by)
    payload = {"reason": reason}
    move(run, State.STARTING, "burn_in.resumed", by=by, now=timezone.now(), payload=payload, waits_for="")
    return run


@transaction.atomic
def abort_run(*, run: BurnInRun, reason: str, by: Actor) -> BurnInRun:
    """End a run without a verdict on the rack: every tray is told to stop.

    Refuses with ``burn_in_not_running`` when it is ending already, ``reason_required`` or
    ``device_not_signed_on``.
    """
    run = lock_in(run, ABORTABLE, "running", reason=reason, by=by)
    if run.state in STRESSED:
        enqueue(run=run, attempts=_live_attempts(run), kind=Kind.STOP)
    text = f"Aborted by {by.person}: {reason}"
    finding = Finding(Rule.ABORT, text, timezone.now(), profile=str(run.profile))
    changes: dict[str, Any] = {
        "abort_reason": reason[:300],
        "reasons": [*run.reasons, text],
        "findings": [*run.findings, finding.as_json()],
        "waits_for": "",
    }
    payload = {"reason": reason, "credited_seconds": run.credited_seconds}
    move(run, State.STOPPING, "burn_in.abort_asked", by=by, now=timezone.now(), payload=payload, **changes)
    return run


def lock_in(
    run: BurnInRun, states: frozenset[State], wanted: str, *, reason: str | None, by: Actor
) -> BurnInRun:
    """Return the run locked, in one of the states, for an act that a person answers for.

    Refuses with ``burn_in_not_`` and ``wanted``, ``reason_required`` or ``device_not_signed_on``.
    """
    require_sign_on(by)
    if reason is not None and not reason.strip():
        raise RuleViolation(
            "reason_required",
            "This needs a reason.",
            rule="whoever interrupts a burn-in says why",
            next_step="Give a reason.",
        )
    run = locked(run)
    if run.state in states:
        return run
    raise RuleViolation(
        f"burn_in_not_{wanted}",
        f"The {run} is {run.state}, not {wanted}.",
        rule="a burn-in is paused while soaking, resumed while paused, and aborted before it stops; a tray is"
        " swapped while soaking or paused",
        next_step="Look at the state of the run again.",
        state=run.state,
    )


def is_abortable(run: BurnInRun) -> bool:
    """Return whether a run can still be aborted: it is neither ending nor ended."""
    return run.state in ABORTABLE


def _live_attempts(run: BurnInRun) -> list[BurnInAttempt]:
    """Return the trays that can still pass; those that failed were told to stop when they did."""
    attempts = BurnInAttempt.objects.filter(run=run).exclude(state__in=[Tray.SUPERSEDED, Tray.FAILED])
    return list(attempts.select_related("slot"))


def _pause_gap(attempt: BurnInAttempt, now: datetime, reason: str) -> Gap | None:
    if attempt.last_good_at is None or attempt.last_good_at >= now:
        return None
    return Gap(attempt=attempt, from_at=attempt.last_good_at, to_at=now, reason=f"paused: {reason}"[:200])


def _rewind(attempts: list[BurnInAttempt], *, keep_stress: bool) -> None:
    """Put trays back to where they wait for their stress, or for its start; what they have soaked stays."""
    keys = [attempt.pk for attempt in attempts if attempt.state != Tray.PENDING]
    state = Tray.STARTING if keep_stress else Tray.PENDING
    BurnInAttempt.objects.filter(pk__in=keys).update(state=state, missed=0, suspect_since=None)


def move(
    run: BurnInRun,
    state: BurnInRun.State,
    kind: str,
    *,
    by: Actor,
    now: datetime,
    payload: dict[str, Any],
    **changes: Any,
) -> None:
    """Change the state of a locked run and fence out whatever tick is under way."""
    fence = {"epoch": run.epoch + 1, "lease_until": None, "next_due_at": now}
    since = run.state_since if state == run.state else now
    record(advance(run, kind, by=by, payload=payload, state=state, state_since=since, **fence, **changes))
