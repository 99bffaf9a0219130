"""What runs over simulated BMCs leave behind: excursions as rows, findings, near misses; shown over REST."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.burnin.limits import require_consistent
from mes.burnin.models import BurnInProfile, BurnInRun, Violation
from mes.burnin.services import abort_run
from mes.burnin.tick import advance_run
from mes.burnin.transitions import decide
from mes.burnin.working import Tick
from mes.errors import RuleViolation
from mes.testing.models import TestRun
from tests.builders import TESTER, make_part, supervisor_client
from tests.burnin.builders import LIMITS, Bench, bench, make_profile

pytestmark = pytest.mark.django_db
HOT = LIMITS[0]
SPREAD = {**HOT, "group": "gpu spread", "kind": "spread", "high": 8, "violations": 1, "window": 1}
FORGIVING = {**HOT, "violations": 5, "window": 5}


def rows(rig: Bench) -> list[Violation]:
    return list(Violation.objects.filter(attempt__run=rig.run).select_related("attempt__slot", "limit"))


def findings(rig: Bench) -> list[tuple[str, str]]:
    return [(finding["rule"], finding["slot"]) for finding in rig.run.findings]


def test_a_failed_run_says_by_what_rule_series_value_and_limit() -> None:
    with bench() as rig:
        rig.until_soaking()
        rig.fault(1, "overheat")
        run = rig.to_the_end()
    found = run.findings[0]
    assert (found["rule"], found["slot"], found["serial"]) == ("level", "C2", rig.trays[1].serial)
    assert found["series"] == "HGX_GPU_0_TEMP_0" and found["value"] > 87
    assert [found[name] for name in ("low", "high", "unit", "group")] == [None, 87, "Cel", "gpu temperature"]
    assert (found["outside"], found["violations"], found["window"]) == (3, 3, 5)
    assert (found["profile"], found["attempt"], found["text"]) == (str(rig.profile), 1, run.reasons[0])
    details = TestRun.objects.get().details
    assert details["findings"] == run.findings
    assert details["trays"][1]["findings"] == run.findings and details["trays"][0]["findings"] == []
    assert [finding["text"] for finding in run.findings] == rig.attempt(1).reasons


@pytest.mark.parametrize(
    ("fault", "rule"),
    [("leak", "leak"), ("reboot", "reboot"), ("wrong_serial", "wrong_tray"), ("nan", "suspect")],
)
def test_every_rule_that_ends_a_soak_is_named(fault: str, rule: str) -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        rig.fault(0, fault)
        rig.to_the_end()
    assert findings(rig)[0] == (rule, "C1")
    *reasons, demonstration = rig.run.reasons
    assert [finding["text"] for finding in rig.run.findings] == reasons
    assert demonstration.startswith("A demonstration")


def test_a_tray_that_does_not_start_and_an_abort_are_findings_too() -> None:
    with bench(trays=1, start_seconds=0.5) as rig:
        rig.fault(0, "hang")
        rig.overdue()
        rig.until("preparing")
        rig.overdue()
        rig.to_the_end()
        assert findings(rig) == [("start", "C1")]
    with bench(trays=1) as rig:
        rig.until_soaking()
        rig.run = abort_run(run=rig.run, reason="line stop", by=TESTER)
        rig.to_the_end()
    assert findings(rig) == [("abort", "")]
    assert TestRun.objects.last().details["findings"][0]["text"] == "Aborted by tester: line stop"  # type: ignore[union-attr]


def test_one_hot_tray_of_three_is_named_by_its_distance_from_the_others() -> None:
    with bench(trays=3, limits=(LIMITS[2], SPREAD)) as rig:
        rig.until_soaking()
        rig.fault(1, "overheat")
        run = rig.to_the_end()
        assert rig.stressed() == [False] * 3
    assert run.state == "failed"
    assert {(rule, slot) for rule, slot in findings(rig)} == {("spread", "C2")}
    assert "above the median of the trays" in run.reasons[0]
    assert {row.attempt.slot.name for row in rows(rig)} == {"C2"}


def test_two_trays_have_no_spread_and_pass() -> None:
    with bench(trays=2, limits=(LIMITS[2], SPREAD)) as rig:
        rig.until_soaking()
        rig.fault(1, "overheat")
        rig.tick()
        rig.fault(1, "none")
        assert rig.soak_to("passed").findings == []
    spread = TestRun.objects.get().measurements.filter(name="gpu spread")
    assert {(row.verdict, row.text) for row in spread} == {("NONE", "fewer than 3 trays to compare")}


def test_an_excursion_is_a_row_that_grows_ends_and_is_a_near_miss() -> None:
    with bench(trays=1, limits=(FORGIVING, LIMITS[2])) as rig:
        rig.until_soaking()
        rig.fault(0, "overheat")
        rig.tick()
        first = {row.series: row for row in rows(rig)}
        assert len(first) == 4 and all((row.samples, row.is_open) == (1, True) for row in first.values())
        rig.tick()
        second = {row.series: row for row in rows(rig)}
        rig.fault(0, "none")
        rig.tick()
        ended = {row.series: row for row in rows(rig)}
        rig.soak_to("passed")
    for series, row in ended.items():
        assert row.pk == first[series].pk and row.from_at == first[series].from_at
        assert (second[series].samples, row.samples, row.is_open, row.most) == (2, 2, False, 2)
        assert row.to_at == second[series].to_at > row.from_at
        assert row.worst > 87
    near = [each for each in rig.run.near_misses if each["group"] == "gpu temperature"]
    assert [each["why"] for each in near] == ["not_persistent"] * 4
    assert {each["series"]: each["value"] for each in near} == {row.series: row.worst for row in rows(rig)}
    assert TestRun.objects.get().details["near_misses"] == rig.run.near_misses
    assert TestRun.objects.get().outcome == "PASS"


def test_a_tick_that_is_overtaken_writes_no_excursion_and_none_is_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with bench(trays=1, limits=(FORGIVING, LIMITS[2]), poll_seconds=30) as rig:
        rig.until_soaking()
        rig.fault(0, "overheat")

        def stall(working: Tick) -> None:
            monkeypatch.setattr("mes.burnin.tick.decide", decide)
            BurnInRun.objects.filter(pk=rig.run.pk).update(lease_until=rig.run.created_at)
            assert advance_run(rig.run.pk)
            decide(working)
            assert len(working.violations) == 4

        monkeypatch.setattr("mes.burnin.tick.decide", stall)
        assert not rig.tick()
        assert [(row.samples, row.is_open) for row in rows(rig)] == [(1, True)] * 4
        assert not advance_run(rig.run.pk)  # a duplicate that is not due
        rig.tick()
        assert [row.samples for row in rows(rig)] == [2] * 4


def statements_while_outside(trays: int) -> int:
    with bench(trays=trays, limits=(FORGIVING, LIMITS[2], {**SPREAD, "low": -500, "high": 500})) as rig:
        rig.until_soaking()
        for tray in range(trays):
            rig.fault(tray, "overheat")
        rig.tick()
        BurnInRun.objects.update(next_due_at=rig.run.created_at)
        with CaptureQueriesContext(connection) as captured:
            assert advance_run(rig.run.pk)
        assert {row.samples for row in rows(rig)} == {2}
        assert len(rows(rig)) == 4 * trays
        return len(captured)


def test_excursions_of_four_trays_take_as_many_statements_as_of_one() -> None:
    assert statements_while_outside(1) == statements_while_outside(4)


def test_a_run_its_profile_and_its_excursions_are_read_over_rest() -> None:
    client: Any = supervisor_client()
    with bench(limits=({**HOT, "basis": "zero"}, *LIMITS[1:])) as rig:
        rig.until_soaking()
        rig.fault(1, "overheat")
        rig.to_the_end()
    run = client.get(f"/api/v1/burn-in-runs/{rig.run.uid}/").json()
    assert run["findings"] == [{**finding, "at": run["findings"][0]["at"]} for finding in rig.run.findings]
    assert run["attempts"][1]["findings"] == run["findings"]
    assert {each["why"] for each in run["near_misses"]} <= {"closest", "margin", "not_persistent"}
    [profile] = client.get("/api/v1/burn-in-profiles/", {"name": "quick"}).json()["results"]
    assert [limit["group"] for limit in profile["limits"]] == [limit["group"] for limit in LIMITS]
    assert (profile["limits"][0]["basis"], profile["limits"][0]["kind"]) == ("zero", None)
    with CaptureQueriesContext(connection) as queries:
        outside = client.get("/api/v1/burn-in-violations/", {"run": rig.run.uid, "slot": "c2"}).json()
    assert [row["series"] for row in outside["results"]] == [row.series for row in reversed(rows(rig))]
    facts = {(row["rule"], row["group"], row["unit"], row["low"], row["high"]) for row in outside["results"]}
    assert facts == {
        ("level", "gpu temperature", "Cel", None, 87),
        ("level", "gpu headroom", "Cel", -4, None),
    }
    assert sum("burnin_violation" in query["sql"] for query in queries) == 1
    assert (
        client.get("/api/v1/burn-in-violations/", {"run": rig.run.uid, "slot": "C1"}).json()["results"] == []
    )


def test_a_profile_that_contradicts_itself_is_not_released() -> None:
    bad = {**HOT, "basis": "headroom"}
    profile = make_profile(make_part("rack", level=11), limits=(bad, *LIMITS[1:]), released=False)
    with pytest.raises(RuleViolation) as refused:
        require_consistent(BurnInProfile.objects.get(pk=profile.pk))
    assert refused.value.code == "limits_inconsistent"
    assert "gpu temperature of compute_tray: a headroom is bad when low" in str(refused.value)
    require_consistent(make_profile(make_part("rack", level=11), released=False))
