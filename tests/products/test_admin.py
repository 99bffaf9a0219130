"""Definitions in the admin: edited as drafts, frozen by release."""

from typing import Any

import pytest
from django.db.models import Model
from django.urls import reverse

from mes.ledger.models import Event
from mes.products.models import BomLine, Budget, Operation, PartRevision, RetestRule, Route, Slot
from tests.builders import make_assembly, make_part, make_route, release
from tests.test_admin_pages import superuser_client

INLINES = {
    PartRevision: ("bom_lines", "slots", "budgets", "compatibility_rules"),
    Route: ("operations", "retest_rules", "rework_limits"),
    Operation: ("gates", "limits", "qualifications", "tools", "consumables", "data_fields"),
}


def page_of(row: Model, page: str = "change") -> str:
    return reverse(f"admin:products_{row._meta.model_name}_{page}", args=[row.pk])


def form_of(row: Model, **given: Any) -> dict[str, Any]:
    empty = {f"{prefix}-TOTAL_FORMS": 0 for prefix in INLINES.get(type(row), ())}
    return {**empty, **{f"{prefix}-INITIAL_FORMS": 0 for prefix in INLINES.get(type(row), ())}, **given}


def draft_route() -> Route:
    return Route.objects.create(part=make_part("tray").part, version="1", name="draft")


def released_rows() -> list[Model]:
    tray = make_assembly("tray", level=10, takes={"G1": make_part()})
    route = make_route(tray, repeats={"place": [20]})
    return [tray, route, *Operation.objects.all(), *RetestRule.objects.all()]


def test_a_draft_is_changed_with_its_bill_of_material(db: None) -> None:
    revision, child = make_part("tray", level=10, released=False), make_part().part
    line = {"part": child.pk, "quantity": 2, "revisions": "A, B"}
    given = form_of(revision, part=revision.part_id, revision="A1")
    given |= {"bom_lines-TOTAL_FORMS": 1} | {f"bom_lines-0-{name}": value for name, value in line.items()}
    assert superuser_client().post(page_of(revision), given).status_code == 302
    revision.refresh_from_db()
    assert revision.revision == "A1"
    [stored] = BomLine.objects.filter(parent=revision)
    assert (stored.part, stored.quantity, stored.revisions) == (child, 2, ["A", "B"])


def test_the_list_of_revisions_may_be_empty(db: None) -> None:
    revision = make_part("tray", level=10, released=False)
    line = BomLine.objects.create(parent=revision, part=make_part().part, quantity=1, revisions=["A"])
    given = form_of(revision, part=revision.part_id, revision="A")
    given |= {"bom_lines-TOTAL_FORMS": 1, "bom_lines-INITIAL_FORMS": 1}
    row = {"id": line.pk, "parent": revision.pk, "part": line.part_id, "quantity": 1, "revisions": ""}
    given |= {f"bom_lines-0-{name}": value for name, value in row.items()}
    assert superuser_client().post(page_of(revision), given).status_code == 302
    line.refresh_from_db()
    assert line.revisions == []


def test_what_is_released_cannot_be_changed_or_deleted(db: None) -> None:
    client = superuser_client()
    for row in released_rows():
        assert client.get(page_of(row)).status_code == 200
        assert client.post(page_of(row), form_of(row, name="changed")).status_code == 403
        assert client.post(page_of(row, "delete"), {"post": "yes"}).status_code == 403


def test_what_is_released_shows_no_fields(db: None) -> None:
    client = superuser_client()
    for row in released_rows():
        page = client.get(page_of(row)).content.decode()
        assert '<input type="text" name="q"' not in page
        assert not any(f'name="{field.name}"' in page for field in row._meta.fields if field.editable)
        assert "__prefix__" not in page


