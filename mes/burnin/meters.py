"""The meters of a run within its ticks: asked beside the trays, integrated, and saved behind the fence.

Energy is the trapezoid between two readings no further apart than the profile's ``max_gap_seconds``; what is
not metered is in no sum. Times are on the database's clock, as everything of a run.
"""

import logging
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mes.burnin.bmc import MEMORIES, find_address
from mes.burnin.bmc_loop import ask
from mes.burnin.coolants import TABLES, heat_kw
from mes.burnin.judging import is_urgent, is_usable
from mes.burnin.meter_models import MeterEndpoint, RunMeter
from mes.burnin.models import BurnInProfile, BurnInRun
from mes.burnin.redfish import BmcAddress, RedfishError, TrayReading
from mes.burnin.redfish_meters import CoolantReading, MeterAddress, MeterReading, ShelfReading, read_meters
from mes.burnin.working import POLLED, STRESSED, Tick

Role, State, Loop = RunMeter.Role, BurnInRun.State, MeterEndpoint.Coolant

# The series in which a tray says what it draws in all.
TRAY_POWER = "Chassis_0_TotalHSC_Power_0"
SHELVES, TRAYS = "power shelves", "trays"
# After the trays have answered, meters that have not have this long; nobody waits when something is urgent.
GRACE_SECONDS = 0.5
# A meter that missed several polls in a row is asked again after this long.
RETRY_SECONDS = 30.0
# Until the water is warm: seconds of soak without a heat balance.
SETTLE_SECONDS = 600.0
LATE = "no answer while the trays were polled"
NO_ADDRESS = "no meter address is known"
WRITTEN = [
    *("asked_since", "asked_until", "tried_at", "missed", "said", "last_at", "last", "seconds"),
    *("joules_in", "joules_out", "load_seconds", "load_joules_in", "load_joules_out"),
    *("counter_first_kwh", "counter_last_kwh", "joules_heat"),
    *("steady_seconds", "steady_joules_heat", "steady_joules_electric", "steady_source"),
]

logger = logging.getLogger(__name__)


def load_meters(run: BurnInRun) -> list[RunMeter]:
    """Return the meters of a run with their addresses: one query. A bay's meter is new until it is saved.

    A loop that feeds several racks says nothing of one: only the meter of a bay for one rack counts.
    """
    meters = list(run.meters.select_related("unit__meter").order_by("pk"))
    endpoint: MeterEndpoint | None = getattr(run.bay, "meter", None)
    if run.bay and run.bay.positions == 1 and endpoint and all(each.role != Role.COOLANT for each in meters):
        meters.append(
            RunMeter(run=run, role=Role.COOLANT, name=run.bay.code, coolant=endpoint.coolant or Loop.WATER)
        )
    return meters


class Asking:
    """Meters being asked in a thread of their own, so that they never hold up the trays.

    The thread touches neither the database nor a row; what it finds out too late is dropped.
    """

    def __init__(self, addresses: Mapping[int, MeterAddress], *, timeout: float) -> None:
        self._addresses = addresses
        self._answers: dict[int, MeterReading | RedfishError] = {}
        self._thread = threading.Thread(target=self._ask, args=(timeout,), name="meters", daemon=True)
        if addresses:
            self._thread.start()

    def answers(self, *, wait: float) -> dict[int, MeterReading | RedfishError]:
        """Return the answer of each meter that was asked, after waiting at most so many seconds for them."""
        if self._addresses:
            self._thread.join(wait)
        late = RedfishError("timeout", LATE)
        return {number: self._answers.get(number, late) for number in self._addresses}

    def _ask(self, timeout: float) -> None:
        try:
            ask(read_meters(self._addresses, self._answers, timeout=timeout, memories=MEMORIES))
        except Exception:
            # Nothing that a meter does may end a run.
            logger.exception("reading meters failed")


