"""Results of stress tools in a burn-in: who may post them, what is kept of them, and what they decide."""

import hashlib
import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.attachments.models import Attachment
from mes.burnin import tick as ticking
from mes.burnin.models import BurnInAttempt, BurnInRun, ToolResult, validate_required_tools
from mes.burnin.services import abort_run, pause_run
from mes.burnin.tick import advance_run
from mes.burnin.transitions import decide
from mes.burnin.working import Tick
from mes.ledger.models import Event
from mes.testing.models import TestRun
from tests.builders import TESTER, Scanner, make_scanner, make_site, make_station, supervisor_client
from tests.burnin.builders import bench
from tests.testing.tools.outputs import SECRET, dcgm3, dcgm4, nccl, stress_ng, text

pytestmark = pytest.mark.django_db
GOOD, BAD = dcgm4("Pass"), dcgm3("Fail", warnings=["row remap failed"])
SKIPPED = dcgm3("Skip", info=["no room"])
NEEDS: dict[str, Any] = {"required_tools": {"compute_tray": ["dcgm"]}}


class Poster:
    """A test PC at the bench that sends what its tools print."""

    def __init__(self, run: BurnInRun, device: Scanner | None = None) -> None:
        self.run, self.device = run, device or make_scanner()
        self.keys = 0

    def send(self, output: Any, *, key: str = "", tool: str = "dcgm", **query: Any) -> Any:
        self.keys += 1
        asked = {"tool": tool, **({} if "unit" in query or "slot" in query else {"slot": "C1"}), **query}
        return self.device.client.post(
            f"/api/v1/burn-in-runs/{self.run.uid}/results/?" + "&".join(f"{k}={v}" for k, v in asked.items()),
            output if isinstance(output, bytes) else text(output),
            content_type="application/json",
            headers={"Idempotency-Key": key or f"{self.run.uid}-{self.keys}"},
        )

    def post(self, output: Any, **query: Any) -> dict[str, Any]:
        answer = self.send(output, **query)
        assert answer.status_code == 201, answer.json()
        return dict(answer.json())

    def refused(self, code: str, output: Any, **query: Any) -> dict[str, Any]:
        answer = self.send(output, **query)
        body = dict(answer.json())
        assert (answer.status_code, body["code"]) == (422, code), body
        assert body["rule"] and body["next"]
        return body


def test_a_result_is_kept_with_its_output_and_its_test_run() -> None:
    with bench() as rig:
        rig.until_soaking()
        poster = Poster(rig.run)
        answer = poster.post(nccl(), tool="nccl-tests", slot="c2", exit_status=0)
    tray = rig.trays[1]
    assert (answer["slot"], answer["serial"], answer["outcome"]) == ("C2", tray.serial, "PASS")
    assert (answer["tool"], answer["name"], answer["attempt"]) == ("nccl-tests", "all_reduce_perf", 1)
    test = TestRun.objects.get()
    assert (test.unit, test.procedure, test.format) == (tray, "burn_in_nccl-tests", "tool")
    assert test.measurements.get(name="average bus bandwidth").value == 398.25
    kept = Attachment.objects.get()
    with kept.file.open() as file:
        content = file.read()
    assert hashlib.sha256(content).hexdigest() == answer["sha256"] == test.details["sha256"]
    assert json.loads(content)["results"] == nccl()["results"]
    assert Event.objects.filter(kind="unit.tested", stream=tray.stream).exists()


def test_no_secret_is_kept_anywhere() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        poster = Poster(rig.run)
        poster.post(nccl(args=["all_reduce_perf", "--token", SECRET]), tool="nccl-tests")
        poster.refused("result_unreadable", f"TOKEN={SECRET}")
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert SECRET not in str(cursor.fetchall()), table
    with Attachment.objects.get().file.open() as file:
        assert SECRET.encode() not in file.read()


