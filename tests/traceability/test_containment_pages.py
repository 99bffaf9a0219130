"""Containment over REST and in the admin: asked, held, narrowed and released by those who may."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from mes.ledger.models import Event
from mes.quality.models import Containment
from mes.serials.models import Unit
from tests.builders import Scanner, make_person, make_scanner, make_site, make_station, supervisor_client
from tests.test_admin_pages import staff_client, superuser_client
from tests.traceability.builders import Rack, put

pytestmark = pytest.mark.django_db
ASK = "admin:quality_containment_question"


@pytest.fixture
def rack() -> Rack:
    rack = Rack(gpus=1)
    put(rack.unit, "U08", rack.trays[0])
    return rack


def question_of(rack: Rack) -> dict[str, str]:
    return {"site": "S1", "lot": rack.lot.number}


def post(client: APIClient, path: str, body: dict[str, Any], key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/api/v1/{path}", body, format="json", headers=headers)


def preview(client: APIClient, question: dict[str, str], **listing: Any) -> Any:
    return post(client, "containments/preview/", {"question": question, **listing})


def confirmed(answer: Any, reason: str = "suspect") -> dict[str, Any]:
    return {"reason": reason, "expected_count": answer["count"], "digest": answer["digest"]}


def hold(client: APIClient, question: dict[str, str], key: str = "") -> Any:
    seen = preview(client, question).json()
    return post(client, "containments/", {"question": question, **confirmed(seen)}, key)


def test_a_question_is_answered_held_and_released(rack: Rack) -> None:
    client = supervisor_client()
    seen = preview(client, question_of(rack)).json()
    assert (seen["count"], seen["places"]["inside"], seen["lots"][0]["number"]) == (2, 2, rack.lot.number)
    row = next(row for row in seen["units"] if row["path"].startswith("U08"))
    assert (row["top_serial"], row["path"], row["place"]) == (rack.unit.serial, "U08/SC0/GPU0", "inside")
    assert (row["order"], row["shipped_to"]) == (rack.unit.order_units.get().work_order.number, None)
    made = hold(client, question_of(rack)).json()
    assert (made["number"], made["units_still_held"], made["lots_still_held"]) == ("CT-0001", 2, 1)
    path = "containments/CT-0001/"
    detail = client.get(f"/api/v1/{path}").json()
    assert {row["serial"] for row in detail["affected"]["units"]} == {gpu.serial for gpu in rack.gpus}
    narrowed = preview(client, {"site": "S1", "containment": "CT-0001"}).json()
    assert narrowed["digest"] == detail["affected"]["digest"] == seen["digest"]
    freed = post(client, f"{path}release/", confirmed(narrowed, "cleared"))
    assert (freed.status_code, freed.json()["state"]) == (200, "released")
    assert not Unit.objects.filter(held=True).exists()
    again = post(client, f"{path}release/", confirmed(narrowed, "cleared"))
    assert (again.status_code, again.json()["code"]) == (422, "containment_released")


def test_a_release_is_narrowed_by_a_question(rack: Rack) -> None:
    client = supervisor_client()
    hold(client, question_of(rack))
    narrower = {"part": "nobody knows this"}
    body = {"reason": "x", "expected_count": 0, "digest": "0"}
    refused = post(client, "containments/CT-0001/release/", {"question": narrower, **body})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_criterion")
    date_code = {"date_code": "2642"}
    seen = preview(client, {"site": "S1", "containment": "CT-0001", **date_code}).json()
    freed = post(client, "containments/CT-0001/release/", {"question": date_code, **confirmed(seen)})
    assert freed.json()["state"] == "released"


def test_a_hold_sent_twice_holds_once(rack: Rack) -> None:
    client, question = supervisor_client(), question_of(rack)
    body = {"question": question, **confirmed(preview(client, question).json())}
    answers = [post(client, "containments/", body, key="k1").json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert Containment.objects.count() == 1


def test_what_changed_since_it_was_seen_is_409_and_on_record(rack: Rack) -> None:
    client, question = supervisor_client(), question_of(rack)
    seen = preview(client, question).json()
    rack.make_gpu()
    answer = post(client, "containments/", {"question": question, **confirmed(seen)})
    assert (answer.status_code, answer.json()["code"], answer.json()["count"]) == (
        409,
        "containment_changed",
        3,
    )
    assert Event.objects.get(kind="act.refused").payload["refusal"]["code"] == "containment_changed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": {}},
        {"question": {"lot": "L1"}},
        {"question": {"site": "S1", "since": "soon"}},
        {"question": {"site": "S1", "country_of_origin": "Taiwan"}},
        {"question": {"site": "S1", "lot": "L1"}, "place": "nowhere"},
        {"question": {"site": "S1", "lot": "L1"}, "limit": 501},
    ],
)
def test_bad_input_is_400(rack: Rack, body: dict[str, Any]) -> None:
    assert post(supervisor_client(), "containments/preview/", body).status_code == 400


def test_a_device_asks_at_its_own_site_and_holds_nothing(rack: Rack) -> None:
    here, there = make_scanner(), make_scanner(make_station(site=make_site("S2")))
    question = {"lot": rack.lot.number}

    def ask(scanner: Scanner) -> Any:
        return scanner.post("containments/preview/", {"question": {**question, "site": "S1"}})

    assert ask(here).json()["count"] == 2
    assert ask(there).json()["code"] == "unknown_criterion"
    body = {"question": question, **confirmed(ask(here).json())}
    assert here.post("containments/", body).status_code == 403
    hold(supervisor_client(), question_of(rack))
    assert here.get("containments/CT-0001/").status_code == 200
    assert there.get("containments/CT-0001/").status_code == 404
    assert there.get("containments/").json()["results"] == []
    assert here.post("containments/CT-0001/release/", confirmed(ask(here).json())).status_code == 403


def test_a_person_without_the_permission_neither_holds_nor_releases(rack: Rack) -> None:
    hold(supervisor_client(), question_of(rack))
    client = APIClient()
    client.force_login(make_person(is_staff=True))
    assert preview(client, question_of(rack)).status_code == 200
    assert hold(client, question_of(rack)).status_code == 403
    body = {"reason": "x", "expected_count": 0, "digest": "0"}
    assert post(client, "containments/CT-0001/release/", body).status_code == 403


def test_containments_are_listed_in_a_constant_number_of_queries(rack: Rack) -> None:
    client = supervisor_client()

    def listed() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get("/api/v1/containments/", {"state": "held"}).json()
        return len(answer["results"]), len(queries)

    hold(client, question_of(rack))
    _, queries = listed()
    for _ in range(3):
        hold(client, question_of(rack))
    assert listed() == (4, queries)
    gpu = rack.gpus[0]
    found = client.get("/api/v1/containments/", {"holds__unit__uid": str(gpu.uid), "state": "released"})
    assert found.json()["results"] == []


def test_similar_units_are_listed(rack: Rack) -> None:
    path = f"units/{rack.gpus[0].uid}/similar/"
    scanner = make_scanner()
    answer = scanner.get(path, by="lot").json()
    assert (answer["count"], answer["question"]) == (2, {"lot": str(rack.lot.uid)})
    assert scanner.get(path, by="tool").json()["code"] == "nothing_similar"
    assert scanner.get(path, by="colour").status_code == 400
    assert make_scanner(make_station(site=make_site("S2"))).get(path, by="lot").status_code == 404


def ask_page(**criteria: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in criteria.items())
    return f"{reverse(ASK)}?{query}"


def seen_on(client: Client, url: str) -> dict[str, Any]:
    affected = client.get(url).context["affected"]
    return {"expected_count": affected.count, "digest": affected.digest}


def test_the_page_shows_the_list_and_holds_it_with_one_button(rack: Rack) -> None:
    client, url = superuser_client(), ask_page(**question_of(rack))
    assert client.get(reverse(ASK)).status_code == 200
    page = client.get(url).content.decode()
    assert "Found: 2 units and 1 lot" in page
    assert "Hold 2 units and 1 lot" in page
    assert f"Inside {rack.unit.serial} at U08/SC0/GPU0" in page
    assert "This field is required" in client.post(url, seen_on(client, url)).content.decode()
    response = client.post(url, {"reason": "suspect", **seen_on(client, url)})
    containment = Containment.objects.get()
    assert response["Location"] == reverse("admin:quality_containment_change", args=[containment.pk])
    assert "2 units and 1 lot" in client.get(response["Location"]).content.decode()
    release = client.get(reverse("admin:quality_containment_release", args=[containment.pk]))
    released = client.post(release["Location"], {"reason": "cleared", **seen_on(client, release["Location"])})
    assert released.status_code == 302
    containment.refresh_from_db()
    assert (containment.state, Unit.objects.filter(held=True).count()) == ("released", 0)
    assert client.get(reverse("admin:quality_containment_release", args=[containment.pk])).status_code == 403


def test_the_page_says_what_is_wrong_with_a_question(rack: Rack) -> None:
    client = superuser_client()
    assert "would find everything" in client.get(ask_page(site="S1")).content.decode()
    assert "There is no lot X" in client.get(ask_page(site="S1", lot="X")).content.decode()
    assert client.get(ask_page(**question_of(rack), place="inside", offset="1")).status_code == 200
    assert client.get(ask_page(**question_of(rack), place="x", offset="²")).status_code == 200


def test_the_page_refuses_what_changed(rack: Rack) -> None:
    client, url = superuser_client(), ask_page(**question_of(rack))
    seen = seen_on(client, url)
    rack.make_gpu()
    page = client.post(url, {"reason": "suspect", **seen}, follow=True).content.decode()
    assert "finds 3 units now" in page
    assert Event.objects.filter(kind="act.refused").exists()
    assert not Containment.objects.exists()


def test_who_may_only_look_sees_no_button(rack: Rack) -> None:
    url = ask_page(**question_of(rack))
    client = staff_client("view_containment")
    assert "Hold 2 units" not in client.get(url).content.decode()
    assert client.post(url, {"reason": "x", **seen_on(client, url)}).status_code == 403
    assert staff_client("view_unit").get(url).status_code == 403
