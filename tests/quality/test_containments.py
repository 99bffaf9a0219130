"""Many holds under one number: one per unit, none lost to rivals, released alone."""

from collections.abc import Callable
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction

from mes.ledger.services import Answer, decide_again_when_stale
from mes.ledger.verification import verify_ledger
from mes.quality.models import Containment, Hold
from mes.quality.services import (
    lock_containment,
    place_containment,
    place_hold,
    release_hold,
    release_holds,
)
from mes.serials.models import Unit
from mes.serials.services import lock_units
from tests.builders import TESTER, make_part, make_site, make_unit
from tests.racks.test_races import race


def contain(*pks: int) -> Containment:
    with transaction.atomic():
        units = lock_units(*pks).values()
        return place_containment(
            site=make_site(), question={"lot": "L1"}, reason="suspect", units=units, lots=(), by=TESTER
        )


def free(containment: Containment, *pks: int) -> Containment:
    with transaction.atomic():
        return release_holds(
            containment=lock_containment(containment),
            units=pks,
            lots=(),
            reason="cleared",
            question={},
            by=TESTER,
        )


@pytest.mark.django_db
def test_one_containment_holds_a_unit_once() -> None:
    unit = make_unit(make_part())
    containment = contain(unit.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        place_hold(unit=unit, reason="again", by=TESTER, containment=containment)
    assert Hold.objects.count() == 1


@pytest.mark.django_db
def test_other_holds_of_a_unit_stay() -> None:
    units = [make_unit(make_part()) for _ in range(2)]
    first, second = contain(*(unit.pk for unit in units)), contain(units[0].pk)
    assert (first.number, second.number) == ("CT-0001", "CT-0002")
    assert free(first, *(unit.pk for unit in units)).state == Containment.State.RELEASED
    assert list(Unit.objects.filter(held=True)) == units[:1]
    release_hold(hold=second.holds.get(), reason="cleared", by=TESTER)
    second.refresh_from_db()
    assert (second.state, second.released_by) == (Containment.State.RELEASED, "tester")
    assert not Unit.objects.filter(held=True).exists()


@pytest.mark.django_db
def test_what_is_not_of_the_containment_is_not_released() -> None:
    held, other = make_unit(make_part()), make_unit(make_part())
    place_hold(unit=other, reason="scratched", by=TESTER)
    containment = free(contain(held.pk), held.pk, other.pk)
    assert containment.holds.filter(released_at__isnull=False).count() == 1
    assert list(Unit.objects.filter(held=True)) == [other]


on_postgresql = [
    pytest.mark.postgresql,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]


@pytest.mark.django_db(transaction=True)
class TestRivals:
    """Rival acts on the same units at the same moment."""

    pytestmark = on_postgresql

    def test_no_hold_is_lost_and_no_number_given_twice(self) -> None:
        part = make_part()
        pks = [make_unit(part).pk for _ in range(5)]
        make_site()
        ends = race(
            [
                partial(decide_again_when_stale, lambda act=act: Answer(200, act()))  # type: ignore[misc]
                for _ in range(20)
                for act in (
                    partial(contain, *pks),
                    partial(place_hold, unit=Unit.objects.get(pk=pks[0]), reason="x", by=TESTER),
                )
            ]
        )
        assert ends == {"won": 40}
        assert Hold.objects.count() == 20 * 5 + 20
        assert Containment.objects.values("number").distinct().count() == 20
        assert verify_ledger().intact

    def test_the_last_two_holds_released_at_once_release_the_containment(self) -> None:
        part = make_part()
        made = [[make_unit(part).pk for _ in range(2)] for _ in range(20)]
        containments = [contain(*pks) for pks in made]
        holds = Hold.objects.order_by("unit_id")
        ends = race([partial(release_hold, hold=hold, reason="cleared", by=TESTER) for hold in holds])
        assert ends == {"won": 40}
        states = Containment.objects.filter(pk__in=[row.pk for row in containments]).values_list("state")
        assert set(states) == {("released",)}
        assert not Unit.objects.filter(held=True).exists()
        assert verify_ledger().intact

    def test_a_hold_placed_while_a_containment_is_released_stays(self) -> None:
        part = make_part()
        pks = [make_unit(part).pk for _ in range(40)]
        containments = [contain(pk) for pk in pks]
        units = Unit.objects.in_bulk(pks)
        acts: list[Callable[[], object]] = [
            act
            for containment, pk in zip(containments, pks, strict=True)
            for act in (
                partial(free, containment, pk),
                partial(place_hold, unit=units[pk], reason="scratched", by=TESTER),
            )
        ]
        assert race(acts) == {"won": 80}
        assert Unit.objects.filter(held=True).count() == 40
