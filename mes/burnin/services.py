"""The door of burn-in: set how a BMC is reached; start, pause, resume and abort a run; read its series."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone

from mes.burnin.bays import BayStatus, Wall, bays_of, require_bay, wall_of
from mes.burnin.bmc import find_address
from mes.burnin.energy import energy_of
from mes.burnin.intents import Kind, enqueue
from mes.burnin.metering import open_meters, set_bay_meter, set_shelf_meter
from mes.burnin.models import BmcEndpoint, BurnInAttempt, BurnInBay, BurnInProfile, BurnInRun, Gap
from mes.burnin.port_reading import read_ports
from mes.burnin.redfish import BmcAddress, Component, Inventory, RedfishError, read_inventories
from mes.burnin.redfish_inventory import told, told_identity
from mes.burnin.redfish_ports import PortSeen
from mes.burnin.secrets import encrypt_password
from mes.burnin.telemetry import Point, Series, read_series
from mes.burnin.tick import save_gaps
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.products.models import Gate
from mes.racks.models import Installation
from mes.racks.services import configuration_digest, live_children
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.testing.services import live_outcomes
from mes.workorders.models import OperationRun, OrderUnit

__all__ = [
    "BayStatus",
    "BmcAddress",
    "Component",
    "Inventory",
    "Point",
    "PortSeen",
    "RedfishError",
    "Series",
    "Wall",
    "abort_run",
    "bays_of",
    "energy_of",
    "find_address",
    "pause_run",
    "read_inventories",
    "read_ports",
    "read_series",
    "require_bmc_url",
    "resume_run",
    "set_bay_meter",
    "set_bmc",
    "set_shelf_meter",
    "start_run",
    "told",
    "told_identity",
    "wall_of",
]

State = BurnInRun.State
Tray = BurnInAttempt.State

ABORTABLE = frozenset({State.QUEUED, State.PREPARING, State.STARTING, State.SOAKING, State.PAUSED})
DONE = (OperationRun.State.COMPLETE, OperationRun.State.SKIPPED)
FIRMWARE = "firmware"  # the test by which a route asks for the baseline
STRESSED = frozenset({State.STARTING, State.SOAKING, State.PAUSED})


@transaction.atomic
def set_bmc(*, unit: Unit, url: str, username: str, password: str, by: Actor) -> BmcEndpoint:
    """Set where the BMC of a unit answers and how to log in; the password is stored encrypted.

    Refuses with ``bmc_url_invalid`` anything but http(s)://host[:port] without credentials in it.
    """
    require_bmc_url(url)
    unit = lock_units(unit.pk)[unit.pk]
    login = {"url": url, "username": username, "password_encrypted": encrypt_password(password)}
    endpoint, _ = BmcEndpoint.objects.update_or_create(unit=unit, defaults=login)
    record(advance(unit, "unit.bmc_set", by=by, payload={"url": url, "username": username}))
    return endpoint


@transaction.atomic
def start_run(*, unit: Unit, profile: BurnInProfile, by: Actor, bay: BurnInBay | None = None) -> BurnInRun:
    """Queue the burn-in of a rack: one attempt per installed tray of the profile's kinds.

    It waits for ``bay``, or for the first that has room. Refuses with ``unit_held``, ``unit_scrapped``,
    ``unit_shipped``, ``profile_not_released``, ``wrong_part``, ``burn_in_running``, ``no_tray_installed``,
    ``firmware_not_verified``, ``bmc_unknown``, ``bay_elsewhere`` or ``bay_too_small``.
    """
    unit = lock_units(unit.pk)[unit.pk]
    require_usable(unit)
    _require_profile(unit, profile)
    _require_no_run(unit)
    _require_firmware(unit)
    if bay is not None:
        require_bay(bay, unit, profile)
    trays = _trays(unit, profile)
    run = _create_run(unit, profile, bay, by)
    attempts = [BurnInAttempt(run=run, slot=tray.slot, unit=tray.child) for tray in trays]
    BurnInAttempt.objects.bulk_create(attempts)
    open_meters(run)
    payload = {
        "unit": str(unit.uid),
        "profile": str(profile),
        "trays": {tray.slot.name: tray.child.serial for tray in trays},
    }
    record(advance(run, "burn_in.queued", by=by, payload=payload))
    return run


@transaction.atomic
def pause_run(*, run: BurnInRun, reason: str, by: Actor, keep_stress: bool) -> BurnInRun:
    """Stop counting soak time until the run is resumed; the stress ends meanwhile unless ``keep_stress``.

    Nothing is polled while a run is paused. Refuses with ``burn_in_not_soaking``, ``reason_required`` or
    ``device_not_signed_on``.
    """
    run = _locked_in(run, frozenset({State.SOAKING}), reason=reason, by=by)
    now = timezone.now()
    attempts = _live_attempts(run)
    save_gaps([gap for attempt in attempts if (gap := _pause_gap(attempt, now, reason))])
    if not keep_stress:
        enqueue(run=run, attempts=attempts, kind=Kind.STOP, occasion=run.epoch + 1)
    state = Tray.STARTING if keep_stress else Tray.PENDING
    _rewind(attempts, state)
    doing = "stress kept on" if keep_stress else "stress off"
    payload = {"reason": reason, "keep_stress": keep_stress, "credited_seconds": run.credited_seconds}
    _move(
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
    """Let a paused run go on once every tray reports its stress again.

    Refuses with ``burn_in_not_paused`` or ``device_not_signed_on``.
    """
    run = _locked_in(run, frozenset({State.PAUSED}), reason=None, by=by)
    idle = [attempt for attempt in _live_attempts(run) if attempt.state == Tray.PENDING]
    enqueue(run=run, attempts=idle, kind=Kind.START, occasion=run.epoch + 1)
    _rewind(idle, Tray.STARTING)
    payload = {"reason": reason}
    _move(run, State.STARTING, "burn_in.resumed", by=by, now=timezone.now(), payload=payload, waits_for="")
    return run


@transaction.atomic
def abort_run(*, run: BurnInRun, reason: str, by: Actor) -> BurnInRun:
    """End a run without a verdict on the rack: every tray is told to stop.

    Refuses with ``burn_in_not_running`` when it is ending already, ``reason_required`` or
    ``device_not_signed_on``.
    """
    run = _locked_in(run, ABORTABLE, reason=reason, by=by)
    if run.state in STRESSED:
        enqueue(run=run, attempts=_live_attempts(run), kind=Kind.STOP)
    reasons = [*run.reasons, f"Aborted by {by.person}: {reason}"]
    changes: dict[str, Any] = {"abort_reason": reason[:300], "reasons": reasons, "waits_for": ""}
    payload = {"reason": reason, "credited_seconds": run.credited_seconds}
    _move(run, State.STOPPING, "burn_in.abort_asked", by=by, now=timezone.now(), payload=payload, **changes)
    return run


def require_bmc_url(url: str) -> None:
    """Refuse with ``bmc_url_invalid`` anything but http(s)://host[:port] without credentials in it."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        valid = False
    if not valid:
        raise RuleViolation(
            "bmc_url_invalid",
            "A BMC address is http(s)://host or http(s)://host:port, without user name and password in it.",
            rule="credentials are kept apart and encrypted",
            next_step="Correct the address; give user name and password in their own fields.",
        )


