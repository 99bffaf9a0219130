"""The traceability report: what it says, and its files."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.burnin.models import BurnInRun
from mes.burnin.services import set_bmc
from mes.ledger.models import Event
from mes.ledger.services import canonical_json
from mes.ledger.verification import verify_ledger
from mes.quality.models import Nonconformance
from mes.quality.services import open_nonconformance, place_hold
from mes.serials.models import Unit
from mes.testing.services import Result, measure
from mes.traceability.content import report_content
from mes.traceability.models import Report
from mes.traceability.services import ask_report, make_report
from mes.workorders.services import (
    PartException,
    apply_change,
    open_deviation,
    remove_child,
    report_test,
)
from tests.builders import TESTER, make_part, make_station, make_unit, supervisor_client
from tests.traceability.builders import (
    RACK_TEST,
    Rack,
    alter_event,
    at_station,
    burn_in,
    put,
    take,
    taken_out,
    tool_result,
)
from tests.workorders.recipes import Trays, next_revision, next_route, proof_by

pytestmark = pytest.mark.django_db


def content_of(unit: Unit) -> dict[str, Any]:
    """Return what a report says, as a reader of its JSON sees it."""
    return dict(json.loads(canonical_json(report_content(unit))))


# --- what it says ---


def test_every_unit_is_there_with_where_it_is_and_where_it_comes_from(rack: Rack) -> None:
    units = content_of(rack.unit)["units"]
    assert (units[0]["path"], units[0]["serial"], len(units)) == ("", rack.unit.serial, 9)
    gpu = next(unit for unit in units if unit["path"] == "U09/SC0/GPU1")
    assert (gpu["serial"], gpu["depth"], gpu["installed_by"]) == (rack.gpus[3].serial, 3, "tester")
    assert (gpu["supplier"], gpu["lot"], gpu["date_code"]) == ("DEMO-A", rack.lot.number, "2642")
    assert (gpu["country_of_origin"], gpu["place_of_assembly"]) == ("TW", "Demo City")
    assert [name["kind"] for name in gpu["identifiers"]] == ["mac", "serial"]


def test_identification(rack: Rack) -> None:
    order = rack.unit.order_units.get().work_order
    found = content_of(rack.unit)["identification"]
    assert (found["serial"], found["order"], found["state"]) == (rack.unit.serial, order.number, "finished")
    assert found["route"] == {"name": "rack route", "version": "1"}
    assert found["firmware_baseline"] is None


def test_complete_rack(rack: Rack) -> None:
    verdict = content_of(rack.unit)["verdict"]
    assert (verdict["outcome"], verdict["open_points"], verdict["reservations"]) == ("complete", [], [])
    assert verdict["sentence"].startswith(f"{rack.unit.serial} is complete: 9 units, 1 test passed")


def test_test_runs_come_with_limits_reasons_and_what_was_said(rack: Rack) -> None:
    rack.test(0.7)
    passed, failed = content_of(rack.unit)["tests"]
    assert (passed["outcome"], passed["station"], passed["person"]) == ("PASS", "ST-TEST-S1", "tester")
    assert (failed["said"], failed["outcome"]) == ("PASS", "FAIL")
    assert failed["reasons"] == ["leak is 0.7 mbar; the limit is at most 0.5 mbar."]
    (leak,) = failed["measurements"]
    assert (leak["value"], leak["low"], leak["high"], leak["verdict"]) == (0.7, None, 0.5, "FAIL")


def test_replacement_supersedes_and_is_told_in_full(rack: Rack) -> None:
    old, new = rack.trays[1], rack.make_tray([rack.make_gpu(), rack.make_gpu()])
    by = at_station(make_station())
    remove_child(unit=rack.unit, slot_name="U09", reason="coolant drips", by=by)
    rack.unit.refresh_from_db()
    put(rack.unit, "U09", new)
    content = content_of(rack.unit)
    (replaced,) = content["replacements"]
    assert (replaced["path"], replaced["serial"], replaced["replaced_by"]) == ("U09", old.serial, new.serial)
    assert (replaced["reason"], replaced["removed_by"]) == ("coolant drips", "tester")
    assert [run["superseded_at"] is not None for run in content["tests"]] == [True]
    assert [run["superseded_at"] is not None for run in content["operations"]] == [True, True]
    assert content["verdict"]["outcome"] == "open"
    serials = {unit["serial"] for unit in content["units"]}
    assert new.serial in serials
    assert old.serial not in serials


def test_part_taken_out_and_not_replaced(rack: Rack) -> None:
    board = rack.trays[0].installations.get().child
    with taken_out(board):
        take(board, "GPU1")
    content = content_of(rack.unit)
    (opened,) = [row for row in content["replacements"] if row["path"] == "U08/SC0/GPU1"]
    assert opened["replaced_by"] is None
    assert content["empty_slots"] == ["U08/SC0/GPU1"]
    assert content["verdict"]["reservations"] == ["1 slot without a recorded unit: U08/SC0/GPU1."]


def test_burn_in_in_real_time(rack: Rack) -> None:
    burn_in(rack)
    content = content_of(rack.unit)
    (run,) = content["burn_in"]
    assert (run["credited_hours"], run["required_hours"], run["state"]) == (24, 24, "passed")
    assert run["time"] == "Soak time is real time: every hour credited lasted an hour."
    assert run["attempts"][0]["credited_hours"] == 23.999  # never rounded up to what is required
    assert run["attempts"][1]["gaps"][0]["reason"] == "BMC restarted"
    assert content["verdict"]["outcome"] == "complete"


def compare(run: BurnInRun, *, racks: int, found: bool) -> None:
    """Put the verdict of a burn-in on record, with its comparison."""
    row: dict[str, Any] = {
        "slot": "U08",
        "group": "gpu temperature",
        "series": "HGX_GPU_2_TEMP_0",
        "statistic": "max",
    }
    row |= {"value": 71.03, "unit": "Cel", "median": 62.05, "spread": 0.218, "sigmas": 41.25, "racks": racks}
    outliers = {"racks": racks, "least_racks": 5, "sigmas": 4.0, "found": [row] if found else []}
    details = {"burn_in_run": str(run.uid), "outliers": outliers}
    result = Result(procedure="rack_burn_in", outcome="PASS", format="burn_in", details=details)
    report_test(unit=run.unit, result=result, by=TESTER)


@pytest.mark.parametrize(
    ("racks", "found", "said"),
    [
        (7, True, "at least 4 sigma from the same slots of 7 earlier racks"),
        (7, False, "Compared with the same slots of 7 earlier racks"),
        (1, False, "Not compared with the last racks: 1 earlier rack passed by this profile, 5 are needed"),
    ],
)
def test_what_is_unlike_the_last_racks_is_printed(
    rack: Rack, tmp_path: Path, racks: int, found: bool, said: str
) -> None:
    compare(burn_in(rack), racks=racks, found=found)
    assert content_of(rack.unit)["burn_in"][0]["comparison"]["racks"] == racks
    report = ask_report(unit=rack.unit, by=TESTER)
    assert make_report(report.pk)
    text = pdf_text(supervisor_client(), report, tmp_path)
    assert said in " ".join(text.split())
    assert ("41.25 sigma" in text) == found


def test_results_of_stress_tools_are_in_the_report(rack: Rack) -> None:
    result = tool_result(burn_in(rack))
    content = content_of(rack.unit)
    (shown,) = content["burn_in"][0]["attempts"][0]["results"]
    assert (shown["tool"], shown["outcome"], shown["reasons"]) == ("dcgm", "PASS", ["PCIe is Warn: slow."])
    assert shown["output_sha256"] == result.output.sha256
    assert content["burn_in"][0]["attempts"][1]["results"] == []
    assert content["verdict"]["outcome"] == "complete"


def test_accelerated_burn_in_is_said_in_words(rack: Rack) -> None:
    burn_in(rack, time_scale=7200)
    content = content_of(rack.unit)
    assert content["burn_in"][0]["time"].startswith("TIME WAS ACCELERATED 7,200 times: every hour")
    assert content["verdict"]["outcome"] == "complete_with_reservations"
    assert "no evidence of endurance" in content["verdict"]["reservations"][0]
    assert "not real time" in content["verdict"]["sentence"]


def leave_held(rack: Rack) -> None:
    place_hold(unit=rack.gpus[0], reason="recalled", by=TESTER)


def leave_failed(rack: Rack) -> None:
    rack.test(0.7)


def leave_burning(rack: Rack) -> None:
    burn_in(rack, state="soaking")


def leave_burned(rack: Rack) -> None:
    burn_in(rack, state="failed")
    report_test(
        unit=rack.unit, result=Result(procedure="rack_burn_in", outcome="FAIL", format="burn_in"), by=TESTER
    )


def leave_unfinished(rack: Rack) -> None:
    remove_child(unit=rack.unit, slot_name="U09", reason="x", by=at_station(make_station()))


@pytest.mark.parametrize(
    ("leave", "point"),
    [
        (leave_held, "{gpu} in U08/SC0/GPU0 is on hold: recalled"),
        (leave_failed, f"The last result of {RACK_TEST} on {{rack}} is FAIL."),
        (leave_burning, "The last burn-in of {rack} is soaking."),
        (leave_burned, "The last burn-in of {rack} is failed."),
        (leave_unfinished, "{rack} is in work; open: 10 Step 10, 20 Step 20."),
    ],
)
def test_open_point(rack: Rack, leave: Callable[[Rack], None], point: str) -> None:
    leave(rack)
    verdict = content_of(rack.unit)["verdict"]
    assert verdict["open_points"] == [point.format(gpu=rack.gpus[0].serial, rack=rack.unit.serial)]
    assert verdict["sentence"] == f"{rack.unit.serial} has 1 open point and is not complete."


def test_histories_end_where_the_rows_end(rack: Rack) -> None:
    ledger = content_of(rack.unit)["ledger"]
    heads = {row["stream"]: (row["events"], row["head"]) for row in ledger["histories"]}
    for unit in (rack.unit, *rack.trays, *rack.gpus):
        unit.refresh_from_db()
        assert heads[unit.stream] == (unit.version, unit.head)
    assert rack.lot.stream in heads
    assert rack.unit.order_units.get().work_order.stream in heads
    assert ledger["intact"]
    assert ledger["events"] == sum(row["events"] for row in ledger["histories"])


def test_altered_event_is_the_first_thing_the_report_says(rack: Rack) -> None:
    alter_event(rack.gpus[2])
    content = content_of(rack.unit)
    assert not content["ledger"]["intact"]
    assert content["verdict"]["outcome"] == "not_intact"
    assert "NOT intact" in content["verdict"]["sentence"]
    assert content["verdict"]["open_points"][0].startswith(f"The history of {rack.gpus[2].serial} is not")


def test_history_that_was_cut_off_is_noticed(rack: Rack) -> None:
    gpu = rack.gpus[0]
    Unit.objects.filter(pk=gpu.pk).update(version=1, head=Event.objects.get(stream=gpu.stream, seq=1).digest)
    assert content_of(rack.unit)["verdict"]["outcome"] == "not_intact"


def test_no_secret_is_in_it(rack: Rack) -> None:
    set_bmc(unit=rack.trays[0], url="http://127.0.0.1:9", username="bmcroot", password="Hidden-1", by=TESTER)
    rack.test(0.1, command_line="tester --password Hidden-2")
    text = canonical_json(report_content(rack.unit))
    assert not re.search("Hidden|bmcroot|password", text)


def test_content_takes_as_many_queries_for_30_gpus_as_for_3() -> None:
    counts = []
    for gpus in (3, 30):
        rack = Rack(gpus)
        rack.build()
        burn_in(rack)
        for gpu in rack.gpus:
            result = Result(procedure="gpu", outcome="PASS", measurements=[measure("clock", 1, unit="GHz")])
            report_test(unit=gpu, result=result, by=TESTER)
            place_hold(unit=gpu, reason="x", by=TESTER)
            open_nonconformance(unit=gpu, symptom="leak", source=Nonconformance.Source.HAND, by=TESTER)
        with CaptureQueriesContext(connection) as queries:
            report_content(rack.unit)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 40


# --- its files ---


def test_json_file_is_the_content_and_its_digest_is_on_record(rack: Rack) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    assert make_report(report.pk)
    client = supervisor_client()
    body = client.get(f"/api/v1/reports/{report.uid}/").json()
    answer = client.get(body["json"])
    data = answer.getvalue()
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert data.decode() == canonical_json(json.loads(data))
    assert json.loads(data)["identification"]["serial"] == rack.unit.serial
    assert hashlib.sha256(data).hexdigest() == body["json_sha256"]
    made = Event.objects.get(kind="report.made").payload
    assert made == {
        "report": body["uid"],
        "json_sha256": body["json_sha256"],
        "pdf_sha256": body["pdf_sha256"],
    }
    assert verify_ledger().intact


def pdf_text(client: Any, report: Report, tmp_path: Path) -> str:
    """Fetch the PDF and return its text, a form feed after each page."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler-utils) is not on this machine")
    answer = client.get(f"/api/v1/reports/{report.uid}/pdf/")
    (tmp_path / "got.pdf").write_bytes(answer.getvalue())
    command = ["pdftotext", "-layout", str(tmp_path / "got.pdf"), "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def test_pdf_shows_every_unit_test_and_digest(rack: Rack, tmp_path: Path) -> None:
    tool_result(burn_in(rack, time_scale=7200))
    report = ask_report(unit=rack.unit, by=TESTER)
    make_report(report.pk)
    text = pdf_text(supervisor_client(), report, tmp_path)
    report.refresh_from_db()
    pages = text.count("\f")
    assert pages >= 2
    assert f"Page {pages} of {pages}" in text
    assert text.count(f"Data SHA-256 {report.json_sha256[:16]}") == pages
    content = json.loads((tmp_path / report.json_file).read_bytes())
    for unit in content["units"]:
        assert unit["serial"] in text
    for history in content["ledger"]["histories"]:
        assert history["head"] in text
    assert RACK_TEST in text
    assert "COMPLETE, WITH RESERVATIONS" in text
    assert "TIME WAS ACCELERATED 7,200 times" in text
    for figure in ("12.5 kWh", "97.25 %", "-14.5 %", "4.5 kg at 366.2 g/kWh", "in no figure: 7 s"):
        assert figure in text
    assert "PCIe is Warn: slow." in text.split("Burn-in")[-1]


def test_pdf_and_data_say_what_decided_a_burn_in_and_what_came_close(rack: Rack, tmp_path: Path) -> None:
    burn_in(rack, state="failed")
    report = ask_report(unit=rack.unit, by=TESTER)
    make_report(report.pk)
    text = pdf_text(supervisor_client(), report, tmp_path)
    report.refresh_from_db()
    (run,) = json.loads((tmp_path / report.json_file).read_bytes())["burn_in"]
    assert [finding["rule"] for finding in run["findings"]] == ["level", "leak"]
    assert run["near_misses"][0]["series"] == "GPU_7_TEMP"
    decided, close = text.split("What decided the verdict")[1].split("How close it came, the closest first")
    for words in ("level: heat", "U08", "GPU_0_TEMP", "2026-03-01 12:00:00", "93.5 Cel", "≤ 87 Cel"):
        assert words in decided
    assert "3 outside, 3 of 5 fail" in decided and "LeakDetector_1" in decided
    for words in ("GPU_7_TEMP", "87.25 Cel", "outside, not long enough"):
        assert words in close


def test_pdf_is_an_archive_pdf_with_its_fonts_in_it(rack: Rack, tmp_path: Path) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    make_report(report.pk)
    report.refresh_from_db()
    data = (tmp_path / report.pdf_file).read_bytes()
    assert data.startswith(b"%PDF-1.7")
    assert hashlib.sha256(data).hexdigest() == report.pdf_sha256
    assert b"<pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>" in data


def test_what_is_recorded_is_shown_and_never_taken_for_markup(tmp_path: Path) -> None:
    rack = Rack()
    reason = '#panic("x") *bold* $x^2$ \\u{41} <l> "q" 中文 \u202edesrever\x07'
    place_hold(unit=rack.unit, reason=reason, by=TESTER)
    report = ask_report(unit=rack.unit, by=TESTER)
    assert make_report(report.pk)
    words = " ".join(pdf_text(supervisor_client(), report, tmp_path).split())
    assert '#panic("x") *bold* $x^2$ \\u{41} <l> "q" [U+4E2D][U+6587] [U+202E]desrever[U+0007]' in words


def test_unit_with_nothing_in_it_has_a_report(rack: Rack, tmp_path: Path) -> None:
    unit = make_unit(rack.gpu)
    report = ask_report(unit=unit, by=TESTER)
    assert make_report(report.pk)
    assert "Nothing is installed in this unit." in pdf_text(supervisor_client(), report, tmp_path)


def test_lost_file_is_said_to_be_lost(rack: Rack, tmp_path: Path) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    make_report(report.pk)
    report.refresh_from_db()
    (tmp_path / report.pdf_file).unlink()
    answer = supervisor_client().get(f"/api/v1/reports/{report.uid}/pdf/")
    assert (answer.status_code, answer.json()["code"]) == (410, "report_file_missing")


def test_admin_shows_reports_with_links_to_their_files(rack: Rack) -> None:
    report = ask_report(unit=rack.unit, by=TESTER)
    make_report(report.pk)
    client = supervisor_client()
    page = client.get("/admin/traceability/report/", {"q": rack.unit.serial}).content.decode()
    assert f'href="/api/v1/reports/{report.uid}/pdf/"' in page
    assert f'href="/api/v1/reports/{report.uid}/json/"' in page
    assert client.get("/admin/traceability/report/add/").status_code == 403


def test_deviations_and_changes_are_in_every_report(tmp_path: Path) -> None:
    trays = Trays()
    other = make_part("gpu")
    deviation = open_deviation(
        target=trays.unit,
        exception=PartException(trays.gpu.part, other),
        quantity=2,
        expires_at=timezone.now() + timedelta(days=1),
        reason="shortage of GPUs",
        proof=proof_by(trays.engineer),
        by=TESTER,
    )
    trays.act(10, "start")
    substitute = make_unit(other)
    trays.install("GPU0", substitute)
    trays.install("NIC0", make_unit(trays.nic))
    trays.act(10, "complete")
    before = {row.slot.name: row for row in trays.unit.installations.select_related("slot")}
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC0": trays.nic})
    change = trays.draft(revision, next_route(revision, "2"))
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    content = content_of(trays.unit)
    (row,) = content["deviations"]
    assert (row["number"], row["permits"]) == (
        deviation.number,
        f"{other} in slots that take {trays.gpu.part}",
    )
    assert [(use["path"], use["serial"]) for use in row["uses"]] == [("GPU0", substitute.serial)]
    assert [(row["number"], row["from_route"], row["to_route"]) for row in content["changes"]] == [
        (change.number, "1", "2")
    ]
    # Moved to another revision, nothing was taken out: each part is there since it was installed.
    assert content["replacements"] == []
    placed = [unit for unit in content["units"] if unit["slot"] == "NIC0"]
    assert placed[0]["installed_by"] == before["NIC0"].installed_by
    assert content["identification"]["route"]["version"] == "2"
    report = ask_report(unit=trays.unit, by=TESTER)
    make_report(report.pk)
    text = pdf_text(supervisor_client(), report, tmp_path)
    assert "Deviations and engineering changes" in text
    assert deviation.number in text
    assert "shortage of GPUs" in text
    assert change.number in text
