"""Results over REST: OCP output, what a gate makes of it, and for which configuration a result counts."""

import json
from typing import Any

import pytest

from mes.ledger.verification import verify_ledger
from mes.serials.models import Unit
from mes.simulators.ocp_output import tray_run
from mes.testing.models import TestRun
from tests.builders import Scanner, make_unit
from tests.samples import sample
from tests.workorders.test_operations import Line, code_of

pytestmark = pytest.mark.django_db
VALUES: list[dict[str, object]] = [{"name": "gpu_power", "value": 900, "unit": "W"}]


@pytest.fixture
def line() -> Line:
    line = Line()
    line.build()
    line.act(line.tester, 20, "start")
    return line


def send(scanner: Scanner, unit: Unit, body: str, *, key: str = "ocp-1", procedure: str = "tray_l10") -> Any:
    return scanner.client.generic(
        "POST",
        f"/api/v1/test-runs/ocp/?unit={unit.uid}&procedure={procedure}",
        body,
        content_type="application/x-ndjson",
        headers={"Idempotency-Key": key},
    )


def output(**run: Any) -> str:
    return "\n".join(json.dumps(line) for line in tray_run("CTRAY0001", VALUES, **run))


def test_good_output_opens_the_gate(line: Line) -> None:
    answer = send(line.tester, line.unit, output())
    assert (answer.status_code, answer.json()["outcome"], answer.json()["truncated"]) == (201, "PASS", False)
    assert line.act(line.tester, 20, "complete").status_code == 200


def test_pass_that_holds_a_failed_diagnosis_is_a_fail_and_the_gate_stays_closed(line: Line) -> None:
    run = send(line.tester, line.unit, output(failing="GPU_2")).json()
    assert (run["said"], run["outcome"]) == ("PASS", "FAIL")
    assert run["diagnoses"][2] == {
        "step": "stress",
        "verdict": "gpu-ecc",
        "type": "FAIL",
        "message": "uncorrectable ECC under stress",
        "component": "GPU_2",
    }
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "test_failed")


def test_shared_sample_that_says_pass_is_a_fail(line: Line) -> None:
    body = sample("ocp/ocptv-pass-with-fail-diagnosis.jsonl").read_text()
    run = send(line.tester, line.unit, body).json()
    assert (run["said"], run["outcome"]) == ("PASS", "FAIL")


def test_output_that_is_cut_off_is_marked_and_never_a_pass(line: Line) -> None:
    run = send(line.tester, line.unit, output()[:-40]).json()
    assert (run["truncated"], run["outcome"]) == (True, "ERROR")
    assert TestRun.objects.get().truncated
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "test_failed")


def test_same_output_under_the_same_key_is_kept_once(line: Line) -> None:
    first, again = (send(line.tester, line.unit, output(), key="k") for _ in range(2))
    other = send(line.tester, line.unit, output(failing="GPU_1"), key="k")
    assert (first.status_code, other.json()["code"]) == (201, "idempotency_key_reused")
    assert again.status_code in {201, 422}  # its timestamps differ, so it may be another output
    assert TestRun.objects.count() == 1


@pytest.mark.parametrize("body", ["", "not json", '{"sequenceNumber": 0}', "[1]", "\xff\xfe"])
def test_broken_output_is_bad_input_that_names_the_line(line: Line, body: str) -> None:
    answer = send(line.tester, line.unit, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert "line" in str(answer.json()["fields"])


def test_unknown_unit_and_bad_procedure(line: Line) -> None:
    assert send(line.tester, Unit(), output()).status_code == 404
    assert send(line.tester, line.unit, output(), procedure="x" * 61).status_code == 400
    assert send(line.tester, line.unit, output(), procedure="a%00b").status_code == 400


def test_result_from_before_the_part_was_in_does_not_count() -> None:
    line = Line()
    line.report()
    line.build()
    line.act(line.tester, 20, "start")
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "test_missing")
    line.report()
    assert line.act(line.tester, 20, "complete").status_code == 200


def test_swap_while_the_test_runs_undoes_it(line: Line) -> None:
    line.report()
    answer = line.builder.post(f"units/{line.unit.uid}/remove/", {"slot": "GPU0", "reason": "ECC"}).json()
    assert [row["sequence"] for row in answer["repeat"]] == [10, 20]
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "operation_not_running")
    line.build()
    line.act(line.tester, 20, "start")
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "test_missing")


def test_part_held_inside_stops_its_unit(line: Line) -> None:
    gpu = Unit.objects.get(placements__parent=line.unit)
    line.report()
    line.tester.post(f"units/{gpu.uid}/hold/", {"reason": "recalled"})
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "child_held")


def test_time_of_a_device_in_any_zone_keeps_the_ledger_intact(line: Line) -> None:
    for at in ("2026-01-01T10:00:00+02:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon"):
        line.tester.post(
            "test-runs/", {"unit": str(line.unit.uid), "procedure": "p", "outcome": "PASS", "at": at}
        )
    assert TestRun.objects.count() == 4
    assert verify_ledger().intact


def test_value_too_large_for_a_number_is_kept_as_text(line: Line) -> None:
    run = line.report("PASS", 10**400).json()
    assert (run["outcome"], run["measurements"][0]["value"]) == ("FAIL", None)
    assert make_unit(line.gpu).serial
