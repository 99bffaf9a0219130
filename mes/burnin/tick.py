"""One tick of one run: claim it, ask the trays outside any transaction, commit behind the fence.

A tick may be sent twice, late, or die half-way. It owns the run only through ``epoch``: every claim, pause,
resume and abort adds one, and a commit whose epoch is no longer the run's changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from mes.burnin import intents
from mes.burnin.attempts import save_attempts
from mes.burnin.bays import find_bay, needs_bay
from mes.burnin.bmc import MEMORIES, find_address
from mes.burnin.bmc_loop import ask
from mes.burnin.compaction import compact_run
from mes.burnin.judging import is_urgent
from mes.burnin.limits import limits_by_kind
from mes.burnin.meters import ask_meters, load_meters, note_meters, save_meters
from mes.burnin.models import BmcEndpoint, BurnInAttempt, BurnInProfile, BurnInRun, Gap, SeriesLimit
from mes.burnin.phases import plan_of
from mes.burnin.redfish import BmcAddress, RedfishError, TrayReading, read_trays
from mes.burnin.results import results_of
from mes.burnin.telemetry import save_polls
from mes.burnin.transitions import HEEDING, decide, trays_to_poll
from mes.burnin.verdict import record_verdict
from mes.burnin.violations import save_violations
from mes.burnin.working import STRESSED, Said, Tick
from mes.ledger.services import SYSTEM, advance, record
from mes.racks.models import Installation
from mes.racks.services import live_children
from mes.serials.models import Identifier

State = BurnInRun.State

LEASE_MARGIN_SECONDS = 5.0
# After an urgent answer the other trays have this long to be heard before the stop is decided.
URGENT_SECONDS = 0.5
WRITTEN = (
    "state",
    "credited_seconds",
    "carried_seconds",
    "last_good_at",
    "last_poll_at",
    "missed",
    "suspect_since",
    "boot_id",
    "reasons",
    "findings",
    "statistics",
)

logger = logging.getLogger(__name__)


def due_runs() -> list[int]:
    """Return the primary keys of the runs that a tick could claim now, longest due first."""
    return list(claimable().order_by("next_due_at").values_list("pk", flat=True))


def advance_run(run_id: int) -> bool:
    """Bring a run one step on if it is due; return whether this call did.

    False means that it was not due, somebody else holds it, or somebody overtook this tick while it polled.
    """
    tick = _claim(run_id)
    if tick is None:
        return False
    asking = ask_meters(tick)
    tick.said = _poll(tick)
    note_meters(tick, asking)
    decide(tick)
    return _commit(tick)


def lease_seconds(profile: BurnInProfile) -> float:
    """Return how long a claim lasts: more than twice what polling may take, 20 s by default."""
    return LEASE_MARGIN_SECONDS + 3 * profile.poll_timeout_seconds


def claimable() -> QuerySet[BurnInRun]:
    """Return the runs that are due and that nobody holds, on the database's clock."""
    # Written as the condition of the partial index is, so that PostgreSQL uses it.
    return BurnInRun.objects.exclude(state__in=["passed", "failed", "aborted"]).filter(
        Q(lease_until__isnull=True) | Q(lease_until__lte=Now()), next_due_at__lte=Now()
    )


def _claim(run_id: int) -> Tick | None:
    due = claimable().filter(pk=run_id)
    run = due.select_related("profile", "unit__site", "bay__meter").annotate(clock=Now()).first()
    if run is None:
        return None
    # Runs live on the database's clock: hosts whose clocks differ must not earn soak time between them.
    skew = run.clock - timezone.now()
    lease = Now() + timedelta(seconds=lease_seconds(run.profile))
    if not due.filter(epoch=run.epoch).update(epoch=run.epoch + 1, lease_until=lease):
        return None
    run.epoch += 1
    return _load(run, now=run.clock, skew=skew)


