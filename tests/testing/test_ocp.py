"""OCP Test & Validation output: what is read from it and how it is judged."""

import json
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from mes.testing.ocp import MalformedOcpOutput, OcpRun, Verdict, read_ocp
from tests.samples import sample

Artifact = dict[str, Any]

DUT = {
    "dutInfoId": "rack-demo-1",
    "name": "demo tray",
    "hardwareInfos": [
        {"hardwareInfoId": "hw0", "name": "GPU_0", "location": "slot7/gpu0", "serialNumber": "DEMO0001"}
    ],
    "softwareInfos": [
        {"softwareInfoId": "sw0", "name": "BMC", "version": "25.06-A", "softwareType": "FIRMWARE"}
    ],
}


def run_start(**fields: Any) -> Artifact:
    start = {
        "name": "tray_l10",
        "version": "3.1",
        "commandLine": "tray_l10 --all",
        "parameters": {"hours": 4},
    }
    return {"testRunArtifact": {"testRunStart": {**start, "dutInfo": DUT, **fields}}}


def run_end(status: str = "COMPLETE", result: str = "PASS") -> Artifact:
    return {"testRunArtifact": {"testRunEnd": {"status": status, "result": result}}}


def in_step(kind: str, step: str = "0", **fields: Any) -> Artifact:
    return {"testStepArtifact": {"testStepId": step, kind: fields}}


def measurement(value: Any, *validators: tuple[str, Any], **fields: Any) -> Artifact:
    listed = [{"type": kind, "value": limit} for kind, limit in validators]
    return in_step("measurement", name="leak_rate", value=value, unit="Pa/s", validators=listed, **fields)


def series(values: list[Any], total: int, *validators: tuple[str, Any]) -> list[Artifact]:
    listed = [{"type": kind, "value": limit} for kind, limit in validators]
    key = {"measurementSeriesId": "0_0"}
    stamp = "2026-01-05T06:00:00Z"
    elements = [
        in_step("measurementSeriesElement", **key, index=index, value=value, timestamp=stamp)
        for index, value in enumerate(values)
    ]
    start = in_step(
        "measurementSeriesStart",
        **key,
        name="gpu0_temp",
        unit="Celsius",
        validators=listed,
        hardwareInfoId="hw0",
    )
    return [start, *elements, in_step("measurementSeriesEnd", **key, totalCount=total)]


def numbered(artifacts: list[Artifact], first: int = 0) -> list[str]:
    return [
        json.dumps(
            {
                **one,
                "sequenceNumber": number,
                "timestamp": f"2026-01-05T06:{number // 60:02}:{number % 60:02}Z",
            }
        )
        for number, one in enumerate(artifacts, start=first)
    ]


def output(*inside: Artifact, step_status: str = "COMPLETE", end: Artifact | None = None) -> list[str]:
    """Return the lines of a complete run with one step named thermal that holds ``inside``."""
    version = {"schemaVersion": {"major": 2, "minor": 0}}
    step_start = in_step("testStepStart", name="thermal")
    step_end = in_step("testStepEnd", status=step_status)
    return numbered([version, run_start(), step_start, *inside, step_end, end or run_end()])


def rich_output() -> list[str]:
    return output(
        {"testRunArtifact": {"log": {"severity": "INFO", "message": "start"}}},
        measurement(0.25, ("LESS_THAN", 1.0), hardwareInfoId="hw0"),
        *series([61.5, 70, 64.5], 3, ("LESS_THAN_OR_EQUAL", 85), ("GREATER_THAN", 5)),
        in_step("diagnosis", verdict="leak-none", type="PASS", hardwareInfoId="hw0"),
        in_step("error", symptom="poll-lost", message="one reading lost"),
        in_step("log", severity="WARNING", message="slow"),
        in_step("file", displayName="log.txt", uri="file:///demo/log.txt", isSnapshot=False),
        in_step("extension", name="rack", content={"rack": "R01"}),
        in_step("testStepStart", step="1", name="skipped part"),
        in_step("testStepEnd", step="1", status="SKIP"),
    )


def read_measurement(value: Any, *validators: tuple[str, Any]) -> OcpRun:
    return read_ocp(output(measurement(value, *validators)))


def only_reason(run: OcpRun) -> str:
    assert len(run.reasons) == 1, run.reasons
    return run.reasons[0]


