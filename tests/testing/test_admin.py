"""Test runs in the admin."""

from django.urls import reverse

from mes.testing.services import Result, measure, record_test_run
from tests.builders import TESTER, make_part, make_unit
from tests.test_admin_pages import superuser_client


def test_a_run_is_found_by_its_unit_and_shows_what_was_measured(db: None) -> None:
    unit = make_unit(make_part(), "SN1")
    result = Result("func", "FAIL", reasons=["too hot"], details={"fan": 3})
    result.measurements = [measure("gpu temperature", 91.5, unit="Cel", high=80)]
    run = record_test_run(unit=unit, result=result, configuration="", by=TESTER)
    record_test_run(
        unit=make_unit(make_part(), "SN2"), result=Result("func", "PASS"), configuration="", by=TESTER
    )
    client = superuser_client()
    listed = client.get(reverse("admin:testing_testrun_changelist"), {"q": "sn1"}).context["cl"]
    assert list(listed.result_list) == [run]
    page = client.get(reverse("admin:testing_testrun_change", args=[run.pk])).content.decode()
    for shown in ("too hot", "gpu temperature", "91.5", "&quot;fan&quot;: 3"):
        assert shown in page