def test_a_file_is_taken_as_well_and_repeated_once() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        poster = Poster(rig.run)
        first = poster.post(GOOD, key="once")
        assert poster.post(GOOD, key="once") == first
        file = SimpleUploadedFile("diag.json", text(GOOD), content_type="application/json")
        answer = supervisor_client().post(
            f"/api/v1/burn-in-runs/{rig.run.uid}/results/?tool=dcgm&unit={rig.trays[0].uid}",
            {"file": file},
            format="multipart",
        )
        assert answer.json()["outcome"] == "PASS", answer.json()
    assert ToolResult.objects.count() == 2
    assert answer.json()["output"] == first["output"]


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(trays=1) as rig:
        poster = Poster(rig.run)
        assert poster.refused("burn_in_takes_no_results", GOOD)["state"] == "queued"
        rig.until_soaking()
        assert poster.refused("not_in_burn_in", GOOD, slot="C9")["slots"] == ["C1"]
        poster.refused("result_unreadable", b"")
        poster.refused("result_unreadable", text(GOOD)[:-9])
        poster.refused("result_unreadable", GOOD, tool="hpl")
        with monkeypatch.context() as patch:
            patch.setattr("mes.burnin.views_results.MAX_BYTES", 100)
            patch.setattr("mes.attachments.services.MAX_BYTES", 100)
            poster.refused("attachment_too_large", GOOD)
        assert poster.send(GOOD, tool="magic").status_code == 400
        assert poster.send(GOOD, exit_status="bad").status_code == 400
        elsewhere = make_scanner(make_station("BUILD", site=make_site("S2")))
        assert Poster(rig.run, elsewhere).send(GOOD).status_code == 404
        rig.soak_to("passed")
        assert poster.refused("burn_in_takes_no_results", BAD)["state"] == "passed"
    assert not ToolResult.objects.exists()


def test_a_tool_that_fails_fails_its_tray_at_the_next_tick() -> None:
    with bench() as rig:
        rig.until_soaking()
        Poster(rig.run).post(BAD, slot="C2")
        Poster(rig.run).post(GOOD, slot="C2")
        rig.tick()
        assert (rig.run.state, rig.attempt(1).state) == ("stopping", "failed")
        run = rig.to_the_end()
    assert (run.state, rig.attempt(0).state) == ("failed", "aborted")
    assert run.reasons[0] == "C2: dcgm is FAIL: PCIe on GPU 0 is Fail: row remap failed."
    verdict = TestRun.objects.get(unit=rig.rack)
    assert (verdict.outcome, verdict.reasons[0]) == ("FAIL", run.reasons[0])
    evidence = verdict.details["evidence"]
    assert [(row["slot"], row["tool"], row["outcome"]) for row in evidence] == [
        ("C2", "dcgm", "FAIL"),
        ("C2", "dcgm", "PASS"),
    ]


@pytest.mark.parametrize("state", ["stopping", "judging"])
def test_a_failure_that_comes_after_the_soak_still_counts(state: str) -> None:
    with bench(trays=1) as rig:
        rig.soak_to(state)
        Poster(rig.run).post(BAD)
        assert rig.to_the_end().state == "failed"


def test_a_failure_that_comes_while_the_verdict_is_being_made_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(trays=1) as rig:
        rig.soak_to("judging")
        poster = Poster(rig.run)

        def post_then_decide(tick: Tick) -> None:
            decide(tick)
            monkeypatch.setattr(ticking, "decide", decide)
            poster.post(BAD)

        monkeypatch.setattr(ticking, "decide", post_then_decide)
        BurnInRun.objects.update(next_due_at=rig.run.created_at)
        assert not advance_run(rig.run.pk)
        assert rig.to_the_end().state == "failed"
    assert TestRun.objects.filter(unit=rig.rack).count() == 1


def test_a_tool_that_could_not_run_keeps_the_run_from_passing() -> None:
    with bench() as rig:
        rig.until_soaking()
        Poster(rig.run).post(SKIPPED)
        rig.soak_to("judging")
        rig.tick()
        assert rig.run.state == "judging"
        assert rig.run.waits_for.startswith("C1: dcgm could not run: PCIe on GPU 0 is Skip: no room")
        rig.overdue()
        run = rig.to_the_end()
    assert (run.state, rig.attempt(0).state, rig.attempt(1).state) == ("aborted", "aborted", "passed")
    verdict = TestRun.objects.get(unit=rig.rack)
    assert (verdict.outcome, verdict.status) == ("RETEST", "ERROR")
    assert verdict.reasons[0] == "C1: dcgm could not run: PCIe on GPU 0 is Skip: no room."
    assert rig.attempt(0).reasons == [verdict.reasons[0]]