def test_everything_said_about_the_run_is_read() -> None:
    run = read_ocp(rich_output())
    assert (run.name, run.version, run.command_line) == ("tray_l10", "3.1", "tray_l10 --all")
    assert (run.parameters, run.dut_id, run.dut_name) == ({"hours": 4}, "rack-demo-1", "demo tray")
    assert run.hardware == [
        {
            "name": "GPU_0",
            "location": "slot7/gpu0",
            "serial": "DEMO0001",
            "part_number": "",
            "manufacturer": "",
            "odata_id": "",
        }
    ]
    assert run.software == [{"name": "BMC", "version": "25.06-A", "type": "FIRMWARE"}]
    assert run.started_at == datetime(2026, 1, 5, 6, 0, 1, tzinfo=UTC)
    assert run.ended_at == datetime(2026, 1, 5, 6, 0, 18, tzinfo=UTC)
    assert run.steps == [("0", "thermal", "COMPLETE"), ("1", "skipped part", "SKIP")]
    assert run.log_counts == {"INFO": 1, "WARNING": 1}
    assert [(one.symptom, one.step) for one in run.errors] == [("poll-lost", "thermal")]
    assert [(one.verdict, one.type, one.hardware) for one in run.diagnoses] == [
        ("leak-none", "PASS", "GPU_0")
    ]
    assert (run.files[0]["display_name"], run.files[0]["uri"]) == ("log.txt", "file:///demo/log.txt")
    assert (run.extensions, run.unknown_artifacts, run.legacy, run.truncated) == (1, 0, False, False)
    assert (run.status, run.said, run.outcome, run.reasons) == ("COMPLETE", "PASS", "PASS", [])


def test_a_series_is_summarised() -> None:
    single, temperatures = read_ocp(rich_output()).measurements
    assert (single.count, single.value, single.mean, single.verdict) == (1, 0.25, 0.25, Verdict.PASS)
    assert (temperatures.step, temperatures.name, temperatures.unit) == ("thermal", "gpu0_temp", "Celsius")
    assert (temperatures.hardware, temperatures.count, temperatures.value) == ("GPU_0", 3, 64.5)
    assert (temperatures.minimum, temperatures.maximum) == (61.5, 70)
    assert temperatures.mean == pytest.approx(65.3333, abs=1e-3)
    assert (temperatures.low, temperatures.high, temperatures.outside) == (5, 85, 0)


def test_the_last_value_of_a_series_is_the_one_with_the_highest_index() -> None:
    artifacts = series([1, 2, 3], 3)
    artifacts[1], artifacts[3] = artifacts[3], artifacts[1]
    assert read_ocp(output(*artifacts)).measurements[0].value == 3


def test_bytes_blank_lines_and_a_byte_order_mark_are_read() -> None:
    lines = [line.encode() + b"\r\n" for line in rich_output()]
    assert read_ocp([b"\xef\xbb\xbf" + lines[0], b"\n", *lines[1:]]).outcome == "PASS"


def test_null_stands_for_an_absent_optional_field() -> None:
    quiet = measurement(1, hardwareInfoId=None, metadata=None)
    quiet["testStepArtifact"] |= {"log": None}
    quiet["testStepArtifact"]["measurement"]["validators"] = None
    run = read_ocp(output(quiet))
    assert (run.outcome, run.measurements[0].verdict, run.log_counts) == ("PASS", Verdict.NONE, {})


@pytest.mark.parametrize(
    ("kind", "limit", "passes", "fails"),
    [
        ("EQUAL", 5, [5, 5.0], [6, "5", True]),
        ("EQUAL", "v1", ["v1"], ["v2", 1]),
        ("EQUAL", True, [True], [False, 1]),
        ("NOT_EQUAL", 5, [6], [5, "5"]),
        ("LESS_THAN", 5, [4.9], [5, 6, "4", True]),
        ("LESS_THAN_OR_EQUAL", 5, [4, 5], [5.1]),
        ("GREATER_THAN", 5, [5.1], [5, 4]),
        ("GREATER_THAN_OR_EQUAL", 5, [5, 6], [4.9]),
        ("REGEX_MATCH", r"^v\d+$", ["v12"], ["w12", 12, "v" + "1" * 1_000]),
        ("REGEX_MATCH", ["^a", "^b"], ["bx", "ax"], ["cx"]),
        ("REGEX_NO_MATCH", ["^a", "^b"], ["cx"], ["bx", 3]),
        ("IN_SET", [1, 2], [1, 2.0], [3, "1", True]),
        ("IN_SET", ["x", "y"], ["x"], ["z"]),
        ("IN_SET", "x", ["x"], ["z"]),
        ("NOT_IN_SET", [1, 2], [3], [1, "3"]),
    ],
)
def test_each_validator_type(kind: str, limit: Any, passes: list[Any], fails: list[Any]) -> None:
    for value in passes:
        run = read_measurement(value, (kind, limit))
        assert (run.measurements[0].verdict, run.outcome) == (Verdict.PASS, "PASS"), value
    for value in fails:
        run = read_measurement(value, (kind, limit))
        assert (run.measurements[0].verdict, run.outcome) == (Verdict.FAIL, "FAIL"), value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "nan", None, 10**400, [1]])
