"""Readers of nccl-tests: the report of ``-J file`` (src/util.cu), and the columns it prints.

Columns are counted from the end of a row: older versions left out ``root`` or ``redop``, newer ones add a
timestamp or, per iteration, four columns to each side.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from mes.testing.models import Measurement
from mes.testing.services import Result, measure
from mes.testing.tools.output import Body, UnreadableOutput, conclude, texts, without_mpi_prefix

MOST_ROWS = 256
SIDES = ("out_of_place", "in_place")
UNCHECKED = "The data were not checked, so wrong results went unseen."
_ROW = re.compile(r"^\s*\d+\s+\d+\s+[a-z]\w*\s", re.MULTILINE)
_STAMP = re.compile(r"\s+\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}\s*$")
_BOUNDS = re.compile(r"^#\s*Out of bounds values\s*:\s*(\S+)[ \t]*(\w*)", re.MULTILINE)
_AVERAGE = re.compile(r"^#\s*Avg bus bandwidth\s*:\s*(\S+)[ \t]*(\w*)[ \t]*\r?\n#", re.MULTILINE)
_CONCLUDED = re.compile(r"^# Collective test concluded:", re.MULTILINE)
_NAME = re.compile(r"^# Collective test starting:\s*(\S+)", re.MULTILINE)
_VERSION = re.compile(r"^# nccl-tests version\s+(\S+)", re.MULTILINE)
_TROUBLE = re.compile(
    r"^.*(?:Test (?:NCCL|CUDA) failure|Test failure|NCCL WARN|Invalid number of GPUs|# error:|MPI_ABORT).*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a row: bandwidths in GB/s, and how many elements were wrong (None: not checked)."""

    size: int
    where: str
    bus_bandwidth: float
    wrong: float | None


@dataclass(slots=True)
class _Report:
    name: str
    version: str = ""
    sides: list[_Side] = field(default_factory=list)
    average: float = math.nan
    out_of_bounds: float = math.nan
    failures: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_nccl_report(data: Body) -> tuple[str, Result]:
    """Return which collective a JSON report is of, and how it went; raises UnreadableOutput.

    FAIL: wrong elements, values out of bounds, or a bandwidth below NCCL_TESTS_MIN_BW. RETEST: errors, data
    that were not checked, and whatever the report of a whole run has and this one lacks.
    """
    if not isinstance(data.get("results"), list) or "nccl_version" not in data:
        raise UnreadableOutput("it is no report of nccl-tests")
    program = next(iter(texts(data.get("args"))), "")
    report = _Report(PurePosixPath(program).name, str(data.get("nccl_version")))
    for row in data["results"]:
        _read_row(row, report)
    bounds, average = _object(data, "out_of_bounds"), _object(data, "average_bus_bandwidth")
    report.out_of_bounds, report.average = _number(bounds.get("count")), _number(average.get("bandwidth"))
    if _is_no(bounds.get("okay")) and report.out_of_bounds == 0:
        report.failures.append("The report says that values are out of bounds.")
    if _is_no(average.get("okay")):
        report.failures.append(_too_slow(report))
    report.faults += [f"NCCL reports: {error.strip().rstrip('.')}." for error in texts(data.get("errors"))]
    if not data.get("end_time"):
        report.faults.append("The report has no end time: the run did not end by itself.")
    config = _object(data, "config")
    details = {"config": config, "rows": data["results"][:MOST_ROWS]}
    return report.name[:60], _judge(report, details)


def read_nccl_text(text: str) -> tuple[str, Result]:
    """Return which collective printed columns are of, and how it went, judged as a report is."""
    text = without_mpi_prefix(text)
    if "busbw" not in text and "nccl-tests" not in text and not _TROUBLE.search(text):
        raise UnreadableOutput("it is no output of nccl-tests")
    name, version = _NAME.search(text), _VERSION.search(text)
    report = _Report(name.group(1) if name else "", version.group(1) if version else "")
    width = 8 if "i_min" in text else 4
    counts_wrong = "#wrong" in text
    for line in text.splitlines():
        if _ROW.match(line):
            _read_columns(line, report, width=width, counts_wrong=counts_wrong)
    _read_footer(text, report)
    report.faults += [f"It printed: {found.group().strip()}" for found in _TROUBLE.finditer(text)]
    return report.name[:60], _judge(report, {})