def test_a_later_pass_replaces_a_tool_that_could_not_run() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        poster = Poster(rig.run)
        poster.post(SKIPPED)
        poster.post(stress_ng(), tool="stress-ng")
        rig.soak_to("judging")
        rig.tick()
        poster.post(GOOD)
        rig.tick()
        assert rig.run.state == "judging" and "stress-ng could not run" in rig.run.waits_for
        poster.post(stress_ng(), tool="stress-ng", exit_status=0)
        assert rig.to_the_end().state == "passed"


def test_a_required_tool_is_waited_for() -> None:
    with bench(**NEEDS) as rig:
        rig.until_soaking()
        poster = Poster(rig.run)
        poster.post(GOOD, slot="C1")
        rig.soak_to("judging")
        rig.tick()
        assert (rig.run.state, rig.run.waits_for) == ("judging", "C2: no result of dcgm")
        poster.post(GOOD, slot="C2")
        assert rig.to_the_end().state == "passed"
    assert TestRun.objects.get(unit=rig.rack).details["required_tools"] == NEEDS["required_tools"]


def test_a_required_tool_that_nobody_ran_is_no_verdict_on_the_rack() -> None:
    with bench(trays=1, required_tools={"compute_tray": ["nccl-tests:all_gather_perf"]}) as rig:
        rig.until_soaking()
        Poster(rig.run).post(nccl(), tool="nccl-tests")
        rig.soak_to("judging")
        rig.overdue()
        run = rig.to_the_end()
    assert (run.state, run.reasons[0]) == ("aborted", "C1: no result of nccl-tests:all_gather_perf.")
    assert TestRun.objects.get(unit=rig.rack).outcome == "RETEST"


def test_an_aborted_run_waits_for_no_tool() -> None:
    with bench(trays=1, **NEEDS) as rig:
        rig.until_soaking()
        pause_run(run=rig.run, reason="lunch", by=TESTER, keep_stress=True)
        Poster(rig.run).post(SKIPPED)
        abort_run(run=rig.run, reason="no time", by=TESTER)
        run = rig.to_the_end()
    assert (run.state, TestRun.objects.get(unit=rig.rack).outcome) == ("aborted", "ERROR")


def test_the_list_of_results_takes_the_same_queries_however_long() -> None:
    with bench() as rig:
        rig.until_soaking()
        poster = Poster(rig.run)
        poster.post(GOOD)
        few, _ = listed(poster)
        for slot in ("C1", "C2"):
            poster.post(nccl(), tool="nccl-tests", slot=slot)
        many, rows = listed(poster)
        assert (few, [row["slot"] for row in rows]) == (many, ["C2", "C1", "C1"])
        assert [row["tool"] for row in listed(poster, slot="c1", tool="dcgm")[1]] == ["dcgm"]
        assert listed(poster, outcome="FAIL")[1] == []
        with CaptureQueriesContext(connection) as queries:
            rig.tick()
        assert sum("burnin_toolresult" in query["sql"] for query in queries) == 1


def listed(poster: Poster, **query: str) -> tuple[int, list[dict[str, Any]]]:
    with CaptureQueriesContext(connection) as queries:
        answer = poster.device.get(f"burn-in-runs/{poster.run.uid}/results/", **query)
    return len(queries), answer.json()["results"]


@pytest.mark.parametrize("value", [["dcgm"], {"compute_tray": "dcgm"}, {"compute_tray": ["magic"]}])
def test_only_tools_that_are_read_can_be_required(value: Any) -> None:
    validate_required_tools({"compute_tray": ["dcgm", "nccl-tests:all_reduce_perf"]})
    with pytest.raises(ValidationError):
        validate_required_tools(value)


def test_results_belong_to_the_tray_that_is_there() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        BurnInAttempt.objects.update(state="superseded")
        Poster(rig.run).refused("not_in_burn_in", GOOD)
