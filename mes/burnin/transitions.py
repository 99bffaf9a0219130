"""The state machine of a run: what one tick decides from what the trays answered. Nothing here is saved.

    QUEUED -> PREPARING -> STARTING -> SOAKING -> STOPPING -> JUDGING -> PASSED | FAILED | ABORTED

A failed tray ends the run through STOPPING, or is held until it is swapped while the others soak on. PAUSED
beside SOAKING is entered and left by people, in acts; a tray that was swapped comes up by itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mes.burnin.crediting import note_gap, note_good, outage, since_last_poll
from mes.burnin.findings import Finding, Rule
from mes.burnin.intents import Kind
from mes.burnin.judging import (
    find_identity_fault,
    find_missing,
    in_short,
    is_unbroken,
    note_absences,
    note_samples,
)
from mes.burnin.limits import Moment
from mes.burnin.models import BurnInAttempt, BurnInProfile, BurnInRun
from mes.burnin.redfish import TrayReading
from mes.burnin.results import find_failure, lacking_of
from mes.burnin.working import POLLED, STRESSED, Intent, State, Tick, Tray

COMING_UP = frozenset({Tray.PENDING, Tray.STARTING})
HEEDING = frozenset({State.STARTING, State.SOAKING, State.STOPPING, State.JUDGING})


def decide(tick: Tick) -> None:
    """Judge what the trays said and put the next state, credit, gaps and intents into the tick."""
    if tick.run.state in HEEDING:
        _heed_results(tick)
    STEPS[State(tick.run.state)](tick)


def _heed_results(tick: Tick) -> None:
    for attempt in tick.live():
        if failure := find_failure(tick.results.get(attempt.pk, ())):
            _fail(tick, attempt, Finding(Rule.TOOL, f"{attempt.slot.name}: {failure}."))


def _find_lacking(tick: Tick) -> dict[int, str]:
    """Return by tray what its results lack for a PASS; nothing where the verdict is another one already."""
    if tick.failed() or tick.run.abort_reason:
        return {}
    return lacking_of(tick.attempts, tick.results, tick.profile.required_tools or {})


def trays_to_poll(tick: Tick) -> list[BurnInAttempt]:
    """Return the trays whose answer the state of the run needs.

    A tray that was taken out is asked no more once it failed, nor while the run is paused.
    """
    if tick.run.state not in POLLED:
        return []
    paused, stopping = tick.run.state == State.PAUSED, tick.run.state == State.STOPPING
    return [
        attempt
        for attempt in tick.attempts
        if (not stopping or attempt.unit_id in tick.told_to_stop)
        and not (attempt.pk in tick.removed and (paused or attempt.state == Tray.FAILED))
    ]


def _leave_queue(tick: Tick) -> None:
    tick.state = State.PREPARING


def _identify(tick: Tick) -> None:
    unknown = {attempt.pk: why for attempt in tick.live() if (why := _identify_tray(tick, attempt))}
    _wait_or_fail(tick, unknown, "was not identified")
    if not _settle(tick) and not unknown:
        tick.state = State.STARTING
        tick.follow_plan()
        tick.has_new_step = bool(tick.step.phase)
        if not tick.step.is_idle:
            tick.intents.append(Intent(Kind.START, tick.attempts))
        _set_states(tick, tick.attempts, Tray.STARTING)


def _identify_tray(tick: Tick, attempt: BurnInAttempt) -> str:
    """Return why the tray is not yet known to be the right one; fails it when it is a wrong one."""
    said = tick.said.get(attempt.pk)
    if not isinstance(said, TrayReading):
        return said or "not asked yet"
    if fault := _find_wrong(tick, attempt, said):
        _fail(tick, attempt, fault)
        return ""
    attempt.boot_id, attempt.last_poll_at = said.boot_id, said.taken_at
    return "" if said.serial else "the BMC reports no serial"


def _await_stress(tick: Tick) -> None:
    _watch_held(tick)
    idle = {attempt.pk: why for attempt in tick.live() if (why := _bring_up(tick, attempt))}
    _wait_or_fail(tick, idle, "did not start its stress")
    if not _settle(tick) and not _go_on(tick) and not idle:
        _begin_soak(tick)


def _go_on(tick: Tick) -> bool:
    """Tell the trays when another step of the profile has come; return whether it has."""
    has_come = tick.follow_plan()
    if has_come:
        told = {attempt.pk for intent in tick.intents for attempt in intent.attempts}
        others = [each for each in tick.live() if each.state != Tray.PENDING and each.pk not in told]
        tick.intents.append(Intent(Kind.START, others, again=True))
    return has_come


def _bring_up(tick: Tick, attempt: BurnInAttempt) -> str:
    """Take a tray a step nearer to its soak; return why it is not there, "" when it is or when it failed."""
    if attempt.state == Tray.PENDING:
        why = _identify_tray(tick, attempt)
        if why or attempt.state == Tray.FAILED:
            return why
        tick.intents.append(Intent(Kind.START, [attempt], again=True))
        _set_states(tick, [attempt], Tray.STARTING)
        return "its stress is being started"
    said = tick.said.get(attempt.pk)
    if not isinstance(said, TrayReading):
        return said or "not asked yet"
    return "" if _is_in_danger(tick, attempt, said, soaking=False) else _find_fault(tick, attempt, said)


def _begin_soak(tick: Tick) -> None:
    tick.state = State.SOAKING
    for attempt in tick.live():
        _begin_tray(tick, attempt)
    _settle(tick)


def _begin_tray(tick: Tick, attempt: BurnInAttempt) -> None:
    reading, fault = tick.said[attempt.pk], ""
    if isinstance(reading, TrayReading):
        fault = note_good(tick, attempt, reading.taken_at, "the run was paused")
    _set_states(tick, [attempt], Tray.RUNNING)
    if fault:
        _fail(tick, attempt, Finding(Rule.GAP, fault, tick.now))


def _soak(tick: Tick) -> None:
    _watch_held(tick)
    for attempt in tick.live():
        said = tick.said.get(attempt.pk)
        if attempt.state in COMING_UP:
            _join(tick, attempt)
        elif isinstance(said, TrayReading):
            _judge_reading(tick, attempt, said)
        elif said is not None:
            _note_miss(tick, attempt, tick.now, f"missed polls: {said}", said)
    tick.run.credited_seconds = _least_credit(tick.live(), tick.run.credited_seconds)
    if _settle(tick):
        return
    if _is_soaked(tick):
        _end_soak(tick)
    else:
        _go_on(tick)


def _join(tick: Tick, attempt: BurnInAttempt) -> None:
    """Bring up a tray that was swapped in while the others soak."""
    why = _bring_up(tick, attempt)
    if why:
        _wait_or_fail(tick, {attempt.pk: why}, "did not start its stress")
    elif attempt.state == Tray.STARTING:
        _begin_tray(tick, attempt)


def _watch_paused(tick: Tick) -> None:
    for attempt in tick.attempts:
        _watch(tick, attempt)
    if not _settle(tick):
        tick.waits = [tick.run.waits_for]


def _watch_held(tick: Tick) -> None:
    for attempt in tick.failed():
        _watch(tick, attempt)


def _watch(tick: Tick, attempt: BurnInAttempt) -> None:
    """Look at a tray that does not soak for nothing but what endangers the rack."""
    said = tick.said.get(attempt.pk)
    if not isinstance(said, TrayReading):
        return
    if leak := _find_leak(attempt, said):
        _fail(tick, attempt, leak)
    _judge_samples(tick, attempt, said, soaking=False)
    attempt.last_poll_at = max(said.taken_at, attempt.last_poll_at or said.taken_at)


def _least_credit(live: list[BurnInAttempt], otherwise: float) -> float:
    return min((attempt.credited_seconds for attempt in live), default=otherwise)


def _is_soaked(tick: Tick) -> bool:
    steady = all(attempt.state == Tray.RUNNING for attempt in tick.live())
    return steady and tick.run.credited_seconds >= tick.profile.required_seconds


def _judge_reading(tick: Tick, attempt: BurnInAttempt, reading: TrayReading) -> None:
    if _is_in_danger(tick, attempt, reading, soaking=True):
        return
    if fault := _find_fault(tick, attempt, reading):
        _note_miss(tick, attempt, reading.taken_at, f"no good sample: {fault}", fault)
        return
    polled = "missed polls" if attempt.missed else "late polls"
    otherwise = outage(attempt, reading.taken_at, tick.profile) or polled
    if fault := note_good(tick, attempt, reading.taken_at, otherwise):
        _fail(tick, attempt, Finding(Rule.GAP, fault, reading.taken_at))
    elif attempt.state == Tray.SUSPECT:
        _set_states(tick, [attempt], Tray.RUNNING)


def _is_in_danger(tick: Tick, attempt: BurnInAttempt, reading: TrayReading, *, soaking: bool) -> bool:
    """Fail the tray for what no patience helps against; return whether it failed."""
    if fault := _find_wrong(tick, attempt, reading):
        _fail(tick, attempt, fault)
    else:
        _judge_samples(tick, attempt, reading, soaking=soaking)
    return attempt.state == Tray.FAILED


def _judge_samples(tick: Tick, attempt: BurnInAttempt, reading: TrayReading, *, soaking: bool) -> None:
    """Take a reading into the statistics and the violations; fail the tray for what is breached."""
    limits, statistics, moment = tick.limits_of(attempt), attempt.statistics, _moment(tick, attempt, reading)
    absences = note_absences(statistics, reading.samples, limits, moment) if soaking else []
    noted = note_samples(statistics, reading.samples, limits, moment, soaking=soaking)
    tick.violations += [excursion.row(attempt) for excursion in noted.excursions]
    for finding in absences:
        _fail(tick, attempt, replace(finding, text=f"{attempt.slot.name}: {finding.text}"))
    for breach in noted.breaches:
        _fail(tick, attempt, breach.finding(attempt.slot.name, reading.taken_at))
        tick.stops_rack |= breach.stops_rack


def _moment(tick: Tick, attempt: BurnInAttempt, reading: TrayReading) -> Moment:
    return Moment(
        at=reading.taken_at.timestamp(),
        elapsed=since_last_poll(attempt, reading.taken_at, tick.profile),
        poll_seconds=tick.profile.poll_seconds,
        max_gap_seconds=tick.profile.max_gap_seconds,
        medians=tick.medians_of(attempt),
    )


def _find_wrong(tick: Tick, attempt: BurnInAttempt, reading: TrayReading) -> Finding | None:
    """Return what no later reading can put right: a leak, a reboot, another tray; or None."""
    slot, before, at = attempt.slot, attempt.boot_id, reading.taken_at
    if leak := _find_leak(attempt, reading):
        return leak
    if before and reading.boot_id and reading.boot_id != before:
        return Finding(Rule.REBOOT, f"{slot.name} rebooted: boot {reading.boot_id}, before {before}.", at)
    fault = find_identity_fault(reading, slot, tick.names[attempt.unit_id])
    return Finding(Rule.WRONG_TRAY, fault, at) if fault else None


def _find_leak(attempt: BurnInAttempt, reading: TrayReading) -> Finding | None:
    if not reading.leak:
        return None
    detectors = in_short(list(reading.leak))
    return Finding(Rule.LEAK, f"{attempt.slot.name} leaks: {detectors}.", reading.taken_at, series=detectors)


def _find_fault(tick: Tick, attempt: BurnInAttempt, reading: TrayReading) -> str:
    """Return why a reading is not a good one, or ""."""
    if fault := _find_wrong_stress(tick, reading):
        return fault
    if attempt.boot_id and not reading.boot_id:
        return "the BMC reports no boot time"
    moment = _moment(tick, attempt, reading)
    missing = find_missing(reading.samples, tick.limits_of(attempt), attempt.statistics, moment)
    return f"no usable value of {in_short(missing)}" if missing else ""


def _find_wrong_stress(tick: Tick, reading: TrayReading) -> str:
    if tick.step.is_idle:
        return _why_stressed(reading)
    return "" if reading.stress_active else "its stress is not running"


def _note_miss(tick: Tick, attempt: BurnInAttempt, at: datetime, cause: str, why: str) -> None:
    attempt.missed += 1
    if attempt.missed >= tick.profile.missed_polls and attempt.state == Tray.RUNNING:
        attempt.suspect_since = at
        _set_states(tick, [attempt], Tray.SUSPECT, why)
    if not is_unbroken(attempt, at, tick.profile):
        note_gap(tick, attempt, at, outage(attempt, at, tick.profile) or cause)
    attempt.last_poll_at = max(at, attempt.last_poll_at or at)
    if attempt.state == Tray.SUSPECT:
        _lose_patience(tick, attempt, at, why)


def _lose_patience(tick: Tick, attempt: BurnInAttempt, at: datetime, why: str) -> None:
    since = attempt.suspect_since or at
    patience = timedelta(seconds=tick.profile.suspect_seconds)
    if tick.profile.suspect_policy == BurnInProfile.SuspectPolicy.HOLD:
        tick.waits.append(f"{attempt.slot.name} is suspect, a person must decide: {why}")
    elif at - since >= patience:
        seconds = (at - since).total_seconds()
        text = f"{attempt.slot.name} gave no good sample for {seconds:.0f} s: {why}."
        _fail(tick, attempt, Finding(Rule.SUSPECT, text, at))
    else:
        tick.waits.append(f"{attempt.slot.name} is suspect: {why}")


def _wait_or_fail(tick: Tick, why: dict[int, str], verb: str) -> None:
    for attempt in tick.attempts:
        if attempt.pk not in why:
            continue
        if tick.is_late(attempt):
            limit = f"{tick.profile.start_seconds:g} s"
            text = f"{attempt.slot.name} {verb} within {limit}: {why[attempt.pk]}."
            _fail(tick, attempt, Finding(Rule.START, text))
        else:
            tick.waits.append(f"{attempt.slot.name}: {why[attempt.pk]}")


def _settle(tick: Tick) -> bool:
    """Draw the conclusions from failed trays: stop the rack, or those that failed now; return which it was.

    Held trays wait to be swapped, as long as another one soaks and nothing endangers the rack.
    """
    failed = tick.failed()
    if failed and not (tick.holds and tick.live() and not tick.endangers_rack):
        _end_soak(tick)
        return True
    fresh = [attempt for attempt in failed if attempt.pk not in tick.held]
    if fresh:
        tick.intents.append(Intent(Kind.STOP, fresh))
    tick.waits += [f"{attempt.slot.name} failed: swap it, or abort the run" for attempt in failed]
    return False


def _end_soak(tick: Tick) -> None:
    """Go to STOPPING; every tray that may run stress is told to stop it."""
    if tick.run.state in STRESSED:
        stressed = [attempt for attempt in tick.attempts if attempt.pk not in tick.held]
        tick.intents = [Intent(Kind.STOP, stressed)]
    tick.state = State.STOPPING


def _await_quiet(tick: Tick) -> None:
    noisy = {attempt.pk: why for attempt in trays_to_poll(tick) if (why := _why_noisy(tick, attempt))}
    deaf = [
        attempt
        for attempt in tick.attempts
        if noisy.get(attempt.pk) == STILL_RUNNING and tick.told_to_stop[attempt.unit_id]
    ]
    if deaf:
        tick.intents.append(Intent(Kind.STOP, deaf, again=True))
    if noisy and not tick.is_overdue:
        tick.waits += [f"{attempt.slot.name}: {noisy[attempt.pk]}" for attempt in _among(tick, noisy)]
        return
    for attempt in _among(tick, noisy):
        text = f"{attempt.slot.name} was not seen to end its stress: {noisy[attempt.pk]}."
        _fail(tick, attempt, Finding(Rule.STOP, text))
    tick.state = State.JUDGING


STILL_RUNNING = "its stress is still running"


def _why_noisy(tick: Tick, attempt: BurnInAttempt) -> str:
    said = tick.said.get(attempt.pk)
    return _why_stressed(said) if isinstance(said, TrayReading) else said or "not asked yet"


def _why_stressed(reading: TrayReading) -> str:
    if reading.stress_active is None:
        return "the BMC does not tell whether its stress is running"
    return STILL_RUNNING if reading.stress_active else ""


def _among(tick: Tick, keys: Iterable[int]) -> list[BurnInAttempt]:
    wanted = set(keys)
    return [attempt for attempt in tick.attempts if attempt.pk in wanted]


def _judge(tick: Tick) -> None:
    lacking = _find_lacking(tick)
    if lacking and not tick.is_overdue:
        tick.waits += [f"{attempt.slot.name}: {lacking[attempt.pk]}" for attempt in _among(tick, lacking)]
        return
    required = tick.profile.required_seconds
    for attempt in tick.live():
        soaked = attempt.credited_seconds >= required and attempt.state == Tray.RUNNING
        passed = soaked and attempt.pk not in lacking
        _set_states(tick, [attempt], Tray.PASSED if passed else Tray.ABORTED, lacking.get(attempt.pk, ""))
    if lacking:
        _end_without_verdict(tick, lacking)
        return
    tick.state = _verdict(tick)
    if tick.state == State.PASSED and tick.unlike:
        tick.state = State.FAILED
        for text in tick.unlike:
            _conclude(tick, Finding(Rule.WRONG_TRAY, text, tick.now, profile=str(tick.profile)))
    elif tick.state == State.FAILED and not tick.failed():
        _conclude(tick, _too_few_hours(tick))


def _end_without_verdict(tick: Tick, lacking: dict[int, str]) -> None:
    """End a run whose trays soaked but whose tools did not all pass: it is to be repeated."""
    for attempt in _among(tick, lacking):
        finding = Finding(Rule.TOOL, f"{attempt.slot.name}: {lacking[attempt.pk]}.")
        _note(tick, attempt, finding)
    tick.state = State.ABORTED


def _verdict(tick: Tick) -> BurnInRun.State:
    if tick.run.abort_reason:
        return State.ABORTED
    passed = all(attempt.state == Tray.PASSED for attempt in tick.attempts)
    return State.PASSED if tick.attempts and passed else State.FAILED


def _too_few_hours(tick: Tick) -> Finding:
    hours, required = tick.run.credited_hours, tick.profile.required_hours
    return Finding(
        rule=Rule.HOURS,
        text=f"Only {hours:.2f} of {required:g} hours were soaked.",
        at=tick.now,
        value=hours,
        unit="h",
        low=required,
        profile=str(tick.profile),
    )


def _fail(tick: Tick, attempt: BurnInAttempt, finding: Finding) -> None:
    _note(tick, attempt, finding)
    if attempt.state != Tray.FAILED:
        _set_states(tick, [attempt], Tray.FAILED, finding.text)


def _note(tick: Tick, attempt: BurnInAttempt, finding: Finding) -> None:
    found = finding.on(attempt, at=tick.now, profile=tick.profile)
    attempt.reasons = [*attempt.reasons, found.text]
    attempt.findings = [*attempt.findings, found.as_json()]
    _conclude(tick, found)


def _conclude(tick: Tick, finding: Finding) -> None:
    tick.run.reasons = [*tick.run.reasons, finding.text]
    tick.run.findings = [*tick.run.findings, finding.as_json()]


def _set_states(
    tick: Tick, attempts: Iterable[BurnInAttempt], state: BurnInAttempt.State, reason: str = ""
) -> None:
    for attempt in attempts:
        change: dict[str, Any] = {"slot": attempt.slot.name, "from": str(attempt.state), "to": str(state)}
        tick.changes.append({**change, "reason": reason} if reason else change)
        attempt.state = state


STEPS: dict[BurnInRun.State, Callable[[Tick], None]] = {
    State.QUEUED: _leave_queue,
    State.PREPARING: _identify,
    State.STARTING: _await_stress,
    State.SOAKING: _soak,
    State.PAUSED: _watch_paused,
    State.STOPPING: _await_quiet,
    State.JUDGING: _judge,
}
