"""Rivals on real PostgreSQL: one crate per unit, one departure, and a hold that is never overtaken."""

import threading
from functools import partial

import pytest
from django.db import IntegrityError, connection, connections

from mes.ledger.verification import verify_ledger
from mes.people.services import prove
from mes.shipping.models import Crate, FieldReturn, PackedUnit, Shipment
from mes.shipping.services import (
    add_crate,
    depart_shipment,
    pack_unit,
    return_from_field,
    unpack_unit,
)
from mes.workorders.models import ShipHold
from mes.workorders.services import place_ship_hold, release_ship_hold
from tests.builders import PIN, TESTER, make_signer, make_unit
from tests.racks.test_races import race
from tests.shipping.builders import Rack, depart, make_shipment, pack

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]


def test_many_crates_for_one_unit() -> None:
    rack = Rack().make()
    shipment = make_shipment()
    crates = [add_crate(shipment=shipment, by=TESTER) for _ in range(40)]
    ends = race([partial(pack_unit, crate=crate, unit=rack, by=TESTER) for crate in crates])
    assert ends == {"won": 1, "unit_in_crate": 39}
    assert PackedUnit.objects.filter(unit=rack, unpacked_at=None).count() == 1
    assert verify_ledger().intact


def test_many_departures_of_one_shipment() -> None:
    racks = Rack()
    shipment = pack(racks.make()).shipment
    pack(racks.make(), shipment=shipment)
    ends = race([partial(depart_shipment, shipment=shipment, by=TESTER)] * 20)
    assert ends["won"] == 1 and ends["won"] + ends["shipment_departed"] + ends["stale"] == 20
    assert PackedUnit.objects.filter(departed_at__isnull=False).count() == 2
    assert verify_ledger().intact


def test_a_hold_placed_or_released_meanwhile_is_never_overtaken() -> None:
    """Whoever comes first decides: what departed had no open hold, what is held stayed here."""
    racks, quality = Rack(), make_signer("quality")
    for number in range(6):
        rack = racks.make()
        shipment = pack(rack).shipment
        calls = [partial(depart_shipment, shipment=shipment, by=TESTER)] * 5
        if number % 2:
            hold = place_ship_hold(target=rack, reason="credit", by=TESTER)
            proof = prove(badge=quality.badge, pin=PIN)
            release = partial(release_ship_hold, hold=hold, reason="paid", proof=proof, by=TESTER)
            ends = race([*calls, *[release] * 5])
            assert ends["ship_hold_released"] + ends["won"] >= 5
        else:
            place = partial(place_ship_hold, target=rack, reason="credit", by=TESTER)
            ends = race([*calls, *[place] * 5])
        shipment.refresh_from_db()
        rack.refresh_from_db()
        is_held = ShipHold.objects.filter(unit=rack, released_at=None).exists()
        departed = shipment.state == Shipment.State.DEPARTED
        assert departed == (rack.state == "shipped")
        assert not (departed and is_held), ends
    assert verify_ledger().intact


def test_packing_and_unpacking_against_departure() -> None:
    """What departs is exactly what was in the crates when it did."""
    racks = Rack()
    shipment = pack(racks.make()).shipment
    crate = pack(racks.make(), shipment=shipment)
    late = racks.make()
    calls = [partial(depart_shipment, shipment=shipment, by=TESTER)] * 4
    race(
        [
            *calls,
            *[partial(pack_unit, crate=crate, unit=late, by=TESTER)] * 3,
            *[partial(unpack_unit, crate=crate, unit=late, reason="x", by=TESTER)] * 3,
        ]
    )
    late.refresh_from_db()
    assert late.state == "finished"
    assert PackedUnit.objects.filter(departed_at__isnull=False).count() == 2


def test_a_unit_comes_back_once() -> None:
    rack = Rack().make()
    depart(rack)
    ends = race([partial(return_from_field, unit=rack, symptom="leak", by=TESTER)] * 20)
    assert ends == {"won": 1, "unit_not_shipped": 19}
    assert FieldReturn.objects.count() == 1
    assert verify_ledger().intact


def test_control_check_then_insert_packs_a_unit_twice_but_for_the_constraint() -> None:
    """The same race without lock and version: only the constraint keeps rivals out."""
    unit, shipment = make_unit(Rack().gpu), make_shipment()
    crates = [add_crate(shipment=shipment, by=TESTER) for _ in range(10)]
    barrier, ends = threading.Barrier(10), list[str]()

    def naive(crate: Crate) -> None:
        free = not PackedUnit.objects.filter(unit=unit, unpacked_at=None).exists()
        barrier.wait()
        try:
            if free:
                PackedUnit.objects.create(crate=crate, unit=unit, packed_by="naive")
                ends.append("won")
        except IntegrityError:
            ends.append("constraint")
        connections.close_all()

    threads = [threading.Thread(target=naive, args=(crate,)) for crate in crates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["constraint"] * 9 + ["won"]