def _read_footer(text: str, report: _Report) -> None:
    if bounds := _BOUNDS.search(text):
        report.out_of_bounds = _number(bounds.group(1))
        if bounds.group(2) == "FAILED" and report.out_of_bounds == 0:
            report.failures.append("The output says that values are out of bounds.")
    if average := _AVERAGE.search(text):
        report.average = _number(average.group(1))
        if average.group(2) == "FAILED":
            report.failures.append(_too_slow(report))
    if report.name and not _CONCLUDED.search(text):
        report.faults.append("The collective did not conclude: the output is cut.")


def _read_row(row: Any, report: _Report) -> None:
    sides = [_side(row, name) for name in SIDES] if isinstance(row, dict) else []
    found = [side for side in sides if side is not None]
    if not found:
        report.faults.append("A row of the report holds no result.")
    report.sides += found


def _side(row: Body, name: str) -> _Side | None:
    side = row.get(name)
    if not isinstance(side, dict):
        return None
    wrong = side.get("nwrong")
    size = row.get("size")
    return _Side(
        size=size if isinstance(size, int) else 0,
        where=name.replace("_", " "),
        bus_bandwidth=_number(side.get("bus_bw")),
        wrong=None if wrong is None else _number(wrong),
    )


def _read_columns(line: str, report: _Report, *, width: int, counts_wrong: bool) -> None:
    words = _STAMP.sub("", line).split()
    tail = words[-2 * width :]
    if len(words) < 3 + 2 * width or not all(_is_column(word) for word in tail):
        report.faults.append(f"A row could not be read: {line.strip()}")
        return
    for side, columns in zip(SIDES, (tail[:width], tail[width:]), strict=True):
        wrong = None if columns[3] == "N/A" else _number(columns[3]) if counts_wrong else 0.0
        report.sides.append(_Side(int(words[0]), side.replace("_", " "), _number(columns[2]), wrong))


def _is_column(word: str) -> bool:
    return word == "N/A" or not math.isnan(_number(word))


def _judge(report: _Report, details: Body) -> Result:
    failures, faults = list(report.failures), list(report.faults)
    wrong = [side for side in report.sides if side.wrong]
    failures += [f"{side.wrong:g} elements of {side.size} B {side.where} are wrong." for side in wrong]
    if report.out_of_bounds > 0:
        failures.append(f"{report.out_of_bounds:g} values are out of bounds.")
    faults += list(_what_lacks(report))
    return conclude(
        "nccl-tests",
        failures=failures,
        faults=faults,
        procedure_version=report.version[:30],
        measurements=_measurements(report),
        details=details,
    )


def _what_lacks(report: _Report) -> Iterator[str]:
    if not report.sides:
        yield "It holds no result row."
    if any(side.wrong is None for side in report.sides):
        yield UNCHECKED
    if math.isnan(report.out_of_bounds):
        yield "The count of values out of bounds is missing: the output is cut."
    if not _is_speed(report.average):
        yield "The average bus bandwidth is missing or no number: the output is cut."
    yield from (
        f"The bus bandwidth of {side.size} B {side.where} is no number."
        for side in report.sides
        if not math.isfinite(side.bus_bandwidth)
    )


def _measurements(report: _Report) -> list[Measurement]:
    measured = [measure("average bus bandwidth", report.average, unit="GB/s")]
    finite: Sequence[_Side] = [side for side in report.sides if math.isfinite(side.bus_bandwidth)]
    if finite:
        best = max(finite, key=lambda side: side.bus_bandwidth)
        peak = measure("peak bus bandwidth", best.bus_bandwidth, unit="GB/s")
        peak.step = f"{best.size} B {best.where}"
        measured.append(peak)
    wrong = sum(side.wrong for side in report.sides if side.wrong is not None)
    return [*measured, measure("wrong elements", wrong, unit="1")]


def _too_slow(report: _Report) -> str:
    return f"The average bus bandwidth of {report.average:g} GB/s is below NCCL_TESTS_MIN_BW."


def _is_speed(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _object(data: Body, name: str) -> Body:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _is_no(value: Any) -> bool:
    return value is False or value == "false"


def _number(value: Any) -> float:
    """Return a number, NaN for what is none; the report writes NaN as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan
