"""How a burn-in is queued, anew or as the retest of a failed one."""

from typing import Any

from django.db import IntegrityError, transaction

from mes.burnin.bays import require_bay
from mes.burnin.metering import open_meters
from mes.burnin.models import BurnInAttempt, BurnInBay, BurnInProfile, BurnInRun
from mes.burnin.soak_clock import continued_seconds
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Gate
from mes.racks.models import Installation
from mes.racks.services import configuration_digest, live_children
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable
from mes.testing.models import TestRun
from mes.testing.services import live_outcomes
from mes.workorders.models import OperationRun, OrderUnit

Tray = BurnInAttempt.State

DONE = (OperationRun.State.COMPLETE, OperationRun.State.SKIPPED)
FIRMWARE = "firmware"  # the test by which a route asks for the baseline
CUT_SHORT = frozenset({Tray.ABORTED, Tray.PASSED})


@transaction.atomic
def start_run(
    *,
    unit: Unit,
    profile: BurnInProfile,
    by: Actor,
    bay: BurnInBay | None = None,
    retest_of: BurnInRun | None = None,
) -> BurnInRun:
    """Queue the burn-in of a rack: one attempt per installed tray of the profile's kinds.

    It waits for ``bay``, or for the first that has room. As the retest of a failed run, the trays that were
    good in it and have not been taken out since take over what they soaked. Refuses with ``unit_held``,
    ``unit_scrapped``, ``unit_shipped``, ``profile_not_released``, ``wrong_part``, ``burn_in_running``,
    ``no_tray_installed``, ``firmware_not_verified``, ``bmc_unknown``, ``bay_elsewhere``, ``bay_too_small``,
    ``not_the_last_burn_in``, ``profile_changed`` or ``rack_soaks_anew``.
    """
    unit = lock_units(unit.pk)[unit.pk]
    require_usable(unit)
    _require_profile(unit, profile)
    _require_no_run(unit)
    _require_firmware(unit)
    if bay is not None:
        require_bay(bay, unit, profile)
    if retest_of is not None:
        _require_retestable(retest_of, unit, profile)
    trays = _trays(unit, profile)
    run = _create_run(unit, profile, bay, by, retest_of)
    attempts = [BurnInAttempt(run=run, slot=tray.slot, unit=tray.child) for tray in trays]
    if retest_of is not None:
        _take_over(retest_of, attempts, trays)
        run.credited_seconds = min(attempt.credited_seconds for attempt in attempts)
        run.save(update_fields=["credited_seconds"])
    BurnInAttempt.objects.bulk_create(attempts)
    open_meters(run)
    payload: dict[str, Any] = {
        "unit": str(unit.uid),
        "profile": str(profile),
        "trays": {tray.slot.name: tray.child.serial for tray in trays},
    }
    if retest_of is not None:
        payload["retest_of"] = str(retest_of.uid)
        payload["carried_seconds"] = {each.slot.name: each.carried_seconds for each in attempts}
    record(advance(run, "burn_in.queued", by=by, payload=payload))
    return run


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


def _create_run(
    unit: Unit, profile: BurnInProfile, bay: BurnInBay | None, by: Actor, retest_of: BurnInRun | None
) -> BurnInRun:
    try:
        with transaction.atomic():
            return BurnInRun.objects.create(
                unit=unit,
                profile=profile,
                bay=bay,
                started_by=by.person or by.device,
                retest_of=retest_of,
            )
    except IntegrityError:
        raise _running(unit) from None


def _require_retestable(earlier: BurnInRun, unit: Unit, profile: BurnInProfile) -> None:
    last = BurnInRun.objects.filter(unit=unit).order_by("-pk").first()
    if last != earlier or earlier.state != BurnInRun.State.FAILED:
        raise RuleViolation(
            "not_the_last_burn_in",
            f"The {earlier} of {earlier.created_at:%Y-%m-%d %H:%M} is {earlier.state}; only the last one of a"
            " rack, if it failed, is retested.",
            rule="soak time is taken over from the failed run right before",
            next_step="Name the last burn-in of this rack, or start without a retest.",
        )
    if earlier.profile_id != profile.pk:
        raise RuleViolation(
            "profile_changed",
            f"The earlier run was by {earlier.profile}, not by {profile}.",
            rule="soak time counts only under the profile it was soaked by",
            next_step=f"Start the retest by {earlier.profile}, or a burn-in without a retest.",
        )
    if profile.swap_policy == BurnInProfile.SoakClock.RESTART_RACK:
        raise RuleViolation(
            "rack_soaks_anew",
            f"By {profile} every tray starts at 0 after a swap: nothing of the earlier run is taken over.",
            rule="the profile's soak clock says what a swap leaves of the soak",
            next_step="Start a burn-in without a retest.",
        )


def _take_over(earlier: BurnInRun, attempts: list[BurnInAttempt], trays: list[Installation]) -> None:
    """Credit the trays of a retest with what the earlier run leaves them, by its profile's soak clock."""
    before = {old.slot_id: old for old in earlier.attempts.exclude(state=Tray.SUPERSEDED)}
    for attempt, tray in zip(attempts, trays, strict=True):
        old = before.get(tray.slot_id)
        attempt.carried_seconds = _left_of(earlier, old, tray) if old else 0.0
        attempt.credited_seconds = attempt.carried_seconds
        attempt.soak_clock = earlier.profile.swap_policy


def _left_of(earlier: BurnInRun, old: BurnInAttempt, tray: Installation) -> float:
    if tray.installed_at > old.opened_at:
        return continued_seconds(earlier)
    return old.credited_seconds if old.state in CUT_SHORT else 0.0
