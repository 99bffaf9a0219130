"""Training expires or is revoked; work asks for what is valid. One's own PIN is set after the password."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from mes.errors import RuleViolation
from mes.ledger.services import events_of
from mes.people.models import Qualification, TrainingRecord, User
from mes.people.services import (
    digest_of,
    prove,
    record_training,
    require_qualified,
    revoke_training,
    set_pin,
    sign,
)
from tests.builders import TESTER, make_person, make_scanner, supervisor_client
from tests.test_admin_pages import superuser_client

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
PASSWORD = "a long enough sentence"


def make_qualification(code: str = "brazing", valid_days: int | None = 30) -> Qualification:
    return Qualification.objects.create(code=code, name=code, valid_days=valid_days)


def train(person: User, qualification: Qualification, ago: timedelta = DAY) -> TrainingRecord:
    return record_training(
        person=person,
        qualification=qualification,
        trainer="trainer",
        trained_at=timezone.now() - ago,
        by=TESTER,
    )


def refused(act: Callable[[], object]) -> RuleViolation:
    with pytest.raises(RuleViolation) as refusal:
        act()
    return refusal.value


def test_who_is_trained_may_and_a_refusal_names_what_lacks(django_assert_num_queries: Any) -> None:
    person, brazing, cooling = make_person(), make_qualification(), make_qualification("cooling")
    train(person, brazing)
    with django_assert_num_queries(1):
        require_qualified(person=person.username, qualifications=[brazing])
    require_qualified(person=person.username, qualifications=[])
    train(person, cooling, ago=31 * DAY)
    wanted = [brazing, cooling, make_qualification("leak_test")]
    refusal = refused(lambda: require_qualified(person=person.username, qualifications=wanted))
    assert (refusal.code, refusal.facts) == (
        "not_qualified",
        {"person": person.username, "missing": ["leak_test"], "expired": ["cooling"]},
    )
    train(person, cooling)
    require_qualified(person=person.username, qualifications=[brazing, cooling])


def test_training_without_an_end_counts_until_revoked() -> None:
    person, forever = make_person(), make_qualification(valid_days=None)
    training = train(person, forever, ago=5000 * DAY)
    require_qualified(person=person.username, qualifications=[forever])
    revoke_training(training=training, reason="failed the exam", by=TESTER)
    refusal = refused(lambda: require_qualified(person=person.username, qualifications=[forever]))
    assert refusal.facts["missing"] == ["brazing"]
    assert refused(lambda: revoke_training(training=training, reason="x", by=TESTER)).code == (
        "training_revoked"
    )
    assert [event.kind for event in events_of(person)] == ["training.recorded", "training.revoked"]


def test_impossible_training_is_refused() -> None:
    person, brazing = make_person("demo"), make_qualification()
    assert refused(lambda: train(person, brazing, ago=-DAY)).code == "training_in_future"
    own = {"person": person, "qualification": brazing, "trainer": "demo", "by": TESTER}
    assert refused(lambda: record_training(**own)).code == "self_trained"  # type: ignore[arg-type]
    assert not TrainingRecord.objects.exists()


def test_training_over_rest() -> None:
    client, person = supervisor_client(), make_person()
    make_qualification()
    body = {"person": person.username, "qualification": "brazing", "trainer": "trainer"}
    made = client.post("/api/v1/training-records/", body)
    assert (made.status_code, made.json()["qualification"]) == (201, "brazing")
    assert client.post("/api/v1/training-records/", {**body, "qualification": "no"}).status_code == 400
    path = f"/api/v1/training-records/{made.json()['id']}/revoke/"
    assert client.post(path, {"reason": "x"}).json()["revoked_at"]
    assert client.get("/api/v1/training-records/", {"revoked_at__isnull": True}).json()["results"] == []
    assert client.get("/api/v1/qualifications/").json()["results"][0]["code"] == "brazing"
    plain = APIClient()
    plain.force_login(person)
    for path in ("training-records", "signatures"):
        assert plain.get(f"/api/v1/{path}/").status_code == 403
    assert plain.post("/api/v1/training-records/", body).status_code == 403


def test_signatures_are_read_by_their_subject(django_assert_num_queries: Any) -> None:
    person, client = set_pin(person=make_person(), pin="1234", by=TESTER), supervisor_client()
    proof = prove(badge=person.badge, pin="1234")
    sign(proof=proof, meaning="m", reason="r", subject=person, digest=digest_of(1), performers=["a"])
    found = client.get("/api/v1/signatures/", {"subject": person.stream}).json()["results"]
    assert [(row["signer"], row["performers"]) for row in found] == [(person.username, ["a"])]
    assert client.get("/api/v1/signatures/", {"subject": "unit:x"}).json()["results"] == []


def test_ones_own_pin_is_set_after_the_password() -> None:
    person, client = make_person(password=PASSWORD), APIClient()
    client.force_login(person)
    refusal = client.post("/api/v1/me/pin/", {"pin": "4829", "password": "wrong"})
    assert (refusal.status_code, refusal.json()["code"]) == (422, "password_wrong")
    assert client.post("/api/v1/me/pin/", {"pin": "12", "password": PASSWORD}).json()["code"] == "pin_format"
    assert client.post("/api/v1/me/pin/", {"pin": "4829", "password": PASSWORD}).status_code == 200
    assert prove(badge=person.badge, pin="4829").require() == person
    scanner = make_scanner(person=person)
    assert scanner.post("me/pin/", {"pin": "1111", "password": PASSWORD}).status_code == 403


def test_what_expires_soon_is_a_list_and_training_is_revoked_on_its_page() -> None:
    client, person = superuser_client(), make_person()
    kinds = {"soon": (30, DAY), "later": (60, DAY), "expired": (30, 40 * DAY)}
    for code, (days, ago) in kinds.items():
        train(person, make_qualification(code, days), ago)
    url = reverse("admin:people_trainingrecord_changelist")
    for choice in ("soon", "expired"):
        rows = client.get(url, {"validity": choice}).context["cl"].result_list
        assert [row.qualification.code for row in rows] == [choice]
    row = TrainingRecord.objects.get(qualification__code="later")
    client.post(reverse("admin:people_trainingrecord_revoke", args=[row.pk]), {"reason": "x"})
    row.refresh_from_db()
    assert row.revoked_at is not None