def ask_meters(tick: Tick) -> Asking:
    """Begin to read the meters of a run, where its state has the trays polled."""
    addresses: dict[int, MeterAddress] = {}
    if tick.run.state in POLLED:
        for number, meter in enumerate(tick.meters):
            if meter.role != Role.TRAYS and _is_due(tick, meter) and (address := _find_address(meter)):
                meter.tried_at = tick.now
                addresses[number] = address
    return Asking(addresses, timeout=tick.profile.poll_timeout_seconds)


def _is_due(tick: Tick, meter: RunMeter) -> bool:
    if meter.missed < tick.profile.missed_polls or meter.tried_at is None:
        return True
    return tick.now - meter.tried_at >= timedelta(seconds=RETRY_SECONDS)


def _find_address(meter: RunMeter) -> MeterAddress | None:
    """Return where a meter answers; None, and noted, where nobody knows."""
    is_shelf = meter.role == Role.SHELF
    endpoint: MeterEndpoint | None = getattr(meter.unit if is_shelf else meter.run.bay, "meter", None)
    if endpoint is None:
        meter.said = NO_ADDRESS
        return None
    bmc = find_address(endpoint)
    if isinstance(bmc, BmcAddress):
        return MeterAddress(bmc, is_shelf, endpoint.connector)
    meter.said = bmc[:200]
    return None


def note_meters(tick: Tick, asking: Asking) -> None:
    """Integrate what the meters told and what the trays say they draw; call it before anything is decided."""
    if tick.run.state not in POLLED:
        return
    answers = asking.answers(wait=0.0 if _is_urgent(tick) else GRACE_SECONDS)
    shelves: list[ShelfReading | None] = []
    for number, meter in enumerate(tick.meters):
        meter.asked_since, meter.asked_until = meter.asked_since or tick.now, tick.now
        if meter.role == Role.SHELF:
            shelves.append(_note_shelf(tick, meter, answers.get(number)))
    drawn = _note_trays(tick)
    electric: tuple[float, str] | None = (drawn, TRAYS) if drawn is not None else None
    told = [reading.output_w for reading in shelves if reading]
    if told and len(told) == len(shelves):
        electric = (sum(told), SHELVES)
    for number, meter in enumerate(tick.meters):
        if meter.role == Role.COOLANT:
            _note_coolant(tick, meter, answers.get(number), electric)


def save_meters(meters: list[RunMeter]) -> None:
    """Save what was integrated; call it behind the fence. At most two statements."""
    new = [meter for meter in meters if meter.pk is None]
    known = [meter for meter in meters if meter.pk is not None]
    RunMeter.objects.bulk_create(new)
    if known:
        RunMeter.objects.bulk_update(known, WRITTEN)


def _is_urgent(tick: Tick) -> bool:
    return tick.run.state in STRESSED and any(
        isinstance(said := tick.said.get(attempt.pk), TrayReading)
        and is_urgent(said, tick.limits_of(attempt))
        for attempt in tick.attempts
    )


def _heard_at(tick: Tick, meter: RunMeter, answer: MeterReading | RedfishError | None) -> datetime | None:
    """Return when a meter gave its reading, on the database's clock; None, and noted, where it gave none."""
    if isinstance(answer, RedfishError):
        meter.missed, meter.said = meter.missed + 1, str(answer)[:200]
    elif answer is not None:
        meter.missed, meter.said = 0, ""
        return answer.taken_at + tick.skew
    return None


def _note_shelf(
    tick: Tick, meter: RunMeter, answer: MeterReading | RedfishError | None
) -> ShelfReading | None:
    at = _heard_at(tick, meter, answer)
    if at is None or not isinstance(answer, ShelfReading):
        return None
    note_power(tick.run, meter, at, input_w=answer.input_w, output_w=answer.output_w)
    if answer.counter_kwh is not None:
        if meter.counter_first_kwh is None:
            meter.counter_first_kwh = answer.counter_kwh
        meter.counter_last_kwh = answer.counter_kwh
    return answer