def _require_profile(unit: Unit, profile: BurnInProfile) -> None:
    if not profile.is_released:
        raise RuleViolation(
            "profile_not_released",
            f"The burn-in profile {profile} is a draft.",
            rule="racks are burned in by released profiles only",
            release="Engineering releases the profile.",
            next_step="Choose a released profile.",
        )
    if profile.part_id != unit.part_revision.part_id:
        raise RuleViolation(
            "wrong_part",
            f"The profile {profile} is for {profile.part.number}; {unit.serial} is a {unit.part_revision}.",
            rule="a profile is for one part",
            next_step="Choose a profile of this rack's part.",
            wanted=profile.part.number,
            scanned=unit.part_revision.part.number,
        )


def _require_no_run(unit: Unit) -> None:
    if BurnInRun.objects.filter(unit=unit).exclude(state__in=BurnInRun.ENDED).exists():
        raise _running(unit)


def _require_firmware(unit: Unit) -> None:
    """Refuse with ``firmware_not_verified`` where the route asks for the firmware test and nothing met it.

    It is met by a passed test of the unit as it is built now, or by the completed operation that asks for it:
    a signed release may have let that pass. A firmware change undoes both where the retest rules say so.
    """
    open_units = OrderUnit.objects.filter(unit=unit, closed_at__isnull=True)
    gates = Gate.objects.filter(
        rule=Gate.Rule.TEST_PASSED,
        procedure=FIRMWARE,
        operation__route__in=open_units.values("route"),
    )
    asking = set(gates.values_list("operation", flat=True))
    done = OperationRun.objects.filter(
        unit=unit, operation__in=asking, superseded_at__isnull=True, state__in=DONE
    )
    if not asking or done.exists():
        return
    digest = configuration_digest(unit)
    outcome = live_outcomes(unit=unit, procedures=[FIRMWARE], configuration=digest).get(FIRMWARE)
    if outcome != TestRun.Outcome.PASS:
        raise RuleViolation(
            "firmware_not_verified",
            f"The firmware of {unit.serial} is {outcome or 'not verified since its last change'}.",
            rule="a rack is burned in with the firmware of its baseline",
            release="Quality releases the test of the operation that asks for it, with a signature.",
            next_step="Bring the firmware to the baseline, collect the inventory, and verify the firmware.",
        )


