"""What a run costs in energy: integrated by hand, and metered over sockets; a late tick adds none."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from mes.burnin import meters
from mes.burnin.coolants import PG25, WATER, heat_kw
from mes.burnin.energy import energy_of, flags_of
from mes.burnin.meter_models import GridFactor, RunMeter
from mes.burnin.meters import SHELVES, note_heat, note_power
from mes.burnin.models import BurnInBay, BurnInProfile, BurnInRun
from mes.burnin.redfish_meters import CoolantReading
from mes.burnin.services import set_bay_meter, set_bmc, set_shelf_meter, start_run
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.simulators.bmc import running_simulator
from mes.simulators.bmc_identity import TrayIdentity
from mes.stations.models import Site
from tests.builders import TESTER, make_assembly, make_part, make_revision, make_unit
from tests.burnin.builders import Bench, bench, make_profile, make_rack
from tests.burnin.test_fencing import overtaken_tick

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def soaking(limit: float | None = 5) -> BurnInRun:
    profile = BurnInProfile(max_gap_seconds=60, heat_balance_percent=limit)
    unit = Unit(pk=1, site=Site(pk=1, code="S"))
    return BurnInRun(pk=1, profile=profile, unit=unit, state="soaking", state_since=T0, created_at=T0)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_heat_by_hand() -> None:
    # 60 L/min are 1e-3 m3/s; at 40 Cel 992.22 kg/m3 and 4.1796 kJ/(kg K), over 10 K.
    assert heat_kw(WATER, flow_l_min=60, supply_cel=35, return_cel=45) == pytest.approx(41.4708, abs=1e-3)
    assert heat_kw(PG25, flow_l_min=60, supply_cel=30, return_cel=40) == pytest.approx(1.0168 * 3.95 * 10)


def test_energy_is_the_trapezoid_and_a_gap_is_in_no_sum() -> None:
    run, meter = soaking(), RunMeter(role="power_shelf", name="U03")
    for seconds, taken, given in ((0, 1000, 950), (10, 2000, 1950), (100, 9000, 8000), (110, 1000, 980)):
        note_power(run, meter, after(seconds), input_w=taken, output_w=given)
    # 10 s at 1500 W and 10 s at 5000 W; the 90 s between them are more than max_gap.
    assert (meter.seconds, meter.joules_in) == (20, 15_000 + 50_000)
    assert meter.joules_out == 14_500 + 44_900
    note_power(run, meter, after(105), input_w=9e9, output_w=9e9)
    assert meter.joules_in == 65_000


def balanced(run: BurnInRun, watts: float) -> RunMeter:
    meter = RunMeter(role="coolant", name="BAY", coolant="water", asked_since=T0, asked_until=after(620))
    for seconds in (0, 30, 600, 610, 620):
        reading = CoolantReading(after(seconds), flow_l_min=60, supply_cel=35, return_cel=45)
        note_heat(run, meter, after(seconds), reading, (watts, SHELVES))
    return meter


@pytest.mark.parametrize(("watts", "flagged"), [(41_000, False), (38_000, True)])
@pytest.mark.django_db
def test_the_balance_is_of_steady_soak_and_flagged_beyond_the_limit(watts: float, flagged: bool) -> None:
    run = soaking()
    meter = balanced(run, watts)
    energy = energy_of(run, meters=[meter])
    heat = energy["heat"]
    assert (heat["steady_seconds"], heat["electric_source"]) == (20, SHELVES)
    assert heat["difference_percent"] == pytest.approx(100 * (41_470.8 / watts - 1), abs=0.01)
    assert (heat["flagged"], bool(flags_of(energy))) == (flagged, flagged)


@pytest.mark.django_db
def test_co2_by_the_factor_of_the_day() -> None:
    run = soaking()
    site = run.unit.site
    site.save()
    for day, grams in ((date(2025, 1, 1), 400), (date(2026, 1, 1), 300), (date(2026, 1, 2), 1)):
        GridFactor.objects.create(site=site, valid_from=day, grams_per_kwh=grams, source="test")
    trays = RunMeter(role="trays", name="trays", seconds=10, joules_out=7_200_000)
    energy = energy_of(run, meters=[trays])
    assert (energy["kwh"], energy["co2"]["kg"], energy["source"]) == (2, 0.6, "trays")


@pytest.mark.django_db
def test_a_run_without_shelves_is_metered_by_its_trays() -> None:
    with bench(trays=1) as rig:
        rig.soak_to("passed")
    energy = rig.run.energy
    assert energy["source"] == "trays" and energy["kwh"] > 0
    test = rig.rack.test_runs.get()
    assert test.details["energy"] == energy
    assert test.measurements.get(name="energy").value == pytest.approx(energy["kwh"])


@pytest.mark.django_db
def test_a_late_tick_adds_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        before = RunMeter.objects.get(run=rig.run).seconds
        assert not overtaken_tick(rig, monkeypatch)
        meter = RunMeter.objects.get(run=rig.run)
        asked = meter.asked_until - meter.asked_since  # type: ignore[operator]
        assert before < meter.seconds <= asked.total_seconds() + 1
    assert meters.GRACE_SECONDS < 1


@pytest.mark.django_db
def test_shelf_and_coolant_are_metered_over_sockets() -> None:
    rack, (tray,) = make_rack(1)
    shelf = make_unit(make_part("power_shelf", level=10))
    meters_of = [TrayIdentity("SHELF", kind="power_shelf"), TrayIdentity("CDU", kind="cdu")]
    identities = [TrayIdentity(tray.serial), *meters_of]
    login = {"username": "factory", "password": "simulator"}
    with running_simulator(identities, speed=1000) as simulator:
        set_bmc(unit=tray, url=simulator.url(tray.serial), by=TESTER, **login)
        set_shelf_meter(unit=shelf, url=simulator.url("SHELF"), by=TESTER, **login)
        bay = BurnInBay.objects.create(site=rack.site, code="BAY", power_kw=120)
        set_bay_meter(bay=bay, url=simulator.url("CDU"), coolant="pg25", **login)
        profile = make_profile(rack.part_revision, time_scale=3600, heat_balance_percent=10)
        rig = Bench(simulator, rack, [tray], profile, spare=tray)
        BurnInRun.objects.filter(pk=rig.run.pk).update(bay=bay)
        RunMeter.objects.create(run=rig.run, role="power_shelf", name="U03", unit=shelf)
        rig.until("passed", "failed")
    energy = rig.run.energy
    assert (rig.run.state, energy["source"], energy["shelves"][0]["said"]) == ("passed", SHELVES, "")
    assert 90 < energy["psu_efficiency_percent"] < 98
    assert energy["shelves"][0]["kwh_in"] == pytest.approx(energy["shelves"][0]["counter_kwh"], rel=0.1)
    assert abs(energy["heat"]["difference_percent"]) < 10 and not energy["heat"]["flagged"]


@pytest.mark.django_db
def test_a_run_meters_the_shelves_that_are_installed_and_knows_the_share_of_liquid() -> None:
    tray_part, shelf_part = make_part("compute_tray", level=10), make_part("power_shelf", level=10)
    watts = {"heat_liquid_w": Decimal("900.0"), "heat_air_w": Decimal("100.0")}
    tray_revision = make_revision(tray_part.part, "B", **watts)
    shelf_revision = make_revision(shelf_part.part, "B", heat_air_w=Decimal("500.0"))
    rack_revision = make_assembly("rack", level=11, takes={"C1": tray_revision, "PS1": shelf_revision})
    rack, tray, shelf = make_unit(rack_revision), make_unit(tray_revision), make_unit(shelf_revision)
    for slot, child in zip(rack_revision.slots.order_by("name"), (tray, shelf), strict=True):
        install_unit(parent=rack, slot=slot, child=child, by=TESTER)
    set_bmc(unit=tray, url="http://127.0.0.1:9", username="", password="", by=TESTER)
    run = start_run(unit=rack, profile=make_profile(rack_revision), by=TESTER)
    trays, metered = RunMeter.objects.filter(run=run).order_by("pk")
    assert trays.role == "trays" and trays.liquid_share == pytest.approx(0.9)
    assert (metered.role, metered.name, metered.unit) == ("power_shelf", "PS1", shelf)