def _note_trays(tick: Tick) -> float | None:
    """Return what all trays draw, in W; None unless every tray of the run told."""
    readings = [said for each in tick.attempts if isinstance(said := tick.said.get(each.pk), TrayReading)]
    watts = [
        sample.value
        for reading in readings
        for sample in reading.samples
        if sample.series == TRAY_POWER and is_usable(sample) and sample.value is not None
    ]
    if not watts or len(watts) != len(tick.attempts):
        return None
    at = max(reading.taken_at for reading in readings)
    for meter in tick.meters:
        if meter.role == Role.TRAYS:
            note_power(tick.run, meter, at, input_w=0.0, output_w=sum(watts))
    return sum(watts)


def note_power(run: BurnInRun, meter: RunMeter, at: datetime, *, input_w: float, output_w: float) -> None:
    """Add the energy since the last reading, in J: the trapezoid of power over time."""
    now = {"input_w": input_w, "output_w": output_w, "soaking": run.state == State.SOAKING}
    before, seconds = _move_on(run.profile, meter, at, now)
    if not seconds:
        return
    taken = seconds * (before["input_w"] + input_w) / 2
    given = seconds * (before["output_w"] + output_w) / 2
    meter.seconds += seconds
    meter.joules_in += taken
    meter.joules_out += given
    if before["soaking"] and now["soaking"]:
        meter.load_seconds += seconds
        meter.load_joules_in += taken
        meter.load_joules_out += given


def _note_coolant(
    tick: Tick,
    meter: RunMeter,
    answer: MeterReading | RedfishError | None,
    electric: tuple[float, str] | None,
) -> None:
    at = _heard_at(tick, meter, answer)
    if at is not None and isinstance(answer, CoolantReading):
        note_heat(tick.run, meter, at, answer, electric)


def note_heat(
    run: BurnInRun,
    meter: RunMeter,
    at: datetime,
    reading: CoolantReading,
    electric: tuple[float, str] | None,
) -> None:
    """Add the heat since the last reading, in J, and to the balance both heat and electrical energy.

    The balance takes only intervals in steady soak at both of whose ends the same source told the power.
    """
    flow, supply, back = reading.flow_l_min, reading.supply_cel, reading.return_cel
    table = TABLES[meter.coolant]
    heat_w = 1000 * heat_kw(table, flow_l_min=flow, supply_cel=supply, return_cel=back)
    watts, source = electric or (None, "")
    now = {
        **{"flow_l_min": flow, "supply_cel": supply, "return_cel": back, "heat_w": heat_w},
        **{"electric_w": watts, "source": source, "steady": _is_steady(run, at)},
    }
    before, seconds = _move_on(run.profile, meter, at, now)
    if not seconds:
        return
    heat = seconds * (before["heat_w"] + heat_w) / 2
    meter.seconds += seconds
    meter.joules_heat += heat
    if before["steady"] and now["steady"] and watts is not None and before["source"] == source:
        meter.steady_seconds += seconds
        meter.steady_joules_heat += heat
        meter.steady_joules_electric += seconds * (before["electric_w"] + watts) / 2
        both = meter.steady_source not in ("", source)
        meter.steady_source = f"{SHELVES} and {TRAYS}" if both else source


def _is_steady(run: BurnInRun, at: datetime) -> bool:
    """Return whether the rack has soaked long enough for its water to be warm, in seconds as credited."""
    soaked = (at - run.state_since).total_seconds() * run.profile.time_scale
    return run.state == State.SOAKING and soaked >= SETTLE_SECONDS


def _move_on(
    profile: BurnInProfile, meter: RunMeter, at: datetime, now: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """Keep a reading as the last one; return the one before it and the seconds between, 0 for too many."""
    before, since = meter.last, meter.last_at
    if since is not None and at <= since:
        return before, 0.0
    meter.last, meter.last_at = now, at
    seconds = (at - since).total_seconds() if since else 0.0
    return before, seconds if seconds <= profile.max_gap_seconds else 0.0