def _load(run: BurnInRun, *, now: datetime, skew: timedelta) -> Tick:
    attempts = BurnInAttempt.objects.filter(run=run).exclude(state=BurnInAttempt.State.SUPERSEDED)
    in_slot = Installation.objects.live().filter(
        parent=run.unit, slot=OuterRef("slot"), child=OuterRef("unit")
    )
    attempts = attempts.select_related("slot", "unit__part_revision__part", "unit__bmc")
    found = attempts.annotate(is_installed=Exists(in_slot))
    rows: list[BurnInAttempt] = [*found]
    removed = frozenset(attempt.pk for attempt in found if not attempt.is_installed)
    limits = limits_by_kind(SeriesLimit.objects.filter(profile=run.profile).order_by("pk"))
    names = {attempt.unit_id: [attempt.unit.serial.upper()] for attempt in rows}
    for unit_id, value in Identifier.objects.filter(unit__in=names).values_list("unit", "value"):
        names[unit_id].append(value)
    stopped = intents.stops_of(run) if run.state == State.STOPPING else {}
    plan = plan_of(run.profile, run.profile.phases.all())
    results = results_of(rows) if run.state in HEEDING else {}
    tick = Tick(run, rows, limits, names, now, skew, stopped, removed, plan, results, load_meters(run))
    tick.unlike = _unlike(tick) if run.state == State.JUDGING else []
    return tick


def _unlike(tick: Tick) -> list[str]:
    """Return in words which trays of the rack are not those that were soaked."""
    soaked = {attempt.unit_id for attempt in tick.attempts}
    kinds = list(tick.profile.unit_kinds)
    inside = live_children(unit=tick.run.unit).filter(child__part_revision__part__kind__in=kinds)
    return [
        *(
            f"{each.slot.name}: {each.unit.serial} is gone."
            for each in tick.attempts
            if each.pk in tick.removed
        ),
        *(
            f"{each.slot.name}: {each.child.serial} did not soak."
            for each in inside
            if each.child_id not in soaked
        ),
    ]


def _poll(tick: Tick) -> dict[int, Said]:
    trays = trays_to_poll(tick)
    if not trays:
        return {}
    addresses = {attempt.pk: find_address(_endpoint(attempt)) for attempt in trays}
    reachable = {key: address for key, address in addresses.items() if isinstance(address, BmcAddress)}
    limits = {attempt.pk: tick.limits_of(attempt) for attempt in trays}
    stressed = tick.run.state in STRESSED
    said: dict[int, Said] = {key: value for key, value in addresses.items() if isinstance(value, str)}
    answers = ask(
        _ask(
            reachable,
            seconds=tick.profile.poll_timeout_seconds,
            urgent=lambda key, reading: stressed and is_urgent(reading, limits[key]),
        )
    )
    said.update({key: _on_clock(answer, tick.skew) for key, answer in answers.items()})
    return said


def _endpoint(attempt: BurnInAttempt) -> BmcEndpoint | None:
    found: BmcEndpoint | None = getattr(attempt.unit, "bmc", None)
    return found


def _on_clock(answer: TrayReading | RedfishError, skew: timedelta) -> Said:
    if isinstance(answer, RedfishError):
        return str(answer)
    once = {sample.series: sample for sample in answer.samples}
    return replace(answer, taken_at=answer.taken_at + skew, samples=tuple(once.values()))


async def _ask(
    addresses: Mapping[int, BmcAddress], *, seconds: float, urgent: Callable[[int, TrayReading], bool]
) -> dict[int, TrayReading | RedfishError]:
    """Poll all trays side by side; stop waiting for slow ones soon after an urgent answer."""
    pending = {asyncio.create_task(_ask_one(key, address, seconds)) for key, address in addresses.items()}
    until = asyncio.get_running_loop().time() + seconds + URGENT_SECONDS
    answers: dict[int, TrayReading | RedfishError] = {}
    while pending:
        left = until - asyncio.get_running_loop().time()
        done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        for key, answer in (task.result() for task in done):
            answers[key] = answer
            if isinstance(answer, TrayReading) and urgent(key, answer):
                until = min(until, asyncio.get_running_loop().time() + URGENT_SECONDS)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return answers


