"""The demonstration cluster loads after the seed rack, and an order of it drafts one for its racks."""

from pathlib import Path

import pytest

from mes.clusters.services import status_of
from mes.definitions.services import load_pack
from mes.products.models import PartRevision, Route
from mes.stations.models import Site
from mes.workorders.services import create_child_orders
from tests.builders import TESTER, make_order

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


@pytest.mark.django_db
def test_the_demonstration_cluster_is_planned_with_four_places_and_three_tests() -> None:
    for pack in ("nvl72", "nvl72_cluster"):
        load_pack(FIXTURES / pack)
    revision = PartRevision.objects.get(part__number="CR-1001")
    route = Route.objects.get(part=revision.part)
    order = make_order(revision, route, site=Site.objects.get(code="DEMO"))
    children = create_child_orders(order=order, by=TESTER)
    assert [(child.part_revision.part.number, child.quantity) for child in children] == [("RK-1001", 4)]
    status = status_of(order.order_units.get().unit)
    assert (status.word, [place.name for place in status.places]) == (
        "planned",
        ["R1-01", "R1-02", "R2-01", "R2-02"],
    )
    assert [test.procedure for test in status.tests] == ["cabling", "l12_fabric", "l12_acceptance"]