@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("EQUAL", 5),
        ("NOT_EQUAL", 5),
        ("LESS_THAN", 5),
        ("LESS_THAN_OR_EQUAL", 5),
        ("GREATER_THAN", 5),
        ("GREATER_THAN_OR_EQUAL", 5),
        ("IN_SET", [5]),
        ("NOT_IN_SET", [5]),
    ],
)
def test_what_is_no_number_never_passes_a_numeric_validator(value: Any, kind: str, limit: Any) -> None:
    run = read_measurement(value, (kind, limit))
    assert (run.measurements[0].verdict, run.outcome) == (Verdict.FAIL, "FAIL")
    assert run.measurements[0].mean is None


def test_the_reason_names_step_measurement_part_and_limit() -> None:
    run = read_ocp(output(measurement(2.5, ("LESS_THAN", 1.5), hardwareInfoId="hw0")))
    assert only_reason(run) == (
        "Step 'thermal': measurement 'leak_rate' (GPU_0) is 2.5 Pa/s, outside LESS_THAN 1.5."
    )


def test_the_narrowest_limits_are_reported() -> None:
    run = read_measurement(
        3, ("GREATER_THAN", 1), ("GREATER_THAN_OR_EQUAL", 2), ("LESS_THAN", 9), ("LESS_THAN", 7)
    )
    assert (run.measurements[0].low, run.measurements[0].high) == (2, 7)


def test_a_single_value_outside_makes_the_series_and_the_run_fail() -> None:
    run = read_ocp(output(*series([60, 91.5, 70], 3, ("LESS_THAN_OR_EQUAL", 85))))
    assert (run.measurements[0].verdict, run.measurements[0].outside, run.outcome) == (
        Verdict.FAIL,
        1,
        "FAIL",
    )
    assert only_reason(run) == (
        "Step 'thermal': 1 of 3 values of 'gpu0_temp' (GPU_0) are outside LESS_THAN_OR_EQUAL 85; "
        "they run from 60.0 to 91.5 Celsius."
    )


def test_a_series_without_values_is_not_a_pass() -> None:
    assert read_ocp(output(*series([], 0, ("LESS_THAN", 85)))).measurements[0].verdict is Verdict.NONE


def test_a_fail_diagnosis_outweighs_a_said_pass() -> None:
    run = read_ocp(
        output(in_step("diagnosis", verdict="gpu-hot", type="FAIL", message="91 C", hardwareInfoId="hw0"))
    )
    assert (run.said, run.outcome) == ("PASS", "FAIL")
    assert only_reason(run) == "Step 'thermal': diagnosis 'gpu-hot' on GPU_0 is FAIL: 91 C."


@pytest.mark.parametrize(
    ("status", "result", "outcome", "reason"),
    [
        ("COMPLETE", "FAIL", "FAIL", "The run itself says FAIL."),
        ("COMPLETE", "NOT_APPLICABLE", "ERROR", "The run ended COMPLETE but its result is 'NOT_APPLICABLE'."),
        ("ERROR", "NOT_APPLICABLE", "ERROR", "The run ended with status ERROR."),
        ("ERROR", "PASS", "ERROR", "The run ended with status ERROR."),
        ("DONE", "PASS", "ERROR", "The run ended with the unknown status 'DONE'."),
        ("SKIP", "PASS", "SKIP", "The run says PASS but was skipped."),
    ],
)
def test_the_end_of_the_run_is_judged(status: str, result: str, outcome: str, reason: str) -> None:
    run = read_ocp(output(end=run_end(status, result)))
    assert (run.outcome, run.reasons) == (outcome, [reason])


