"""A rack of simulated trays on a burn-in bench, driven tick by tick over real sockets."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models import F
from django.utils import timezone

from mes.burnin.intents import deliver_due
from mes.burnin.models import BurnInAttempt, BurnInPhase, BurnInProfile, BurnInRun, SeriesLimit
from mes.burnin.services import set_bmc, start_run, swap_tray
from mes.burnin.tick import advance_run
from mes.products.models import PartRevision, Slot
from mes.racks.services import install_unit, remove_unit
from mes.serials.models import Unit
from mes.simulators.bmc import SimulatorThread, running_simulator
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_log import ServedLog
from tests.builders import TESTER, make_part, make_route, make_unit, ordered_unit, release

PROCEDURE = "rack_burn_in"
PATIENCE_SECONDS = 20
# An hour of soak takes a minute: no test gets there by being slow, those that want to skip ahead.
QUICK: dict[str, Any] = {
    "unit_kinds": ["compute_tray"],
    "required_hours": 1,
    "time_scale": 60,
    "poll_seconds": 0.05,
    "poll_timeout_seconds": 5,
    "max_gap_seconds": 5,
    "suspect_seconds": 0.3,
    "start_seconds": 60,
}
LIMITS: tuple[dict[str, Any], ...] = (
    {"group": "gpu temperature", "pattern": "HGX_GPU_?_TEMP_0", "unit": "Cel", "high": 87},
    {"group": "gpu headroom", "pattern": "HGX_GPU_?_TEMP_1", "unit": "Cel", "low": -4},
    {"group": "gpu power", "pattern": "HGX_GPU_?_Power_0", "unit": "W", "low": 65, "high": 1500},
)


def make_rack(trays: int) -> tuple[Unit, list[Unit]]:
    """Make an ordered rack with its compute trays installed, slot numbers from 1 on."""
    tray_part = make_part("compute_tray", level=10)
    revision = make_part("rack", level=11, released=False)
    for number in range(1, trays + 1):
        slot = Slot.objects.create(
            revision=revision, name=f"C{number}", type="tray", filled_at=10, order=number, slot_number=number
        )
        slot.accepts.add(tray_part.part)
    release(revision)
    rack = ordered_unit(revision, make_route(revision, tests={20: PROCEDURE}))
    units = [make_unit(tray_part) for _ in range(trays)]
    for unit, slot in zip(units, revision.slots.all(), strict=True):
        install_unit(parent=rack, slot=slot, child=unit, by=TESTER)
    return rack, units


def make_profile(
    revision: PartRevision,
    *,
    limits: tuple[dict[str, Any], ...] = LIMITS,
    phases: tuple[dict[str, Any], ...] = (),
    released: bool = True,
    **changes: Any,
) -> BurnInProfile:
    version = str(BurnInProfile.objects.count())
    profile = BurnInProfile.objects.create(
        name="quick",
        version=version,
        part=revision.part,
        procedure=PROCEDURE,
        stressor="gpu-stress",
        **{**QUICK, **changes},
    )
    for order, phase in enumerate(phases):
        BurnInPhase.objects.create(profile=profile, order=order, **phase)
    for limit in limits:
        SeriesLimit.objects.create(profile=profile, **{"unit_kind": "compute_tray", **limit})
    if released:
        release(profile)
    return profile


class Bench:
    """A run on simulated trays; the test is its beat and its worker."""

    def __init__(
        self, simulator: SimulatorThread, rack: Unit, trays: list[Unit], profile: BurnInProfile, spare: Unit
    ) -> None:
        self.simulator, self.rack, self.trays, self.profile = simulator, rack, trays, profile
        self.spare = spare
        self.run = start_run(unit=rack, profile=profile, by=TESTER)

    def fault(self, tray: int, name: str, **when: Any) -> None:
        self.simulator.set_fault(self.trays[tray].serial, name, **when)

    def stressed(self) -> list[bool]:
        return [bool(self.simulator.status(tray.serial)["stress_active"]) for tray in self.trays]

    def attempt(self, tray: int) -> BurnInAttempt:
        return BurnInAttempt.objects.get(run=self.run, unit=self.trays[tray])

    def exchange(self) -> None:
        """Take the second tray out and put the spare into its slot, as a technician does."""
        slot = self.rack.part_revision.slots.get(name="C2")
        remove_unit(parent=self.rack, slot=slot, reason="failed", by=TESTER)
        install_unit(parent=self.rack, slot=slot, child=self.spare, by=TESTER)
        self.trays[1], self.spare = self.spare, self.trays[1]

    def swap(self) -> BurnInRun:
        """Exchange the second tray and say so to the run."""
        self.exchange()
        self.run = swap_tray(run=self.run, slot="C2", reason="fan dead", by=TESTER)
        return self.run

    def tick(self) -> bool:
        """Make the run due and bring it one step on."""
        BurnInRun.objects.filter(pk=self.run.pk).update(next_due_at=self.run.created_at)
        done = advance_run(self.run.pk)
        deliver_due()
        self.run.refresh_from_db()
        return done

    def overdue(self) -> None:
        """Let the state of the run have lasted for an hour."""
        since = timezone.now() - timedelta(hours=1)
        BurnInRun.objects.filter(pk=self.run.pk).update(state_since=since)

    def skip_ahead(self) -> None:
        """Let every tray have soaked an hour less half a second more."""
        rest = self.profile.required_seconds - self.profile.time_scale / 2
        BurnInAttempt.objects.filter(run=self.run).update(credited_seconds=F("credited_seconds") + rest)

    def until(self, *states: str) -> BurnInRun:
        """Tick until the run is in one of the states."""
        return self.tick_while(lambda: self.run.state not in states)

    def until_soaking(self) -> BurnInRun:
        """Tick until the soak has begun and earned something."""
        return self.tick_while(lambda: self.run.credited_seconds == 0)

    def to_the_end(self) -> BurnInRun:
        return self.until(*BurnInRun.ENDED)

    def soak_to(self, *states: str) -> BurnInRun:
        """Tick through the soak, most of it skipped, until the run is in one of the states."""
        self.until_soaking()
        self.skip_ahead()
        return self.until(*states)

    def tick_while(self, unwanted: Callable[[], bool]) -> BurnInRun:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while unwanted():
            assert time.monotonic() < deadline, (self.run.state, self.run.waits_for, self.run.reasons)
            self.tick()
            time.sleep(0.02)
        return self.run


@contextmanager
def bench(
    trays: int = 2,
    *,
    limits: tuple[dict[str, Any], ...] = LIMITS,
    log: Path | None = None,
    speed: float = 1.0,
    **profile: Any,
) -> Iterator[Bench]:
    """Run a rack of simulated trays whose run is queued; beside it stands a spare for its second slot.

    What the trays serve goes to ``log``.
    """
    rack, units = make_rack(trays)
    spare = make_unit(units[0].part_revision)
    identities = [TrayIdentity(unit.serial, slot_number=number) for number, unit in enumerate(units, start=1)]
    identities.append(TrayIdentity(spare.serial, slot_number=2))
    with (
        ServedLog(log) if log else nullcontext() as served,
        running_simulator(identities, speed=speed, log=served) as simulator,
    ):
        for unit in (*units, spare):
            url = simulator.url(unit.serial)
            set_bmc(unit=unit, url=url, username="factory", password="simulator", by=TESTER)
        chosen = make_profile(rack.part_revision, limits=limits, **profile)
        yield Bench(simulator, rack, units, chosen, spare)