async def _ask_one(key: int, address: BmcAddress, seconds: float) -> tuple[int, TrayReading | RedfishError]:
    try:
        answers = await read_trays({key: address}, timeout=seconds, memories=MEMORIES)
    except Exception:
        # One tray that answers something nobody foresaw must not keep the others from being judged.
        logger.exception("reading %s failed", address.url)
        return key, RedfishError("garbage", "the answer could not be read")
    return key, answers[key]


def _commit(tick: Tick) -> bool:
    run = tick.run
    with transaction.atomic():
        if run.state == State.QUEUED and needs_bay(run.profile):
            _take_bay(tick)
        wait = 0.0 if tick.state else run.profile.poll_seconds
        if not fenced(run).update(
            bay=run.bay,
            lease_until=None,
            next_due_at=tick.now + timedelta(seconds=wait),
            credited_seconds=run.credited_seconds,
            phase=run.phase,
            step=run.step,
            waits_for="; ".join(tick.waits)[:200],
            reasons=run.reasons,
            findings=run.findings,
        ):
            logger.info("tick %s of %s was overtaken and is discarded", run.epoch, run.stream)
            return False
        _write(tick)
    return True


def _take_bay(tick: Tick) -> None:
    """Reserve a bay before anything begins; without one the run stays queued and says what it waits for."""
    found = find_bay(tick.run)
    if isinstance(found, str):
        tick.state = None
        tick.waits.append(found)
    else:
        tick.run.bay = found


def fenced(run: BurnInRun) -> QuerySet[BurnInRun]:
    """Return the run as long as it is still held by this tick."""
    return BurnInRun.objects.filter(pk=run.pk, epoch=run.epoch)


def _write(tick: Tick) -> None:
    readings = [
        (attempt, said)
        for attempt in tick.attempts
        if isinstance(said := tick.said.get(attempt.pk), TrayReading) and tick.run.state != State.PREPARING
    ]
    if readings:
        save_polls(readings)
    save_gaps(tick.gaps)
    save_violations(tick.violations)
    save_meters(tick.meters)
    if tick.said or tick.changes:
        save_attempts(tick.attempts, WRITTEN)
    for intent in tick.intents:
        occasion = f"{tick.run.phase}.{tick.run.step}:{tick.run.epoch}" if intent.again else ""
        kind = intents.Kind.STOP if tick.step.is_idle else intent.kind
        intents.enqueue(run=tick.run, attempts=intent.attempts, kind=kind, occasion=occasion, step=tick.step)
    if tick.has_new_step:
        payload = {**tick.step.facts(), "credited_seconds": tick.run.credited_seconds}
        record(advance(tick.run, "burn_in.phase", by=SYSTEM, payload=payload))
    if tick.state in BurnInRun.ENDED:
        record_verdict(
            run=tick.run, attempts=tick.attempts, limits=tick.limits, state=tick.state, at=tick.now
        )
        transaction.on_commit(partial(compact_run, tick.run.pk), robust=True)
    elif tick.state or tick.changes:
        _record_step(tick)


def save_gaps(gaps: list[Gap]) -> None:
    """Save gaps; one that is known by its start is made longer and keeps the reason it began with."""
    if gaps:
        Gap.objects.bulk_create(
            gaps, update_conflicts=True, unique_fields=["attempt", "from_at"], update_fields=["to_at"]
        )


def _record_step(tick: Tick) -> None:
    changes: dict[str, Any] = {}
    kind = "burn_in.trays_changed"
    if tick.state:
        kind = f"burn_in.{tick.state}"
        changes = {"state": tick.state, "state_since": tick.now}
    if tick.state == State.SOAKING and tick.run.soak_started_at is None:
        changes["soak_started_at"] = tick.now
    payload: dict[str, Any] = {"trays": tick.changes, "credited_seconds": tick.run.credited_seconds}
    if tick.state == State.PREPARING and tick.run.bay:
        payload["bay"] = tick.run.bay.code
    record(advance(tick.run, kind, by=SYSTEM, payload=payload, **changes))