def test_a_skipped_run_is_a_skip_unless_it_holds_a_failure() -> None:
    skipped = run_end("SKIP", "NOT_APPLICABLE")
    assert (read_ocp(output(end=skipped)).outcome, read_ocp(output(end=skipped)).reasons) == ("SKIP", [])
    assert read_ocp(output(measurement(9, ("LESS_THAN", 1)), end=skipped)).outcome == "FAIL"


def test_a_run_that_could_not_judge_stays_an_error_and_keeps_its_findings() -> None:
    run = read_ocp(output(measurement(9, ("LESS_THAN", 1)), end=run_end("ERROR", "NOT_APPLICABLE")))
    assert run.outcome == "ERROR"
    assert any("leak_rate" in reason for reason in run.reasons)


def test_a_step_in_error_makes_a_said_pass_an_error() -> None:
    run = read_ocp(output(step_status="ERROR"))
    assert (run.outcome, run.truncated) == ("ERROR", False)
    assert only_reason(run) == "Step 'thermal' ended with status ERROR."


def test_a_step_in_error_does_not_soften_a_failure() -> None:
    assert read_ocp(output(measurement(9, ("LESS_THAN", 1)), step_status="ERROR")).outcome == "FAIL"


def outcome_of(lines: list[str] | list[bytes]) -> str:
    try:
        return read_ocp(lines).outcome
    except MalformedOcpOutput:
        return "refused"


def test_losing_any_one_line_is_never_a_pass() -> None:
    lines = rich_output()
    for lost in range(len(lines)):
        assert outcome_of(lines[:lost] + lines[lost + 1 :]) in ("ERROR", "refused"), lines[lost]


def test_a_stream_cut_anywhere_is_never_a_pass() -> None:
    whole = "\n".join(output(measurement("Grad Celsius °C"))).encode()
    assert outcome_of(whole.split(b"\n")) == "PASS"
    for length in range(len(whole)):
        assert outcome_of(whole[:length].split(b"\n")) in ("ERROR", "refused"), length


def test_a_cut_last_line_is_truncation() -> None:
    lines = rich_output()
    run = read_ocp([*lines[:-1], lines[-1][:40]])
    assert (run.truncated, run.outcome, run.status) == (True, "ERROR", None)
    assert run.reasons == [
        "The output is truncated: line 19, the last one, is cut.",
        "The output is truncated: testRunEnd is missing.",
    ]


def test_a_truncated_failure_stays_a_failure() -> None:
    run = read_ocp(output(measurement(9, ("LESS_THAN", 1)))[:-1])
    assert (run.truncated, run.outcome) == (True, "FAIL")


def test_a_missing_sequence_number_is_named() -> None:
    lines = rich_output()
    run = read_ocp(lines[:3] + lines[4:])
    assert (run.truncated, run.outcome) == (True, "ERROR")
    assert only_reason(run) == "The output is truncated: sequence number 3 is missing."


def test_a_repeated_sequence_number_is_named() -> None:
    lines = rich_output()
    run = read_ocp([*lines[:4], lines[3], *lines[4:]])
    assert only_reason(run) == "The output is truncated: sequence number 3 comes twice or too late."


def test_lines_out_of_order_are_no_gap() -> None:
    lines = rich_output()
    lines[6], lines[7] = lines[7], lines[6]
    assert (read_ocp(lines).truncated, read_ocp(lines).outcome) == (False, "PASS")


def test_numbering_may_start_at_one() -> None:
    version = {"schemaVersion": {"major": 2, "minor": 0}}
    assert read_ocp(numbered([version, run_start(), run_end()], first=1)).outcome == "PASS"


def test_an_open_step_is_truncation() -> None:
    version = {"schemaVersion": {"major": 2, "minor": 0}}
    run = read_ocp(numbered([version, run_start(), in_step("testStepStart", name="thermal"), run_end()]))
    assert (run.truncated, run.steps, run.outcome) == (True, [("0", "thermal", None)], "ERROR")
    assert only_reason(run) == "The output is truncated: step 'thermal' never ended."


