"""Filling a slot counts mates; a part of a filled loop stays where it is."""

import pytest

from mes.cooling.models import Coupling
from mes.cooling.services import fit_coupling
from mes.errors import RuleViolation
from mes.serials.models import Unit
from mes.workorders.services import install_child, remove_child, start_operation
from tests.builders import TESTER, make_station, make_unit
from tests.cooling.builders import Rack, make_type

pytestmark = pytest.mark.django_db


def fit(manifold: Unit, *, maximum: int = 5) -> Coupling:
    kind = make_type(maximum)
    return fit_coupling(manifold=manifold, place="U08 supply", type=kind, serial="QD-1", by=TESTER)


def put_in(rack: Rack, tray: Unit) -> None:
    station = make_station("COOLING")
    install_child(unit=rack.unit, slot_name="U08", child=tray, station=station, by=TESTER)


def started() -> Rack:
    rack = Rack()
    start_operation(unit=rack.unit, sequence=70, station=make_station("COOLING"), by=TESTER)
    return rack


def test_each_tray_put_behind_a_coupling_is_one_mate_of_it() -> None:
    rack = started()
    coupling = fit(rack.child("SUPPLY"), maximum=2)
    for _ in range(2):
        put_in(rack, make_unit(rack.tray))
        remove_child(unit=rack.unit, slot_name="U08", reason="look", by=TESTER)
    coupling.refresh_from_db()
    assert coupling.mates == 2
    tray = make_unit(rack.tray)
    with pytest.raises(RuleViolation) as refused:
        put_in(rack, tray)
    assert refused.value.code == "coupling_worn_out"
    assert not tray.placements.exists()


def test_a_rack_whose_couplings_are_not_tracked_takes_trays_as_well() -> None:
    rack = started()
    put_in(rack, make_unit(rack.tray))
    assert rack.child("U08")


def test_a_manifold_leaves_a_filled_loop_only_once_it_is_drained() -> None:
    rack = started()
    put_in(rack, make_unit(rack.tray))
    fit(rack.child("SUPPLY"))
    rack.filled()
    with pytest.raises(RuleViolation) as refused:
        remove_child(unit=rack.unit, slot_name="SUPPLY", reason="swap", by=TESTER)
    assert refused.value.code == "loop_filled"
    remove_child(unit=rack.unit, slot_name="U08", reason="its couplings close", by=TESTER)
    rack.drain()
    assert remove_child(unit=rack.unit, slot_name="SUPPLY", reason="swap", by=TESTER).installation.removed_at