def test_release_asks_first_then_freezes_and_is_recorded(db: None) -> None:
    revision, client = make_part("tray", released=False), superuser_client()
    page = client.get(page_of(revision, "release")).content.decode()
    assert "nothing in it can be changed again" in page
    revision.refresh_from_db()
    assert not revision.is_released
    assert client.post(page_of(revision, "release")).status_code == 302
    revision.refresh_from_db()
    assert revision.is_released
    event = Event.objects.get(kind="definition.released")
    assert event.payload == {"definition": "products.partrevision", "name": str(revision)}


def test_what_is_released_is_not_released_again(db: None) -> None:
    revision, client = make_part("tray"), superuser_client()
    assert page_of(revision, "release") not in client.get(page_of(revision)).content.decode()
    assert client.post(page_of(revision, "release")).status_code == 403


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("operation", {"sequence": 10, "code": "x", "name": "X", "work_center": "BUILD", "people": 1}),
        ("retestrule", {"name": "swap", "trigger": "removed", "slot_type": "place", "repeats": "10"}),
    ],
)
def test_nothing_is_added_to_a_released_route(db: None, kind: str, given: dict[str, Any]) -> None:
    route = draft_route()
    url = reverse(f"admin:products_{kind}_add")
    empty = form_of(Operation()) if kind == "operation" else {}
    assert superuser_client().post(url, {**empty, **given, "route": route.pk}).status_code == 302
    release(route)
    again = {**given, "code": "y", "name": "Y", "route": route.pk}
    response = superuser_client().post(url, {**empty, **again})
    assert "This route is released. Choose a draft." in response.content.decode()


def test_the_repeats_of_a_rule_are_numbers(db: None) -> None:
    given = {"name": "swap", "trigger": "removed", "slot_type": "place", "route": draft_route().pk}
    url, client = reverse("admin:products_retestrule_add"), superuser_client()
    response = client.post(url, {**given, "repeats": "20, all"})
    assert "Whole numbers with commas between them" in response.content.decode()
    assert client.post(url, {**given, "repeats": "20, 30"}).status_code == 302
    assert RetestRule.objects.get().repeats == [20, 30]


def test_budgets_rules_and_properties_are_typed_as_texts(db: None) -> None:
    revision = make_part("tray", level=10, released=False)
    given = form_of(revision, part=revision.part_id, revision="A", mates="busbar, supply")
    given |= {"properties": "generation: 2, speed: 400G", "weight_kg": "12.5"}
    given |= {"budgets-TOTAL_FORMS": 1, "compatibility_rules-TOTAL_FORMS": 1}
    budget = {"name": "N+1", "figure": "power_w", "redundancy": 1, "supply_slots": "PSU1, psu"}
    rule = {"name": "one maker", "relation": "same", "kinds": "psu", "property": "maker"}
    given |= {f"budgets-0-{name}": value for name, value in budget.items()}
    given |= {f"compatibility_rules-0-{name}": value for name, value in rule.items()}
    client = superuser_client()
    assert client.post(page_of(revision), given).status_code == 302
    revision.refresh_from_db()
    assert (revision.mates, revision.properties) == (
        ["busbar", "supply"],
        {"generation": "2", "speed": "400G"},
    )
    assert revision.budgets.get().supply_slots == ["PSU1", "psu"]
    assert revision.compatibility_rules.get().kinds == ["psu"]
    page = client.get(page_of(revision)).content.decode()
    assert "generation: 2, speed: 400G" in page
    bad = client.post(page_of(revision), {**form_of(revision), "properties": "generation"})
    assert "Each name once with its text" in bad.content.decode()


def test_an_assembly_that_breaks_its_own_budget_is_not_released(db: None) -> None:
    child, revision = make_part(), make_part("tray", level=10, released=False)
    child = PartRevision.objects.create(part=child.part, revision="B", power_w=60)
    release(child)
    Slot.objects.create(revision=revision, name="G", type="gpu", filled_at=0, order=0).accepts.add(child.part)
    Budget.objects.create(revision=revision, name="power", figure="power_w", limit=50)
    answer = superuser_client().post(page_of(revision, "release"), follow=True)
    assert "power comes to 60.0 W when filled as designed" in answer.content.decode()
    revision.refresh_from_db()
    assert not revision.is_released
