"""Ways around a freeze: replacing rows, replication roles, truncation, and a child that races the release."""

import threading

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from mes.products.models import BomLine, Budget, CompatibilityRule, PartRevision
from tests.builders import make_assembly, make_part, make_route, release

pytestmark = pytest.mark.django_db


def run_sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


REPLACEMENTS = {
    "the head by its key": "REPLACE INTO products_partrevision (part_id, revision, description, assumption)"
    " SELECT part_id, revision, 'forged', '' FROM products_partrevision WHERE released_at IS NOT NULL",
    "a child by its id": "REPLACE INTO products_gate (id, operation_id, rule, moment, procedure)"
    " SELECT id, operation_id, rule, 'start', procedure FROM products_gate",
    "the route by its key": "REPLACE INTO products_route (part_id, version, name, assumption)"
    " SELECT part_id, version, 'forged', '' FROM products_route",
}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="REPLACE INTO is SQLite's")
@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
@pytest.mark.parametrize("what", REPLACEMENTS)
def test_replacing_is_refused(what: str, recursive_triggers: str) -> None:
    make_route(make_assembly("tray", level=10, takes={"GPU0": make_part()}))
    run_sql(f"PRAGMA recursive_triggers={recursive_triggers}")
    try:
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            run_sql(REPLACEMENTS[what])
    finally:
        run_sql("PRAGMA recursive_triggers=ON")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="replication roles are PostgreSQL's")
@pytest.mark.parametrize(
    "statement",
    ["UPDATE products_slot SET name = 'X'", "TRUNCATE products_gate", "DELETE FROM products_bomline"],
)
def test_a_replication_role_is_refused_too(statement: str) -> None:
    make_route(make_assembly("tray", level=10, takes={"GPU0": make_part()}))
    run_sql("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        run_sql("SET LOCAL session_replication_role = replica", statement)


def test_a_child_may_not_be_moved_into_a_released_parent() -> None:
    gpu, draft = make_part(), make_part("tray", level=10, released=False)
    line = BomLine.objects.create(parent=draft, part=gpu.part, quantity=1)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        BomLine.objects.filter(pk=line.pk).update(parent=make_part("rack", level=11))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_a_child_cannot_slip_in_while_its_parent_is_released() -> None:
    gpu, draft = make_part(), make_part("tray", level=10, released=False)
    inserted, released = threading.Event(), threading.Event()

    def release_meanwhile() -> None:
        inserted.wait(5)
        PartRevision.objects.filter(pk=draft.pk).update(released_at=timezone.now())
        released.set()
        connections.close_all()

    thread = threading.Thread(target=release_meanwhile)
    thread.start()
    with transaction.atomic():
        BomLine.objects.create(parent=draft, part=gpu.part, quantity=1)
        inserted.set()
        assert not released.wait(0.5), "the release did not wait for the child"
    thread.join(10)
    assert released.is_set()


def test_a_draft_may_be_changed_and_released() -> None:
    draft = make_part("tray", level=10, released=False)
    line = BomLine.objects.create(parent=draft, part=make_part().part, quantity=1)
    BomLine.objects.filter(pk=line.pk).update(quantity=2)
    release(draft)
    assert PartRevision.objects.get(pk=draft.pk).is_released


def test_budgets_and_rules_are_frozen_with_their_revision() -> None:
    draft = make_part("tray", level=10, released=False)
    Budget.objects.create(revision=draft, name="power", figure="power_w", limit=5)
    CompatibilityRule.objects.create(
        revision=draft, name="one maker", relation="same", kinds=["psu"], property="maker"
    )
    release(draft)
    for model in (Budget, CompatibilityRule):
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            model.objects.update(name="other")
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            model.objects.all().delete()
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        PartRevision.objects.filter(pk=draft.pk).update(power_w=1)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        Budget.objects.create(revision=draft, name="more", figure="power_w", limit=5)
