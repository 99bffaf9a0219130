"""The state machine of a run: what one tick decides from what the trays answered. Nothing here is saved.

    QUEUED -> PREPARING -> STARTING -> SOAKING -> STOPPING -> JUDGING -> PASSED | FAILED | ABORTED

A failed tray ends the run through STOPPING. PAUSED beside SOAKING is entered and left by people, in services.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mes.burnin.intents import Kind
from mes.burnin.judging import (
    earned_seconds,
    find_identity_fault,
    find_missing,
    in_short,
    is_unbroken,
    note_samples,
    outage_seconds,
)
from mes.burnin.meter_models import RunMeter
from mes.burnin.models import BurnInAttempt, BurnInProfile, BurnInRun, Gap, SeriesLimit
from mes.burnin.redfish import TrayReading

State = BurnInRun.State
Tray = BurnInAttempt.State

# What a tray said: its reading, or in words why there is none.
Said = TrayReading | str

POLLED = frozenset({State.PREPARING, State.STARTING, State.SOAKING, State.STOPPING})
STRESSED = frozenset({State.STARTING, State.SOAKING})


@dataclass(slots=True)
class Intent:
    """Something the trays are to be told, once it is committed; ``again`` when told before."""

    kind: Kind
    attempts: list[BurnInAttempt]
    again: bool = False


@dataclass(slots=True)
class Tick:
    """What a tick works on, and what it decides. Times are on the database's clock, ours plus ``skew``.

    ``said`` holds by attempt what came back; a tray that is not in it was not asked. ``told_to_stop`` holds
    by unit whether the stop was delivered.
    """

    run: BurnInRun
    attempts: list[BurnInAttempt]
    limits: dict[str, list[SeriesLimit]]
    names: dict[int, list[str]]
    now: datetime
    skew: timedelta = timedelta(0)
    told_to_stop: dict[int, bool] = field(default_factory=dict)
    said: dict[int, Said] = field(default_factory=dict)
    state: BurnInRun.State | None = None
    changes: list[dict[str, str]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    meters: list[RunMeter] = field(default_factory=list)

    @property
    def profile(self) -> BurnInProfile:
        """Return how the rack is burned in."""
        return self.run.profile

    @property
    def is_overdue(self) -> bool:
        """Return whether the state has lasted longer than trays may take to start or stop."""
        return self.now - self.run.state_since > timedelta(seconds=self.profile.start_seconds)

    def limits_of(self, attempt: BurnInAttempt) -> list[SeriesLimit]:
        """Return the limits for the kind of a tray."""
        return self.limits.get(attempt.unit.part_revision.part.kind, [])

    def failed(self) -> list[BurnInAttempt]:
        """Return the trays that failed, in this tick or before."""
        return [attempt for attempt in self.attempts if attempt.state == Tray.FAILED]

    def live(self) -> list[BurnInAttempt]:
        """Return the trays that can still pass."""
        return [attempt for attempt in self.attempts if attempt.state != Tray.FAILED]


def decide(tick: Tick) -> None:
    """Judge what the trays said and put the next state, credit, gaps and intents into the tick."""
    STEPS[State(tick.run.state)](tick)


def trays_to_poll(tick: Tick) -> list[BurnInAttempt]:
    """Return the trays whose answer the state of the run needs."""
    if tick.run.state == State.STOPPING:
        return [attempt for attempt in tick.attempts if attempt.unit_id in tick.told_to_stop]
    return tick.live() if tick.run.state in POLLED else []


def _leave_queue(tick: Tick) -> None:
    tick.state = State.PREPARING


def _identify(tick: Tick) -> None:
    unknown = {attempt.pk: why for attempt in tick.live() if (why := _identify_tray(tick, attempt))}
    if tick.failed():
        _end_soak(tick)
    elif not unknown:
        tick.state = State.STARTING
        tick.intents.append(Intent(Kind.START, tick.attempts))
        _set_states(tick, tick.attempts, Tray.STARTING)
    else:
        _wait_or_fail(tick, unknown, "was not identified")


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
    idle: dict[int, str] = {}
    for attempt in tick.live():
        said = tick.said.get(attempt.pk)
        if isinstance(said, TrayReading) and not _is_in_danger(tick, attempt, said, soaking=False):
            if why := _find_fault(tick, attempt, said):
                idle[attempt.pk] = why
        elif not isinstance(said, TrayReading):
            idle[attempt.pk] = said or "not asked yet"
    if tick.failed():
        _end_soak(tick)
    elif idle:
        _wait_or_fail(tick, idle, "did not start its stress")
    else:
        _begin_soak(tick)


def _begin_soak(tick: Tick) -> None:
    tick.state = State.SOAKING
    for attempt in tick.attempts:
        reading = tick.said[attempt.pk]
        if isinstance(reading, TrayReading):
            _note_good(tick, attempt, reading.taken_at, "the run was paused")
    _set_states(tick, tick.attempts, Tray.RUNNING)


def _soak(tick: Tick) -> None:
    for attempt in tick.live():
        said = tick.said.get(attempt.pk)
        if isinstance(said, TrayReading):
            _judge_reading(tick, attempt, said)
        elif said is not None:
            _note_miss(tick, attempt, tick.now, f"missed polls: {said}", said)
    tick.run.credited_seconds = _least_credit(tick.live(), tick.run.credited_seconds)
    if tick.failed() or _is_soaked(tick):
        _end_soak(tick)


def _least_credit(live: list[BurnInAttempt], otherwise: float) -> float:
    return min((attempt.credited_seconds for attempt in live), default=otherwise)


def _is_soaked(tick: Tick) -> bool:
    steady = all(attempt.state == Tray.RUNNING for attempt in tick.attempts)
    return steady and tick.run.credited_seconds >= tick.profile.required_seconds


def _judge_reading(tick: Tick, attempt: BurnInAttempt, reading: TrayReading) -> None:
    if _is_in_danger(tick, attempt, reading, soaking=True):
        return
    if fault := _find_fault(tick, attempt, reading):
        _note_miss(tick, attempt, reading.taken_at, f"no good sample: {fault}", fault)
        return
    polled = "missed polls" if attempt.missed else "late polls"
    _note_good(tick, attempt, reading.taken_at, _outage(attempt, reading.taken_at, tick.profile) or polled)
    if attempt.state == Tray.SUSPECT:
        _set_states(tick, [attempt], Tray.RUNNING)


def _is_in_danger(tick: Tick, attempt: BurnInAttempt, reading: TrayReading, *, soaking: bool) -> bool:
    """Fail the tray for what no patience helps against; return whether it failed."""
    if fault := _find_wrong(tick, attempt, reading):
        _fail(tick, attempt, fault)
    else:
        elapsed = _since_last_poll(attempt, reading.taken_at, tick.profile)
        limits = tick.limits_of(attempt)
        breaches = note_samples(attempt.statistics, reading.samples, limits, elapsed=elapsed, soaking=soaking)
        for breach in breaches:
            _fail(tick, attempt, f"{attempt.slot.name}: {breach}")
    return attempt.state == Tray.FAILED


def _find_wrong(tick: Tick, attempt: BurnInAttempt, reading: TrayReading) -> str:
    """Return what no later reading can put right: a leak, another tray, a reboot; or ""."""
    slot, before = attempt.slot, attempt.boot_id
    if reading.leak:
        return f"{slot.name} leaks: {in_short(list(reading.leak))}."
    if before and reading.boot_id and reading.boot_id != before:
        return f"{slot.name} rebooted: boot {reading.boot_id}, before {before}."
    return find_identity_fault(reading, slot, tick.names[attempt.unit_id])


def _since_last_poll(attempt: BurnInAttempt, at: datetime, profile: BurnInProfile) -> float:
    if attempt.last_poll_at is None:
        return 0.0
    return min(max(0.0, (at - attempt.last_poll_at).total_seconds()), profile.max_gap_seconds)


def _find_fault(tick: Tick, attempt: BurnInAttempt, reading: TrayReading) -> str:
    """Return why a reading is not a good one, or ""."""
    if not reading.stress_active:
        return "its stress is not running"
    if attempt.boot_id and not reading.boot_id:
        return "the BMC reports no boot time"
    missing = find_missing(reading.samples, tick.limits_of(attempt), attempt.statistics)
    return f"no usable value of {in_short(missing)}" if missing else ""


def _note_good(tick: Tick, attempt: BurnInAttempt, at: datetime, otherwise: str) -> None:
    if attempt.last_good_at is not None and not is_unbroken(attempt, at, tick.profile):
        _note_gap(tick, attempt, at, otherwise)
    attempt.credited_seconds += earned_seconds(attempt, at, tick.profile)
    attempt.missed, attempt.suspect_since = 0, None
    attempt.last_good_at = max(at, attempt.last_good_at or at)
    attempt.last_poll_at = max(at, attempt.last_poll_at or at)


def _note_miss(tick: Tick, attempt: BurnInAttempt, at: datetime, cause: str, why: str) -> None:
    attempt.missed += 1
    if attempt.missed >= tick.profile.missed_polls and attempt.state == Tray.RUNNING:
        attempt.suspect_since = at
        _set_states(tick, [attempt], Tray.SUSPECT, why)
    if not is_unbroken(attempt, at, tick.profile):
        _note_gap(tick, attempt, at, _outage(attempt, at, tick.profile) or cause)
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
        _fail(tick, attempt, f"{attempt.slot.name} gave no good sample for {seconds:.0f} s: {why}.")
    else:
        tick.waits.append(f"{attempt.slot.name} is suspect: {why}")


def _outage(attempt: BurnInAttempt, at: datetime, profile: BurnInProfile) -> str:
    seconds = outage_seconds(attempt, at, profile)
    return f"our outage: nobody polled for {seconds:.0f} s" if seconds else ""


def _note_gap(tick: Tick, attempt: BurnInAttempt, to_at: datetime, reason: str) -> None:
    if attempt.last_good_at is not None and to_at > attempt.last_good_at:
        tick.gaps.append(Gap(attempt=attempt, from_at=attempt.last_good_at, to_at=to_at, reason=reason[:200]))


def _wait_or_fail(tick: Tick, why: dict[int, str], verb: str) -> None:
    for attempt in tick.attempts:
        if attempt.pk not in why:
            continue
        if tick.is_overdue:
            limit = f"{tick.profile.start_seconds:g} s"
            _fail(tick, attempt, f"{attempt.slot.name} {verb} within {limit}: {why[attempt.pk]}.")
        else:
            tick.waits.append(f"{attempt.slot.name}: {why[attempt.pk]}")
    if tick.failed():
        _end_soak(tick)


def _end_soak(tick: Tick) -> None:
    """Go to STOPPING; every tray that may run stress is told to stop it."""
    if tick.run.state in STRESSED:
        tick.intents.append(Intent(Kind.STOP, tick.attempts))
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
        _fail(tick, attempt, f"{attempt.slot.name} was not seen to end its stress: {noisy[attempt.pk]}.")
    tick.state = State.JUDGING


STILL_RUNNING = "its stress is still running"


def _why_noisy(tick: Tick, attempt: BurnInAttempt) -> str:
    said = tick.said.get(attempt.pk)
    if not isinstance(said, TrayReading):
        return said or "not asked yet"
    if said.stress_active is None:
        return "the BMC does not tell whether its stress is running"
    return STILL_RUNNING if said.stress_active else ""


def _among(tick: Tick, keys: Iterable[int]) -> list[BurnInAttempt]:
    wanted = set(keys)
    return [attempt for attempt in tick.attempts if attempt.pk in wanted]


def _judge(tick: Tick) -> None:
    required = tick.profile.required_seconds
    for attempt in tick.live():
        soaked = attempt.credited_seconds >= required and attempt.state == Tray.RUNNING
        _set_states(tick, [attempt], Tray.PASSED if soaked else Tray.ABORTED)
    tick.state = _verdict(tick)
    if tick.state == State.FAILED and not tick.failed():
        hours = tick.run.credited_hours
        tick.run.reasons = [f"Only {hours:.2f} of {tick.profile.required_hours:g} hours were soaked."]


def _verdict(tick: Tick) -> BurnInRun.State:
    if tick.run.abort_reason:
        return State.ABORTED
    passed = all(attempt.state == Tray.PASSED for attempt in tick.attempts)
    return State.PASSED if tick.attempts and passed else State.FAILED


def _fail(tick: Tick, attempt: BurnInAttempt, reason: str) -> None:
    attempt.reasons = [*attempt.reasons, reason]
    tick.run.reasons = [*tick.run.reasons, reason]
    if attempt.state != Tray.FAILED:
        _set_states(tick, [attempt], Tray.FAILED, reason)


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
    State.STOPPING: _await_quiet,
    State.JUDGING: _judge,
}