def _running(unit: Unit) -> RuleViolation:
    return RuleViolation(
        "burn_in_running",
        f"{unit.serial} is being burned in already.",
        rule="one burn-in per rack at a time",
        next_step="Wait for its verdict, or abort it with a reason.",
    )


def _trays(unit: Unit, profile: BurnInProfile) -> list[Installation]:
    kinds = list(profile.unit_kinds)
    installed = live_children(unit=unit).filter(child__part_revision__part__kind__in=kinds)
    trays = list(installed.select_related("slot", "child__bmc"))
    if not trays:
        raise RuleViolation(
            "no_tray_installed",
            f"Nothing of the kinds {', '.join(kinds)} is installed in {unit.serial}.",
            rule="a burn-in needs something to soak",
            next_step="Install the trays first.",
        )
    unknown = [tray.slot.name for tray in trays if getattr(tray.child, "bmc", None) is None]
    if unknown:
        raise RuleViolation(
            "bmc_unknown",
            f"No BMC address is known for the trays in {', '.join(unknown)}.",
            rule="what cannot be read cannot pass",
            next_step="Set the BMC address of each of these trays.",
            slots=unknown,
        )
    return trays


def _create_run(unit: Unit, profile: BurnInProfile, bay: BurnInBay | None, by: Actor) -> BurnInRun:
    try:
        with transaction.atomic():
            started_by = by.person or by.device
            return BurnInRun.objects.create(unit=unit, profile=profile, bay=bay, started_by=started_by)
    except IntegrityError:
        raise _running(unit) from None


def _locked_in(run: BurnInRun, states: frozenset[State], *, reason: str | None, by: Actor) -> BurnInRun:
    """Return the run locked, in one of the states, for an act that a person answers for."""
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
    wanted = "running" if states == ABORTABLE else next(iter(states))
    raise RuleViolation(
        f"burn_in_not_{wanted}",
        f"The {run} is {run.state}, not {wanted}.",
        rule="a burn-in is paused while soaking, resumed while paused, and aborted before it stops",
        next_step="Look at the state of the run again.",
        state=run.state,
    )


def _live_attempts(run: BurnInRun) -> list[BurnInAttempt]:
    attempts = BurnInAttempt.objects.filter(run=run).exclude(state=Tray.SUPERSEDED)
    return list(attempts.select_related("slot"))


def _pause_gap(attempt: BurnInAttempt, now: datetime, reason: str) -> Gap | None:
    if attempt.last_good_at is None or attempt.last_good_at >= now:
        return None
    return Gap(attempt=attempt, from_at=attempt.last_good_at, to_at=now, reason=f"paused: {reason}"[:200])


def _rewind(attempts: list[BurnInAttempt], state: BurnInAttempt.State) -> None:
    """Put trays back before their stress; what they have soaked stays."""
    rows = BurnInAttempt.objects.filter(pk__in=[attempt.pk for attempt in attempts])
    rows.update(state=state, missed=0, suspect_since=None)


def _move(
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
    record(advance(run, kind, by=by, payload=payload, state=state, state_since=now, **fence, **changes))