@pytest.mark.parametrize(
    ("artifacts", "reason"),
    [
        (series([1, 2], 3), "series 'gpu0_temp' holds 2 of 3 values"),
        (series([1, 2], 2)[:-1], "series 'gpu0_temp' never ended"),
        (series([1, 2], 2)[1:], "series '0_0' has values before its start"),
    ],
)
def test_an_incomplete_series_is_truncation(artifacts: list[Artifact], reason: str) -> None:
    run = read_ocp(output(*artifacts))
    assert (run.truncated, run.outcome) == (True, "ERROR")
    assert only_reason(run) == f"The output is truncated: {reason}."


def test_values_that_came_before_their_limits_are_never_a_pass() -> None:
    start, value, end = series([91], 1, ("LESS_THAN", 85))
    run = read_ocp(output(value, start, end))
    assert (run.truncated, run.outcome, run.measurements[0].name) == (True, "ERROR", "gpu0_temp")
    assert only_reason(run) == "The output is truncated: series 'gpu0_temp' has values before its start."


def test_unknown_artifacts_are_counted_and_passed_over() -> None:
    run = read_ocp(
        output(in_step("hologram", depth=3), {"testRunArtifact": {"tag": {"tag": "x"}}}, {"news": {}})
    )
    assert (run.unknown_artifacts, run.outcome) == (3, "PASS")


def test_a_failure_beside_another_kind_in_one_artifact_is_not_lost() -> None:
    both = in_step("log", severity="INFO", message="x")
    both["testStepArtifact"]["diagnosis"] = {"verdict": "leak", "type": "FAIL"}
    assert read_ocp(output(both)).outcome == "FAIL"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{not json", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[1, 2]", "must be an object"),
        (b"\xff\xfe{}", "not valid JSON"),
        ('{"x": "' + "y" * 1024 * 1024 + '"}', "longer than 1048576 bytes"),
        ('{"sequenceNumber": "3", "timestamp": "2026-01-05T06:00:00Z"}', "sequenceNumber"),
        ('{"sequenceNumber": 3, "timestamp": "yesterday"}', "timestamp 'yesterday'"),
        (
            '{"sequenceNumber": 3, "timestamp": "2026-01-05T06:00:00Z", "testStepArtifact": 7}',
            "testStepArtifact",
        ),
        (
            '{"sequenceNumber": 3, "timestamp": "2026-01-05T06:00:00Z", "schemaVersion": {"major": 3}}',
            "version 3",
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_by_its_number(bad: str | bytes, says: str) -> None:
    lines: list[str | bytes] = [*output()]
    with pytest.raises(MalformedOcpOutput, match=says) as refused:
        read_ocp([*lines[:3], bad, *lines[3:]])
    assert refused.value.line == 4
    assert str(refused.value).startswith("line 4: ")


@pytest.mark.parametrize(
    ("artifact", "says"),
    [
        (measurement(1, ("LESS_THAN", "5")), "LESS_THAN needs a finite number"),
        (measurement(1, ("LESS_THAN", float("nan"))), "LESS_THAN needs a finite number"),
        (measurement(1, ("ALMOST", 5)), "unknown validator type 'ALMOST'"),
        (measurement("x", ("REGEX_MATCH", "(")), "broken regex"),
        (measurement("x", ("REGEX_MATCH", "a" * 1_001)), "regex longer than"),
        (measurement("x", ("REGEX_MATCH", 5)), "REGEX_MATCH does not support"),
        (measurement("x", ("IN_SET", [])), "IN_SET does not support"),
        (measurement("x", ("EQUAL", ["x"])), "EQUAL needs"),
        (measurement({"deep": 1}), "measured value"),
        (in_step("measurement", name="x", value=1, validators=["x"]), "validators must be a list"),
        (in_step("measurement", value=1), "name must be a text"),
        (in_step("diagnosis", verdict="x", type="BROKEN"), "unknown diagnosis type 'BROKEN'"),
        (in_step("testStepStart", name="again"), "step '0' is started twice"),
        (run_start(), "a second testRunStart"),
    ],
)
def test_an_artifact_against_the_specification_is_refused(artifact: Artifact, says: str) -> None:
    with pytest.raises(MalformedOcpOutput, match=says) as refused:
        read_ocp(output(artifact))
    assert refused.value.line == 4


def test_a_second_end_of_a_step_cannot_hide_the_first() -> None:
    with pytest.raises(MalformedOcpOutput, match="step '0' is ended twice"):
        read_ocp(output(in_step("testStepEnd", status="ERROR")))


@pytest.mark.parametrize("lines", [[], ["", "\n"], ["<html>"]])
def test_what_holds_no_artifact_is_refused(lines: list[str]) -> None:
    with pytest.raises(MalformedOcpOutput):
        read_ocp(lines)


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|a)*$", r"^((a?)a)+$", r"^(?:a{1,9}){2,}$"])
def test_a_regex_that_could_run_for_ever_is_refused_for_a_long_value(pattern: str) -> None:
    began = time.monotonic()
    with pytest.raises(MalformedOcpOutput, match="nested repeats"):
        read_measurement("a" * 40 + "!", ("REGEX_MATCH", pattern))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "pattern", [r"^\d+(\.\d+){3}$", r"^(\d+\.)+\d+$", r"^[0-9.+*(]+$", r"^(?P<v>\d+)\.", r"^\d{1,3}\."]
)
def test_an_ordinary_version_regex_is_matched(pattern: str) -> None:
    assert read_measurement("97.00.18.69", ("REGEX_MATCH", pattern)).outcome == "PASS"


