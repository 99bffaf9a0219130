"""What a tray is credited with, and the gaps between. Pure, as judging is: what changes is the tick's."""

from datetime import datetime

from mes.burnin.judging import earned_seconds, is_unbroken, outage_seconds
from mes.burnin.models import BurnInAttempt, BurnInProfile, Gap
from mes.burnin.phases import credit_after_gap
from mes.burnin.working import Tick


def note_good(tick: Tick, attempt: BurnInAttempt, at: datetime, otherwise: str) -> str:
    """Credit a tray up to a good sample; what lies before it after a break is a gap, by ``otherwise``.

    Returns in words why the gap fails the tray, "" when it does not.
    """
    fault = ""
    if attempt.last_good_at is not None and not is_unbroken(attempt, at, tick.profile):
        note_gap(tick, attempt, at, otherwise)
        fault = _apply_gap_policy(tick, attempt, (at - attempt.last_good_at).total_seconds())
    attempt.credited_seconds += earned_seconds(attempt, at, tick.profile)
    attempt.missed, attempt.suspect_since = 0, None
    attempt.last_good_at = max(at, attempt.last_good_at or at)
    attempt.last_poll_at = max(at, attempt.last_poll_at or at)
    return fault


def _apply_gap_policy(tick: Tick, attempt: BurnInAttempt, seconds: float) -> str:
    left = credit_after_gap(tick.profile, tick.plan, attempt.credited_seconds, seconds)
    if left is None:
        return f"{attempt.slot.name} had a gap of {seconds:.0f} s, longer than its profile lets pass."
    if left < attempt.credited_seconds:
        credit = {"from": f"{attempt.credited_seconds:.0f} s", "to": f"{left:.0f} s"}
        tick.changes.append({"slot": attempt.slot.name, **credit, "reason": f"a gap of {seconds:.0f} s"})
        attempt.credited_seconds = left
        attempt.carried_seconds = min(attempt.carried_seconds, left)
    return ""


def note_gap(tick: Tick, attempt: BurnInAttempt, to_at: datetime, reason: str) -> None:
    """Note that the time since the last good sample earns nothing."""
    if attempt.last_good_at is not None and to_at > attempt.last_good_at:
        tick.gaps.append(Gap(attempt=attempt, from_at=attempt.last_good_at, to_at=to_at, reason=reason[:200]))


def outage(attempt: BurnInAttempt, at: datetime, profile: BurnInProfile) -> str:
    """Return in words how long nobody polled, when that alone broke the soak, else ""."""
    seconds = outage_seconds(attempt, at, profile)
    return f"our outage: nobody polled for {seconds:.0f} s" if seconds else ""


def since_last_poll(attempt: BurnInAttempt, at: datetime, profile: BurnInProfile) -> float:
    """Return the time in seconds that a value at ``at`` stands for, at most the longest gap."""
    if attempt.last_poll_at is None:
        return 0.0
    return min(max(0.0, (at - attempt.last_poll_at).total_seconds()), profile.max_gap_seconds)
