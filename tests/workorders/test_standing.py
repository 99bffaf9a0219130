"""How a unit stands: where on its route, and how much is out of the ordinary, in a constant few queries."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mes.people.services import prove
from mes.quality.services import place_hold
from mes.stations.models import Site
from mes.workorders.models import GateRelease
from mes.workorders.services import release_gate
from tests.builders import (
    PIN,
    TESTER,
    make_part,
    make_scanner,
    make_signer,
    make_station,
    make_unit,
    supervisor_client,
)
from tests.test_admin_pages import superuser_client
from tests.workorders.reworking import Review

pytestmark = pytest.mark.django_db


def standing_of(review: Review) -> dict[str, object]:
    return dict(make_scanner().get(f"units/{review.unit.uid}/standing/").json())


def test_a_unit_tells_order_next_operations_and_what_is_out_of_the_ordinary() -> None:
    review = Review()
    review.act(review.builder, 10, "start")
    proof = prove(badge=make_signer("quality").badge, pin=PIN)
    release_gate(
        unit=review.unit,
        sequence=10,
        gate="slots_filled",
        reason="agreed",
        proof=proof,
        by=TESTER,
        allowed=2,
    )
    GateRelease.objects.update(used=1)
    stands = standing_of(review)
    assert stands["order"] == review.unit.order_units.get().work_order.number
    assert stands["next_operations"] == [
        {"sequence": 10, "code": "op10", "name": "Step 10", "work_center": "BUILD"}
    ]
    assert (stands["gate_releases"], stands["gate_passes"]) == (1, 1)
    place_hold(unit=review.unit, reason="dent", by=TESTER)
    found = review.open()
    stands = standing_of(review)
    assert (stands["held"], stands["open_holds"], stands["open_nonconformances"]) == (True, 2, 1)
    review.dispose(found)
    stands = standing_of(review)
    assert stands["rework"] == found.number
    assert [row["name"] for row in stands["next_operations"]] == ["Rework 10"]  # type: ignore[attr-defined]


def test_a_unit_that_no_order_has_tells_its_records_alone() -> None:
    unit = make_unit(make_part())
    answer = supervisor_client().get(f"/api/v1/units/{unit.uid}/standing/").json()
    assert (answer["order"], answer["next_operations"], answer["open_holds"]) == (None, [], 0)
    other = make_scanner(make_station(site=Site.objects.create(code="S2", name="S2")))
    assert other.get(f"units/{unit.uid}/standing/").status_code == 404


def test_it_takes_the_same_queries_whatever_is_on_record() -> None:
    def queries(review: Review) -> int:
        client = supervisor_client()
        with CaptureQueriesContext(connection) as found:
            client.get(f"/api/v1/units/{review.unit.uid}/standing/")
        return len(found)

    few, many = Review(), Review()
    for symptom in ("leak", "dent", "burn"):
        many.open(symptom)
    assert queries(few) == queries(many) <= 16


@pytest.mark.parametrize("records", ["gaterelease", "rework", "deviation"])
def test_the_page_of_a_unit_leads_to_its_exceptions(records: str) -> None:
    unit, client = make_unit(make_part()), superuser_client()
    page = client.get(reverse("admin:serials_unit_change", args=[unit.pk])).content.decode()
    path = f"{reverse(f'admin:workorders_{records}_changelist')}?unit__id__exact={unit.pk}"
    assert path in page
    assert client.get(path).status_code == 200
