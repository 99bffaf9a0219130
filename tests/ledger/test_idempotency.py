"""A device may repeat a write: its effect, its event and its answer happen once."""

import threading
from typing import Any

import pytest
from django.db import connection, connections

from mes.ledger.models import Event, IdempotencyKey
from mes.serials.models import Unit
from tests.builders import Scanner, make_part, make_scanner, make_unit


def receive(scanner: Scanner, revision: Any, serial: str, key: str) -> Any:
    body = {"part": revision.part.number, "revision": revision.revision, "serial": serial}
    return scanner.post("units/", body, key=key)


@pytest.mark.django_db
def test_same_key_and_body_gets_the_stored_answer() -> None:
    scanner, gpu = make_scanner(), make_part()
    first, again = receive(scanner, gpu, "SN1", "k1"), receive(scanner, gpu, "SN1", "k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
    assert Unit.objects.count() == Event.objects.filter(kind="unit.received").count() == 1


@pytest.mark.django_db
def test_same_key_with_another_body_is_refused() -> None:
    scanner, gpu = make_scanner(), make_part()
    receive(scanner, gpu, "SN1", "k1")
    other = receive(scanner, gpu, "SN2", "k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Unit.objects.count() == 1


@pytest.mark.django_db
def test_keys_of_two_devices_do_not_meet() -> None:
    gpu = make_part()
    assert receive(make_scanner(), gpu, "SN1", "k1").status_code == 201
    assert receive(make_scanner(), gpu, "SN2", "k1").status_code == 201


@pytest.mark.django_db
def test_device_without_a_key_is_refused() -> None:
    scanner = make_scanner()
    answer = scanner.client.post("/api/v1/scans/", {"raw": "X"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")
    assert scanner.post("scans/", {"raw": "X"}, key="k" * 129).status_code == 400


@pytest.mark.django_db
def test_refusal_is_stored_and_recorded_once() -> None:
    scanner = make_scanner()
    first, again = scanner.scan("NOBODY", key="k1"), scanner.scan("NOBODY", key="k1")
    assert first.status_code == again.status_code == 422
    assert first.json() == again.json()
    assert Event.objects.filter(kind="act.refused").count() == 1


@pytest.mark.django_db
def test_error_of_ours_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    scanner, gpu = make_scanner(), make_part()
    scanner.client.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr("mes.serials.views.receive_unit", lambda **_: 1 / 0)
        assert receive(scanner, gpu, "SN1", "k1").status_code == 500
    assert not IdempotencyKey.objects.exists()
    assert receive(scanner, gpu, "SN1", "k1").status_code == 201


@pytest.mark.django_db(transaction=True)
def test_twenty_repeats_at_once_have_one_effect() -> None:
    scanner, gpu = make_scanner(), make_part()
    answers: list[Any] = []
    barrier = threading.Barrier(20)

    def repeat() -> None:
        barrier.wait()
        answers.append(receive(scanner, gpu, "SN1", "k1"))
        connections.close_all()

    threads = [threading.Thread(target=repeat) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert Unit.objects.count() == Event.objects.filter(kind="unit.received").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one request write at a time")
def test_request_still_in_progress_is_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    scanner, gpu = make_scanner(), make_part()
    entered, leave = threading.Event(), threading.Event()

    def slow(**_: Any) -> Unit:
        entered.set()
        leave.wait(5)
        return make_unit(gpu, "SN1")

    monkeypatch.setattr("mes.serials.views.receive_unit", slow)

    def first() -> None:
        receive(scanner, gpu, "SN1", "k1")
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(5)
    answer = receive(scanner, gpu, "SN1", "k1")
    leave.set()
    thread.join()
    assert (answer.status_code, answer["Retry-After"]) == (409, "1")
    assert answer.json()["code"] == "request_in_progress"
    assert receive(scanner, gpu, "SN1", "k1").status_code == 201
