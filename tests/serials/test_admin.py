"""Units in the admin."""

from django.urls import reverse

from mes.ledger.models import Event
from mes.racks.services import install_unit
from mes.serials.models import Unit
from tests.builders import TESTER, make_assembly, make_part, make_unit
from tests.test_admin_pages import staff_client, superuser_client


def scrap_page(unit: Unit) -> str:
    return reverse("admin:workorders_unit_scrap", args=[unit.pk])


UNITS = reverse("admin:serials_unit_changelist")


def page_of(unit: Unit, page: str = "change") -> str:
    return reverse(f"admin:serials_unit_{page}", args=[unit.pk])


def found(code: str) -> list[str]:
    response = superuser_client().get(UNITS, {"q": code})
    return [unit.serial for unit in response.context["cl"].result_list]


def test_a_unit_is_found_by_any_code_on_it_and_by_nothing_less(db: None) -> None:
    part = make_part()
    make_unit(part, "SN1", identifiers={"mac": "AA:BB:CC:00:11:22"})
    make_unit(part, "SN10")
    assert found("sn1") == ["SN1"]
    assert found(" aa:bb:cc:00:11:22 ") == ["SN1"]
    assert found("SN") == []


def test_the_page_leads_to_the_records_of_the_unit(db: None) -> None:
    unit = make_unit(make_part())
    client = superuser_client()
    page = client.get(page_of(unit)).content.decode()
    for records in (
        f"/admin/racks/installation/?parent__id__exact={unit.pk}",
        f"/admin/testing/testrun/?unit__id__exact={unit.pk}",
        f"/admin/quality/hold/?unit__id__exact={unit.pk}",
        f"/admin/burnin/burninrun/?unit__id__exact={unit.pk}",
        f"/admin/workorders/workorder/?order_units__unit__id__exact={unit.pk}",
    ):
        assert records in page
        assert client.get(records).status_code == 200


def test_the_page_leads_nowhere_one_may_not_look(db: None) -> None:
    unit = make_unit(make_part())
    page = staff_client("view_unit").get(page_of(unit)).content.decode()
    assert "parent__id__exact" not in page
    assert "unit.received" not in page
    assert page_of(unit, "scrap") not in page


def test_the_page_shows_the_last_events(db: None) -> None:
    unit = make_unit(make_part())
    page = superuser_client().get(page_of(unit)).content.decode()
    assert "unit.received" in page
    assert reverse("admin:ledger_event_change", args=[Event.objects.get().pk]) in page


def test_scrapping_asks_for_a_reason(db: None) -> None:
    unit, client = make_unit(make_part()), superuser_client()
    assert "This field is required" in client.post(scrap_page(unit)).content.decode()
    unit.refresh_from_db()
    assert unit.state == Unit.State.IN_STOCK
    client.post(scrap_page(unit), {"reason": "dropped"})
    unit.refresh_from_db()
    assert unit.state == Unit.State.SCRAPPED
    assert Event.objects.get(kind="unit.scrapped").payload == {"reason": "dropped"}


def test_a_refusal_is_shown_with_the_next_step_and_recorded(db: None) -> None:
    gpu = make_part()
    tray = make_assembly("tray", level=10, takes={"G1": gpu})
    parent, child = make_unit(tray), make_unit(gpu)
    install_unit(parent=parent, slot=tray.slots.get(), child=child, by=TESTER)
    response = superuser_client().post(scrap_page(child), {"reason": "dropped"}, follow=True)
    page = response.content.decode()
    assert f"{child.serial} is installed or has units installed in it." in page
    assert "Remove it, and what is in it, first." in page
    child.refresh_from_db()
    assert child.state == Unit.State.IN_STOCK
    payload = Event.objects.get(kind="act.refused").payload
    assert payload["refusal"]["code"] == "unit_in_use"
    assert payload["body"] == {"reason": "dropped"}


def test_scrapping_needs_the_permission_to_release_holds(db: None) -> None:
    unit = make_unit(make_part())
    reason = {"reason": "dropped"}
    client = staff_client("view_unit", "change_unit")
    assert client.post(scrap_page(unit), reason).status_code == 403
    assert staff_client("view_unit", "change_hold").post(scrap_page(unit), reason).status_code == 302


def test_put_on_hold_leads_to_the_page_that_places_holds(db: None) -> None:
    unit = make_unit(make_part())
    response = superuser_client().get(page_of(unit, "hold_unit"), follow=True)
    assert response.context["adminform"].form.initial["unit"] == str(unit.pk)
