"""A tray is swapped while its rack is burned in: when it may come out, and what counts for the new one."""

from django.db import transaction
from django.utils import timezone

from mes.burnin.acts import lock_in, move
from mes.burnin.models import BurnInAttempt, BurnInProfile, BurnInRun
from mes.burnin.soak_clock import continued_seconds
from mes.burnin.working import State, Tray
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.products.models import Slot
from mes.racks.models import Installation
from mes.racks.services import live_children
from mes.serials.models import Unit
from mes.serials.services import lock_units

SWAPPABLE = frozenset({State.SOAKING, State.PAUSED})
STRESSED_TRAYS = (Tray.STARTING, Tray.RUNNING, Tray.SUSPECT)


@transaction.atomic
def swap_tray(*, run: BurnInRun, slot: str, reason: str, by: Actor) -> BurnInRun:
    """Let the tray that was newly installed in a slot take the place of the one before in a burn-in.

    The attempt of the slot is superseded and the next one opened, which comes up by itself: at once while the
    run soaks, else when it is resumed. The profile's soak clock says what counts. Refuses with
    ``burn_in_not_swappable``, ``not_burned_in_here``, ``tray_not_swapped``, ``bmc_unknown``,
    ``reason_required`` or ``device_not_signed_on``.
    """
    lock_units(run.unit_id)
    run = lock_in(run, SWAPPABLE, "swappable", reason=reason, by=by)
    old = _attempt_in(run, slot)
    tray = _new_tray(run, old)
    new = _supersede(run, old, tray.child, reason, by)
    run.credited_seconds = _least_credit(run)
    payload = {
        "slot": old.slot.name,
        "from": old.unit.serial,
        "to": new.unit.serial,
        "attempt": new.number,
        "soak_clock": new.soak_clock,
        "carried_seconds": new.carried_seconds,
        "reason": reason,
    }
    move(
        run,
        State(run.state),
        "burn_in.tray_swapped",
        by=by,
        now=timezone.now(),
        payload=payload,
        credited_seconds=run.credited_seconds,
        reasons=[each for each in run.reasons if each not in old.reasons],
        findings=[each for each in run.findings if each not in old.findings],
    )
    return run


def refuse_hot_removal(unit: Unit, slot: Slot) -> None:
    """Refuse with ``rack_under_stress`` to take anything out of a rack that is being burned in.

    What failed and was stopped may come out, and anything while the run is queued, or paused without stress.
    """
    run = BurnInRun.objects.filter(unit=unit).exclude(state__in=BurnInRun.ENDED).first()
    if run is None or run.state == State.QUEUED:
        return
    attempts = BurnInAttempt.objects.filter(run=run)
    held = attempts.filter(slot=slot, state=Tray.FAILED).exists() and run.state != State.STOPPING
    cold = run.state == State.PAUSED and not attempts.filter(state__in=STRESSED_TRAYS).exists()
    if not held and not cold:
        raise RuleViolation(
            "rack_under_stress",
            f"{unit.serial} is being burned in ({run.state}); what is in {slot.name} stays in.",
            rule="nothing is taken out of a rack under stress but a tray that failed and was stopped",
            next_step="Pause the burn-in with the stress off, or abort it.",
            state=run.state,
        )


def _attempt_in(run: BurnInRun, slot: str) -> BurnInAttempt:
    attempts = BurnInAttempt.objects.filter(run=run, slot__name__iexact=slot).exclude(state=Tray.SUPERSEDED)
    found = attempts.select_related("slot", "unit").first()
    if found is None:
        raise RuleViolation(
            "not_burned_in_here",
            f"The {run} has no tray in {slot}.",
            rule="a swap replaces a tray of the run",
            next_step="Check the slot label; what is soaked is listed with the run.",
        )
    return found


def _new_tray(run: BurnInRun, old: BurnInAttempt) -> Installation:
    installed = live_children(unit=run.unit).filter(slot=old.slot, installed_at__gt=old.opened_at)
    tray = installed.select_related("child__bmc").first()
    if tray is None:
        raise RuleViolation(
            "tray_not_swapped",
            f"Nothing was installed in {old.slot.name} since {old.unit.serial} began its soak.",
            rule="the new tray is in its slot before it is burned in",
            next_step="Take the tray out and install the other one first.",
        )
    if getattr(tray.child, "bmc", None) is None:
        raise RuleViolation(
            "bmc_unknown",
            f"No BMC address is known for the tray in {old.slot.name}.",
            rule="what cannot be read cannot pass",
            next_step="Set the BMC address of the tray.",
            slots=[old.slot.name],
        )
    return tray


def _supersede(run: BurnInRun, old: BurnInAttempt, child: Unit, reason: str, by: Actor) -> BurnInAttempt:
    policy = run.profile.swap_policy
    old.state = Tray.SUPERSEDED
    old.reasons = [*old.reasons, f"Swapped for {child.serial} by {by.person}: {reason}"]
    old.save(update_fields=["state", "reasons"])
    if policy == BurnInProfile.SoakClock.RESTART_RACK:
        live = BurnInAttempt.objects.filter(run=run).exclude(state=Tray.SUPERSEDED)
        live.update(credited_seconds=0, carried_seconds=0)
    carried = continued_seconds(run)
    return BurnInAttempt.objects.create(
        run=run,
        slot=old.slot,
        unit=child,
        number=old.number + 1,
        soak_clock=policy,
        credited_seconds=carried,
        carried_seconds=carried,
    )


def _least_credit(run: BurnInRun) -> float:
    live = BurnInAttempt.objects.filter(run=run).exclude(state__in=[Tray.SUPERSEDED, Tray.FAILED])
    return min(live.values_list("credited_seconds", flat=True))