def test_a_flat_regex_is_matched_against_a_long_value() -> None:
    assert read_measurement("x" * 1_000, ("REGEX_MATCH", "^[a-z]+$")).outcome == "PASS"


def test_memory_does_not_grow_with_logs_and_series_elements() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        assert read_ocp(long_stream(count)).outcome == "PASS"
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(100)
    assert peak(8_000) < peak(500) + 100_000


def long_stream(count: int) -> Iterator[str]:
    start, *_, end = series([], count, ("LESS_THAN", 85))
    version = {"schemaVersion": {"major": 2, "minor": 0}}
    element = in_step(
        "measurementSeriesElement", measurementSeriesId="0_0", index=0, value=61.5, timestamp="x"
    )
    log = in_step("log", severity="DEBUG", message="reading")
    head = [version, run_start(), in_step("testStepStart", name="soak"), start]
    yield from numbered(head)
    stamp = {"timestamp": "2026-01-05T06:00:00Z"}
    for index in range(count):
        yield json.dumps({**element, **stamp, "sequenceNumber": 4 + 2 * index})
        yield json.dumps({**log, **stamp, "sequenceNumber": 5 + 2 * index})
    tail = [end, in_step("testStepEnd", status="COMPLETE"), run_end()]
    for number, one in enumerate(tail, start=4 + 2 * count):
        yield json.dumps({**one, **stamp, "sequenceNumber": number})


def old_output(value: float = 0, result: str = "PASS") -> list[str]:
    """Return a run in the words of the dialect before 2.0: no schemaVersion, limits on the elements."""
    hardware = {
        "hardwareInfoId": "6",
        "name": "DIMM27",
        "fruLocation": {"devpath": "/phys/DIMM27", "serialNumber": "DEMO0027", "odataId": ""},
        "partNumber": "DEMO-PN",
    }
    dut = [{"hostname": "demo-host", "hardwareComponents": [hardware], "softwareInfos": []}]
    info = {"name": "correctable-error", "unit": "counts/minute", "hardwareInfoId": "6"}
    limit = {"range": {"minimum": 0, "maximum": 3}}
    element: Artifact = {"index": 0, "measurementSeriesId": "0", "value": value, **limit}
    return numbered(
        [
            {"testRunArtifact": {"testRunStart": {"name": "error_monitor", "version": "1", "dutInfo": dut}}},
            {"testRunArtifact": {"log": {"severity": "INFO", "text": "start"}}},
            in_step("testStepStart", name="monitor"),
            in_step("measurement", info=info, element={"index": 0, "value": value, **limit}),
            in_step("measurementSeriesStart", measurementSeriesId="0", info=info),
            in_step("measurementElement", **element),
            in_step("measurementSeriesEnd", measurementSeriesId="0", totalMeasurementCount=1),
            in_step("diagnosis", symptom="few-errors", type="PASS", msg="below limit", hardwareInfoId=["6"]),
            in_step("error", symptom="poll", msg="lost", softwareInfoId=[]),
            in_step("file", uploadAsName="log.txt", outputPath="/demo/log.txt"),
            in_step("testStepEnd", name="monitor", status="SKIPPED"),
            {
                "testRunArtifact": {
                    "testRunEnd": {"name": "error_monitor", "status": "COMPLETE", "result": result}
                }
            },
        ]
    )


