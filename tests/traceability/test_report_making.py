"""How a report is asked for and made once, and what becomes of it when something fails."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone
from kombu.exceptions import OperationalError

from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.quality.services import place_hold
from mes.traceability import services, tasks
from mes.traceability.content import report_content
from mes.traceability.models import Report
from mes.traceability.pdf import render_pdf
from mes.traceability.services import ask_report, make_report
from tests.builders import TESTER, make_scanner, make_site, make_station, supervisor_client
from tests.traceability.builders import Rack

pytestmark = pytest.mark.django_db


# --- asking for it ---


def test_asked_for_over_the_api(rack: Rack) -> None:
    scanner = make_scanner()
    answer = scanner.post("reports/", {"unit": str(rack.unit.uid)})
    body = answer.json()
    assert (answer.status_code, body["state"], body["pdf"], body["json"]) == (202, "asked", None, None)
    assert answer["Location"] == body["url"] == f"/api/v1/reports/{body['uid']}/"
    assert scanner.client.get(body["url"]).json() == body
    assert Event.objects.get(kind="report.asked").payload == {"report": body["uid"]}


def test_repeated_request_asks_once(rack: Rack) -> None:
    scanner = make_scanner()
    first, again = (scanner.post("reports/", {"unit": str(rack.unit.uid)}, key="same") for _ in range(2))
    assert (again.status_code, again["Location"], again.json()) == (202, first["Location"], first.json())
    assert Report.objects.count() == 1


@pytest.mark.parametrize("kind", ["pdf", "json"])
def test_file_is_not_found_until_it_is_made(rack: Rack, kind: str) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    answer = supervisor_client().get(f"/api/v1/reports/{report.uid}/{kind}/", HTTP_ACCEPT="application/pdf")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "report_not_ready"


@pytest.mark.parametrize("path", ["", "pdf/", "json/"])
def test_report_of_another_site_is_not_found(rack: Rack, path: str) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    make_report(report.pk)
    stranger = make_scanner(make_station(site=make_site("S2")))
    assert stranger.get(f"reports/{report.uid}/{path}").status_code == 404
    assert stranger.post("reports/", {"unit": str(rack.unit.uid)}).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_worker_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def deliver(args: tuple[int], **options: Any) -> None:
        tasks.make_report(*args)

    monkeypatch.setattr(tasks.make_report, "apply_async", deliver)
    scanner, unit = make_scanner(), Rack().unit
    url = scanner.post("reports/", {"unit": str(unit.uid)}).json()["url"]
    assert scanner.client.get(url).json()["state"] == "ready"


@pytest.mark.django_db(transaction=True)
def test_lost_message_loses_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def broker_down(*args: Any, **options: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.make_report, "apply_async", broker_down)
    scanner, unit = make_scanner(), Rack().unit
    answer = scanner.post("reports/", {"unit": str(unit.uid)})
    assert answer.status_code == 202
    tasks.make_reports()
    assert scanner.client.get(answer.json()["url"]).json()["state"] == "ready"


# --- made once, whatever happens ---


def fail(*args: Any, **options: Any) -> bytes:
    raise RuntimeError("no room on the disk")


def test_made_once(rack: Rack) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    assert [make_report(report.pk), make_report(report.pk), services.make_due_reports()] == [True, False, 0]
    assert Event.objects.filter(kind="report.made").count() == 1


def test_failure_is_recorded_and_tried_again(
    rack: Rack, reports_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    with monkeypatch.context() as patch:
        patch.setattr(services, "render_pdf", fail)
        tasks.make_report(report.pk)
    report.refresh_from_db()
    assert (report.state, report.error) == ("asked", "RuntimeError: no room on the disk")
    tasks.make_reports()
    report.refresh_from_db()
    assert (report.state, report.error, report.tries) == ("ready", "", 2)
    assert len(list(reports_dir.iterdir())) == 2


def test_given_up_after_three_tries(rack: Rack, reports_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "render_pdf", fail)
    report = ask_report(unit=rack.unit, by=TESTER)
    for _ in range(5):
        tasks.make_reports()
    answer = supervisor_client().get(f"/api/v1/reports/{report.uid}/").json()
    assert (answer["state"], answer["error"]) == ("failed", "RuntimeError: no room on the disk")
    assert Report.objects.get().tries == 3
    assert list(reports_dir.iterdir()) == []


def test_worker_that_died_loses_no_report(rack: Rack) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    long_ago = timezone.now() - timedelta(hours=1)
    Report.objects.update(state="making", tries=1, claimed_at=timezone.now())
    tasks.make_reports()
    assert Report.objects.get().state == "making"  # somebody is at it
    Report.objects.update(claimed_at=long_ago)
    tasks.make_reports()
    report.refresh_from_db()
    assert (report.state, report.tries) == ("ready", 2)


def test_report_that_workers_die_of_is_given_up(rack: Rack) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    Report.objects.update(state="making", tries=3, claimed_at=timezone.now() - timedelta(hours=1))
    tasks.make_report(report.pk)
    assert Report.objects.get().tries == 3
    tasks.make_reports()
    report = Report.objects.get()
    assert (report.state, report.error) == ("failed", "The worker ended while it made the report.")


def test_late_worker_leaves_no_trace(rack: Rack, reports_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)

    def overtaken(text: bytes, *, digest: str) -> bytes:
        monkeypatch.setattr(services, "render_pdf", render_pdf)
        Report.objects.update(claimed_at=timezone.now() - timedelta(hours=1))
        assert make_report(report.pk)
        return render_pdf(text, digest=digest)

    monkeypatch.setattr(services, "render_pdf", overtaken)
    assert not make_report(report.pk)
    report.refresh_from_db()
    assert {path.name for path in reports_dir.iterdir()} == {report.json_file, report.pdf_file}
    assert report.pdf_file == f"{report.uid}-2.pdf"
    assert Event.objects.filter(kind="report.made").count() == 1


def test_late_worker_leaves_it_to_the_one_that_is_at_it(
    rack: Rack, reports_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)

    def overtaken(text: bytes, *, digest: str) -> bytes:
        Report.objects.update(tries=2, claimed_at=timezone.now())
        return b"%PDF"

    monkeypatch.setattr(services, "render_pdf", overtaken)
    assert not make_report(report.pk)
    report.refresh_from_db()
    assert (report.state, report.json_file, list(reports_dir.iterdir())) == ("making", "", [])


def test_half_written_files_are_taken_away(
    rack: Rack, reports_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    monkeypatch.setattr(services, "render_pdf", lambda text, digest: None)  # cannot be written
    assert not make_report(report.pk)
    assert list(reports_dir.iterdir()) == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_two_workers_at_once_make_it_once() -> None:
    report = ask_report(unit=Rack().unit, by=TESTER)
    made: list[bool] = []
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        made.append(make_report(report.pk))
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(made) == [False, True]
    assert Event.objects.filter(kind="report.made").count() == 1
    assert verify_ledger().intact


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite reads and writes in turn here")
def test_work_that_goes_on_meanwhile_is_no_fault() -> None:
    """Every event falls either before the report's one moment or after it, for rows and histories alike."""
    rack, stop = Rack(), threading.Event()
    rack.build()

    def go_on() -> None:
        while not stop.is_set():
            place_hold(unit=rack.gpus[0], reason="again", by=TESTER)
        connections.close_all()

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        contents = [report_content(rack.unit) for _ in range(15)]
    finally:
        stop.set()
        worker.join()
    assert len({content["ledger"]["events"] for content in contents}) > 1
    assert all(content["ledger"]["intact"] for content in contents)
