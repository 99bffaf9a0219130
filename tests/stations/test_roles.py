"""Roles: what a person may decide at a site or at one line of it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from mes.errors import RuleViolation
from mes.ledger.services import events_of
from mes.people.models import User
from mes.stations.models import Line, RoleAssignment
from mes.stations.services import Role, end_role, grant_role, require_role
from tests.builders import TESTER, make_person, make_scanner, make_site, supervisor_client
from tests.test_admin_pages import staff_client, superuser_client

pytestmark = pytest.mark.django_db


def make_line(code: str, site: str = "S1") -> Line:
    return Line.objects.create(code=code, name=code, site=make_site(site))


def refused(act: Callable[[], object]) -> RuleViolation:
    with pytest.raises(RuleViolation) as refusal:
        act()
    return refusal.value


def held(person: User, *roles: Role, site: str = "S1", line: Line | None = None) -> str:
    try:
        return require_role(person=person.username, roles=roles, site=make_site(site), line=line)
    except RuleViolation as refusal:
        return refusal.code


def test_a_role_at_a_site_counts_for_its_lines_and_one_at_a_line_only_there() -> None:
    here, there = make_line("L1"), make_line("L2")
    everywhere, one_line = make_person(), make_person()
    grant_role(person=everywhere, role=Role.QUALITY, site=make_site(), by=TESTER)
    grant_role(person=one_line, role=Role.QUALITY, site=make_site(), line=here, by=TESTER)
    assert [held(everywhere, Role.QUALITY, line=line) for line in (None, here, there)] == ["quality"] * 3
    answers = [held(one_line, Role.QUALITY, line=line) for line in (here, there, None)]
    assert answers == ["quality", "role_missing", "role_missing"]
    assert held(everywhere, Role.QUALITY, site="S2") == "role_missing"


def test_the_first_role_wanted_that_is_held_is_answered() -> None:
    person = make_person()
    for role in (Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY):
        grant_role(person=person, role=role, site=make_site(), by=TESTER)
    assert held(person, Role.REVIEW_BOARD, Role.QUALITY, Role.SUPERVISOR) == "quality"


def test_a_refusal_names_who_may() -> None:
    person = make_person("demo")
    roles = [Role.REVIEW_BOARD, Role.QUALITY]
    refusal = refused(lambda: require_role(person="demo", roles=roles, site=make_site()))
    assert refusal.detail == "demo is not review board or quality at S1."
    assert refusal.release == "This takes the role review board or quality at S1."
    assert refusal.facts["roles"] == ["review_board", "quality"]
    assert held(person) == "role_missing"


def test_a_role_ends_and_one_of_a_person_switched_off_does_not_count() -> None:
    person, off = make_person(), make_person()
    assignment = grant_role(person=person, role=Role.QUALITY, site=make_site(), by=TESTER)
    grant_role(person=off, role=Role.QUALITY, site=make_site(), by=TESTER)
    User.objects.filter(pk=off.pk).update(is_active=False)
    assert held(off, Role.QUALITY) == "role_missing"
    end_role(assignment=assignment, reason="moved", by=TESTER)
    assert held(person, Role.QUALITY) == "role_missing"
    assert refused(lambda: end_role(assignment=assignment, reason="x", by=TESTER)).code == "role_ended"
    assert [event.kind for event in events_of(person)] == ["role.granted", "role.ended"]
    assert [event.payload["role"] for event in events_of(person)] == ["quality", "quality"]


def test_a_role_is_granted_once_and_at_a_line_of_its_site() -> None:
    person, other = make_person(), make_line("L9", site="S2")
    grant: dict[str, Any] = {"person": person, "role": Role.QUALITY, "site": make_site(), "by": TESTER}
    grant_role(**grant)
    assert refused(lambda: grant_role(**grant)).code == "role_held"
    assert refused(lambda: grant_role(**grant, line=other)).code == "wrong_site"
    assert RoleAssignment.objects.count() == 1
    end_role(assignment=RoleAssignment.objects.get(), reason="x", by=TESTER)
    grant_role(**grant)


def test_asking_costs_one_query(django_assert_num_queries: Any) -> None:
    person, line = make_person(), make_line("L1")
    grant_role(person=person, role=Role.QUALITY, site=line.site, by=TESTER)
    with django_assert_num_queries(1):
        require_role(person=person.username, roles=list(Role), site=line.site, line=line)


def body_for(person: User, **more: str) -> dict[str, str]:
    return {"person": person.username, "role": "quality", "site": make_site().code, **more}


def test_roles_over_rest() -> None:
    client, person, line = supervisor_client(), make_person(), make_line("L1")
    made = client.post("/api/v1/roles/", body_for(person, line=line.code))
    assert made.status_code == 201
    assert (made.json()["person"], made.json()["line"]) == (person.username, "L1")
    assert client.post("/api/v1/roles/", body_for(person, line=line.code)).json()["code"] == "role_held"
    assert client.post("/api/v1/roles/", body_for(person, role="boss")).status_code == 400
    assert client.post("/api/v1/roles/", body_for(person, site="NONE")).status_code == 400
    path = f"/api/v1/roles/{made.json()['id']}/end/"
    assert client.post(path, {}).status_code == 400
    assert client.post(path, {"reason": "moved"}).json()["ended_at"]
    assert client.post(path, {"reason": "moved"}).json()["code"] == "role_ended"
    listed = client.get("/api/v1/roles/", {"person__username": person.username, "ended_at__isnull": "false"})
    assert len(listed.json()["results"]) == 1


def test_roles_take_a_permission_and_stay_at_the_site_of_a_device() -> None:
    person, plain, client = make_person(), make_person(), APIClient()
    client.force_login(plain)
    assert client.get("/api/v1/roles/").status_code == 403
    assert client.post("/api/v1/roles/", body_for(person)).status_code == 403
    assert make_scanner().get("roles/").status_code == 403
    boss = make_person(is_superuser=True)
    scanner = make_scanner(person=boss)
    make_site("S2")
    assert scanner.post("roles/", body_for(person, site="S2")).json()["code"] == "wrong_site"
    role = grant_role(person=person, role=Role.QUALITY, site=make_site("S2"), by=TESTER)
    assert scanner.post(f"roles/{role.pk}/end/", {"reason": "x"}).status_code == 404
    assert scanner.post("roles/", body_for(person)).status_code == 201
    assert scanner.post("roles/", body_for(person, operator=boss.badge)).status_code == 403


def test_a_longer_list_of_roles_costs_no_more_queries() -> None:
    client, line = supervisor_client(), make_line("L1")

    def queries() -> int:
        grant_role(person=make_person(), role=Role.QUALITY, site=line.site, line=line, by=TESTER)
        with CaptureQueriesContext(connection) as captured:
            client.get("/api/v1/roles/")
        return len(captured)

    assert queries() == queries()


def test_a_role_is_granted_and_ended_on_its_page() -> None:
    client, person = superuser_client(), make_person()
    given = {"person": person.pk, "role": "quality", "site": make_site().pk}
    client.post(reverse("admin:stations_roleassignment_add"), given)
    role = RoleAssignment.objects.get()
    page = reverse("admin:stations_roleassignment_end", args=[role.pk])
    client.post(page, {"reason": "moved"})
    role.refresh_from_db()
    assert role.ended_at is not None
    assert staff_client("view_roleassignment").post(page, {"reason": "x"}).status_code == 403