def test_the_dialect_before_2_0_is_read_and_marked() -> None:
    run = read_ocp(old_output())
    assert (run.legacy, run.truncated, run.outcome, run.reasons) == (True, False, "PASS", [])
    assert (run.dut_id, run.dut_name) == ("demo-host", "demo-host")
    assert (run.hardware[0]["location"], run.hardware[0]["serial"]) == ("/phys/DIMM27", "DEMO0027")
    assert run.steps == [("0", "monitor", "SKIP")]
    found = run.diagnoses[0]
    assert (found.verdict, found.message, found.hardware) == ("few-errors", "below limit", "DIMM27")
    assert (run.errors[0].message, run.files[0]["display_name"]) == ("lost", "log.txt")
    for one in run.measurements:
        assert (one.name, one.unit, one.hardware) == ("correctable-error", "counts/minute", "DIMM27")
        assert (one.low, one.high, one.verdict) == (0, 3, Verdict.PASS)


def test_limits_on_the_elements_of_the_old_dialect_are_judged() -> None:
    run = read_ocp(old_output(value=4))
    assert (run.outcome, len(run.reasons)) == ("FAIL", 2)
    assert "LESS_THAN_OR_EQUAL 3" in run.reasons[0]


def test_a_schema_version_below_2_marks_the_run() -> None:
    run = read_ocp(numbered([{"schemaVersion": {"major": 1, "minor": 0}}, run_start(), run_end()]))
    assert (run.legacy, run.outcome) == (True, "PASS")


def test_an_array_of_devices_alone_marks_the_run() -> None:
    run = read_ocp(numbered([run_start(dutInfo=[{"hostname": "demo-host"}]), run_end()]))
    assert (run.legacy, run.dut_id, run.outcome) == (True, "demo-host", "PASS")


def schema_registry() -> Registry[Any]:
    folder = sample("ocp/schema")
    schemas = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return Registry().with_resources([(one["$id"], Resource.from_contents(one)) for one in schemas])


def schema_errors(lines: list[str]) -> list[str]:
    registry = schema_registry()
    root = "https://github.com/opencomputeproject/ocp-diag-core/output"
    validator = Draft202012Validator({"$ref": root}, registry=registry)
    return [error.message for line in lines for error in validator.iter_errors(json.loads(line))]


def test_the_lines_of_these_tests_follow_the_published_schema() -> None:
    numbers = [("EQUAL", 5), ("NOT_EQUAL", 6), ("IN_SET", 5), ("NOT_IN_SET", 6), ("LESS_THAN", 9)]
    more = [("LESS_THAN_OR_EQUAL", 5), ("GREATER_THAN", 1), ("GREATER_THAN_OR_EQUAL", 5)]
    texts = [("REGEX_MATCH", "x"), ("REGEX_NO_MATCH", "y")]
    assert schema_errors(rich_output()) == []
    assert schema_errors(output(measurement(5, *numbers, *more), measurement("x", *texts))) == []
    assert schema_errors(output(measurement(None))) != []
    assert schema_errors(old_output()) != []


def test_the_sample_that_says_pass_over_a_fail_diagnosis() -> None:
    with sample("ocp/ocptv-pass-with-fail-diagnosis.jsonl").open("rb") as lines:
        run = read_ocp(lines)
    assert (run.said, run.outcome, run.truncated, run.legacy) == ("PASS", "FAIL", False, False)
    assert only_reason(run) == "Step 'thermal': diagnosis 'gpu-overtemp' on GPU_0 is FAIL: 2 of 5 over 85C."
    temperatures, errors = run.measurements
    assert (temperatures.count, temperatures.minimum, temperatures.maximum, temperatures.value) == (
        5,
        62.17,
        79.53,
        76.08,
    )
    assert (temperatures.verdict, temperatures.high, errors.verdict) == (Verdict.PASS, 85, Verdict.PASS)


def test_the_quickstart_run_passes() -> None:
    with sample("ocp/quickstart.jsonl").open() as lines:
        run = read_ocp(lines)
    assert (run.outcome, run.reasons, run.log_counts) == ("PASS", [], {"INFO": 2})
    assert [step.status for step in run.steps] == ["SKIP", "COMPLETE"]
    assert [one.verdict for one in run.measurements] == [Verdict.NONE, Verdict.NONE]
