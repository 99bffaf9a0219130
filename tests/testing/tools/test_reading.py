"""Outputs of stress tools: what passes, what fails, what is a fault of the set-up, what cannot be read."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mes.testing.models import Tool
from mes.testing.tools.reading import ToolOutput, UnreadableOutput, read_output
from tests.samples import sample
from tests.testing.tools import outputs
from tests.testing.tools.outputs import PASSES, dcgm3, dcgm4, fio, hpl, nccl, nccl_text, ocp, stress_ng, text

EVERY_PASS = [
    pytest.param(tool, content, id=f"{tool}-{n}") for tool in Tool for n, content in enumerate(PASSES[tool])
]
ONE_PASS = [(tool, content) for tool in Tool for content in PASSES[tool]]


def read(tool: Tool, output: Any, exit_status: int | None = 0) -> ToolOutput:
    return read_output(tool, output if isinstance(output, bytes) else text(output), exit_status=exit_status)


def outcome(tool: Tool, output: Any, exit_status: int | None = 0) -> tuple[str, str]:
    result = read(tool, output, exit_status).result
    return str(result.outcome), " ".join(result.reasons)


@pytest.mark.parametrize(("tool", "content"), EVERY_PASS)
def test_a_good_run_passes_and_is_kept_as_it_came(tool: Tool, content: bytes) -> None:
    output = read(tool, content)
    assert (output.result.outcome, output.result.reasons) == ("PASS", [])
    if outputs.SECRET.encode() not in content:
        assert output.kept.encode().rstrip() == content.rstrip()


@pytest.mark.parametrize(("tool", "content"), EVERY_PASS)
def test_a_pass_with_a_bad_exit_status_is_none(tool: Tool, content: bytes) -> None:
    assert outcome(tool, content, exit_status=1)[0] == "RETEST"


SLOW = {"bandwidth": 1.0, "okay": "false"}
CONFIG: dict[str, Any] = {"warnings": [{"warning": "Enable persistence mode", "error_severity": 5}]}
BROKEN: dict[str, Any] = {"warnings": [{"warning": "GPU 1 has 3 row remap failures", "error_severity": 2}]}
ONCE = {"iterations": [dcgm4("Pass")], "Overall Result": "Pass"}
JUDGED: list[tuple[Tool, Any, str, str]] = [
    (Tool.OCP, ocp("FAIL"), "FAIL", "says FAIL"),
    (Tool.OCP, ocp("PASS", "ERROR"), "RETEST", "is ERROR"),
    (Tool.OCP, ocp("NOT_APPLICABLE", "SKIP"), "RETEST", "is SKIP"),
    (Tool.OCP, "\n".join(ocp().splitlines()[:2]), "RETEST", "truncated"),
    (
        Tool.DCGM,
        dcgm3("Pass", "Fail", warnings=["link width is x8"]),
        "FAIL",
        "PCIe on GPU 1 is Fail: link width",
    ),
    (
        Tool.DCGM,
        dcgm3("Pass", "Skip", info=["not supported"]),
        "RETEST",
        "PCIe on GPU 1 is Skip: not supported",
    ),
    (Tool.DCGM, dcgm3("Pass", "Not Run"), "RETEST", "is Not Run"),
    (Tool.DCGM, dcgm3("Pass", "Splendid"), "RETEST", "is Splendid"),
    (
        Tool.DCGM,
        dcgm3("Pass", "Warn", warnings=["close to its limit"]),
        "PASS",
        "is Warn: close to its limit",
    ),
    (Tool.DCGM, dcgm3(), "RETEST", "PCIe is Not Run"),
    (Tool.DCGM, dcgm3("Fail", test="CUDA Main Library"), "RETEST", "CUDA Main Library on GPU 0 is Fail"),
    (Tool.DCGM, dcgm4("Fail", summary="Fail", **CONFIG), "FAIL", "memory is Fail"),
    (Tool.DCGM, dcgm4("Fail", summary="Pass", **CONFIG), "RETEST", "Enable persistence mode"),
    (Tool.DCGM, dcgm4("Pass", "Fail", **BROKEN), "FAIL", "memory on GPU 1 is Fail: GPU 1 has 3 row remap"),
    (Tool.DCGM, dcgm4("Pass", summary="Fail"), "FAIL", "memory is Fail"),
    (
        Tool.DCGM,
        {"DCGM Diagnostic": {"runtime_error": "No GPU found."}},
        "RETEST",
        "could not run: No GPU found.",
    ),
    (Tool.DCGM, "Error: unable to connect to the host engine", "RETEST", "could not run: Error: unable"),
    (Tool.DCGM, {"DCGM Diagnostic": {"version": "4"}}, "RETEST", "No test was run"),
    (Tool.DCGM, ONCE, "PASS", ""),
    (Tool.DCGM, {**ONCE, "Overall Result": "Fail"}, "RETEST", "ended early"),
    (Tool.NCCL_TESTS, nccl(nwrong=3.0), "FAIL", "3 elements of 1024 B out of place are wrong"),
    (Tool.NCCL_TESTS, nccl(nwrong=None), "RETEST", "not checked"),
    (Tool.NCCL_TESTS, nccl(bus_bw="nan"), "RETEST", "is no number"),
    (
        Tool.NCCL_TESTS,
        nccl(out_of_bounds={"count": 2, "okay": "false"}),
        "FAIL",
        "2 values are out of bounds",
    ),
    (Tool.NCCL_TESTS, nccl(average_bus_bandwidth=SLOW), "FAIL", "1 GB/s is below NCCL_TESTS_MIN_BW"),
    (Tool.NCCL_TESTS, nccl(errors=["unhandled system error"]), "RETEST", "unhandled system error"),
    (Tool.NCCL_TESTS, nccl(results=[]), "RETEST", "no result row"),
    (Tool.NCCL_TESTS, nccl(end_time=None), "RETEST", "no end time"),
    (Tool.NCCL_TESTS, nccl(average_bus_bandwidth=None), "RETEST", "average bus bandwidth is missing"),
    (Tool.NCCL_TESTS, nccl_text(wrong="7"), "FAIL", "7 elements of 1024 B"),
    (Tool.NCCL_TESTS, nccl_text(wrong="N/A"), "RETEST", "not checked"),
    (Tool.NCCL_TESTS, nccl_text(bounds="4 FAILED"), "FAIL", "4 values are out of bounds"),
    (Tool.NCCL_TESTS, nccl_text(average="12.5 FAILED"), "FAIL", "below NCCL_TESTS_MIN_BW"),
    (
        Tool.NCCL_TESTS,
        "gpu1: Test NCCL failure common.cu:958 'remote process exited'",
        "RETEST",
        "Test NCCL failure",
    ),
    (Tool.HPL, hpl("FAILED", passed=0, failed=1), "FAIL", "1 residual checks FAILED"),
    (Tool.HPL, hpl("FAILED"), "FAIL", "1 residual checks FAILED"),
    (Tool.HPL, hpl(skipped=2), "RETEST", "2 tests were skipped because of illegal input"),
    (Tool.HPL, hpl(passed=2), "RETEST", "does not fit"),
    (Tool.HPL, hpl(speed="nan"), "RETEST", "no speed"),
    (Tool.HPL, hpl().replace("passed residual checks", "unchecked"), "RETEST", "cut"),
    (
        *(
            Tool.HPL,
            "HPL ERROR from process # 0, on line 419 of function HPL_pdinfo:\n>>> Need 4 processes <<<\n",
        ),
        *("RETEST", "HPL reports: Need 4 processes"),
    ),
    (Tool.STRESS_NG, stress_ng(ops=0), "RETEST", "cpu did nothing"),
    (Tool.STRESS_NG, stress_ng().replace("...\n", ""), "RETEST", "cut"),
    (Tool.FIO, fio(error=5), "FAIL", "soak ended with error 5"),
    (Tool.FIO, fio(error=2), "RETEST", "soak ended with error 2"),
    (Tool.FIO, fio(ios=0), "RETEST", "read and wrote nothing"),
    (Tool.FIO, fio(total_err=3), "FAIL", "went on after 3 errors"),
    (Tool.FIO, {"fio version": "fio-3.36", "jobs": []}, "RETEST", "No job ran"),
]


@pytest.mark.parametrize(("tool", "output", "wanted", "because"), JUDGED)
def test_how_an_output_is_judged(tool: Tool, output: Any, wanted: str, because: str) -> None:
    found, reasons = outcome(tool, output)
    assert (found, because in reasons) == (wanted, True), (found, reasons)


@pytest.mark.parametrize(
    ("status", "wanted"), [(None, "RETEST"), (0, "PASS"), (2, "FAIL"), (3, "RETEST"), (9, "RETEST")]
)
def test_stress_ng_is_judged_by_its_exit_status(status: int | None, wanted: str) -> None:
    assert outcome(Tool.STRESS_NG, stress_ng(), status)[0] == wanted


def test_what_is_measured() -> None:
    measured = {row.name: (row.value, row.unit) for row in read(Tool.NCCL_TESTS, nccl()).result.measurements}
    assert measured["average bus bandwidth"] == (398.25, "GB/s")
    assert measured["peak bus bandwidth"] == (401.5, "GB/s")
    printed = {row.name: row.value for row in read(Tool.NCCL_TESTS, nccl_text()).result.measurements}
    assert (printed["average bus bandwidth"], printed["peak bus bandwidth"]) == (398.25, 401.5)
    speed = next(row for row in read(Tool.HPL, hpl()).result.measurements if row.name == "speed")
    assert (speed.value, speed.unit, speed.step) == (85000, "GFLOPS", "WR11C2R4 N=19000")
    drive = {row.name: (row.value, row.unit) for row in read(Tool.FIO, fio()).result.measurements}
    assert drive == {
        "read bandwidth": (4e6, "B/s"),
        "read operations": (1000.5, "1/s"),
        "read latency p99": (9, "ns"),
    }
    found = read(Tool.DCGM, dcgm4("Pass", "Pass")).result
    assert [(row.component, row.type) for row in found.diagnoses][:2] == [
        ("GPU 0", "PASS"),
        ("GPU 1", "PASS"),
    ]
    assert found.measurements[0].value == 2


def test_results_go_by_the_name_of_their_test() -> None:
    assert read(Tool.OCP, ocp()).name == "gpu_soak"
    assert read(Tool.NCCL_TESTS, nccl()).name == read(Tool.NCCL_TESTS, nccl_text()).name == "all_reduce_perf"


@pytest.mark.parametrize("columns", ["older", "stamped", "per iteration", "by mpirun"])
def test_columns_of_other_versions(columns: str) -> None:
    printed = nccl_text()
    if columns == "older":  # neither root nor version
        printed = "\n".join(printed.replace("      -1", "").splitlines()[2:-1]) + "\n"
    elif columns == "stamped":
        printed = printed.replace("       0\n", "       0  2026-01-05 06:00:00\n")
    elif columns == "per iteration":
        printed = printed.replace("#wrong\n", "#wrong   i_min\n").replace(
            "       0", "       0  1  2  3  0.5"
        )
    else:
        printed = "".join(f"[1,0]<stdout>:{line}\n" for line in printed.splitlines())
    output = read(Tool.NCCL_TESTS, printed)
    assert (output.result.outcome, output.result.reasons) == ("PASS", [])
    assert output.result.measurements[1].value == 401.5


FOREIGN = [
    b"",
    b"  \n",
    b"\xff\xfe\x00",
    b"\x00\x01",
    b"hello",
    b"[]",
    b"{}",
    b'{"a": 1}',
    b"--- {}\n",
    b"null\n",
]


@pytest.mark.parametrize("tool", Tool)
def test_what_is_no_output_of_the_tool_is_refused(tool: Tool) -> None:
    others = [content for other in Tool if other != tool for content in PASSES[other]]
    for content in (*FOREIGN, *others):
        with pytest.raises(UnreadableOutput):
            read(tool, content)


def test_bombs_are_refused_at_once() -> None:
    deep = b'{"DCGM Diagnostic": ' + b"[" * 200_000
    shallow = json.dumps({"fio version": "3", "jobs": json.loads("[" * 70 + "]" * 70)}).encode()
    laughs = "a: &a [1, 1]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9))
    begin = time.monotonic()
    for tool, content in (
        (Tool.DCGM, deep),
        (Tool.FIO, shallow),
        (Tool.STRESS_NG, b"---\nsystem-info: {}\n" + laughs.encode()),
        (Tool.STRESS_NG, b"---\nsystem-info: " + b"[" * 200_000),
        (Tool.STRESS_NG, b"---\nsystem-info: !!python/object/apply:os.system [ls]\n"),
        (Tool.STRESS_NG, b"x" * 300_000),
        (Tool.FIO, b'{"fio version": ' + b"9" * 5000 + b"}"),
    ):
        with pytest.raises(UnreadableOutput):
            read(tool, content)
    assert time.monotonic() - begin < 5


def whole(tool: Tool, content: bytes) -> int:
    """Return how many bytes of an output hold all that it says."""
    ends = {Tool.HPL: b"End of Tests.", Tool.NCCL_TESTS: b"concluded:"}
    end = content.rfind(ends[tool]) + len(ends[tool]) if tool in ends else -1
    return end if end >= len(ends.get(tool, b"")) else len(content.rstrip())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.sampled_from(ONE_PASS), cut=st.floats(0, 1, exclude_max=True))
def test_no_cut_output_passes(which: tuple[Tool, bytes], cut: float) -> None:
    tool, content = which
    with contextlib.suppress(UnreadableOutput):
        assert outcome(tool, content[: int(whole(tool, content) * cut)])[0] != "PASS"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.sampled_from(ONE_PASS), at=st.floats(0, 1, exclude_max=True), byte=st.binary(max_size=3))
def test_a_damaged_output_is_judged_or_refused(which: tuple[Tool, bytes], at: float, byte: bytes) -> None:
    tool, content = which
    place = int(len(content) * at)
    try:
        found = outcome(tool, content[:place] + byte + content[place + 1 :])[0]
    except UnreadableOutput:
        return
    assert found in {"PASS", "FAIL", "RETEST"}


@given(
    tool=st.sampled_from(list(Tool)), content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode)
)
def test_noise_never_passes(tool: Tool, content: bytes) -> None:
    with pytest.raises(UnreadableOutput):
        read(tool, content)


def test_real_fio() -> None:
    output = read(Tool.FIO, sample("stress/fio-3.33.json").read_bytes())
    assert (output.result.outcome, output.result.procedure_version) == ("PASS", "fio-3.33")
    rows = {row.name: row.value for row in output.result.measurements}
    assert rows["read bandwidth"] == 43368869 and "trim bandwidth" not in rows


def test_real_stress_ng() -> None:
    output = read(Tool.STRESS_NG, sample("stress/stress-ng-0.15.06.yaml").read_bytes())
    assert output.result.outcome == "PASS"
    assert {row.component for row in output.result.measurements} == {"cpu", "vm", "matrix"}
