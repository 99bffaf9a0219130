"""Lists are narrowed by who, what, where and when: a value that no row has finds none."""

import uuid

import pytest

from mes.traceability.services import ask_report
from tests.builders import TESTER, supervisor_client
from tests.traceability.builders import Rack, burn_in
from tests.workorders.reworking import Review

pytestmark = pytest.mark.django_db
NOBODY, LONG_AGO, LATER = str(uuid.UUID(int=0)), "2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (
            "work-orders",
            "site__code extends__uid route__version part_revision__revision order_units__unit__uid",
        ),
        ("work-orders", "created_at__gte released_at__gte completed_at__lte"),
        (
            "nonconformances",
            "site__code operation__code location opened_by opened_station dispositions__kind",
        ),
        ("nonconformances", "opened_at__gte closed_at__lt"),
        ("holds", "placed_by released_by unit__site__code reason reason__icontains"),
        ("reports", "unit__serial asked_by asked_at__gte ready_at__lt"),
        ("burn-in-runs", "started_by unit__site__code created_at__gte ended_at__lt"),
    ],
)
def test_a_value_that_no_row_has_finds_none(path: str, names: str) -> None:
    rack, client = Rack(), supervisor_client()
    rack.build()
    burn_in(rack)
    ask_report(unit=rack.unit, by=TESTER)
    Review().open()
    assert client.get(f"/api/v1/{path}/").json()["results"]
    for name in names.split():
        value = LATER if name.endswith("gte") else LONG_AGO if name.endswith(("lt", "lte")) else "none"
        value = NOBODY if name.endswith("uid") else "scrap" if name.endswith("kind") else value
        answer = client.get(f"/api/v1/{path}/", {name: value})
        assert (answer.status_code, answer.json()["results"]) == (200, []), name
