"""Reader of HPL's output (testing/ptest/HPL_pddriver.c and HPL_pdtest.c), NVIDIA's builds included."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mes.testing.models import Measurement
from mes.testing.services import Result, measure
from mes.testing.tools.output import UnreadableOutput, conclude, without_mpi_prefix

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_ROW = re.compile(
    rf"^(?P<variant>W[A-Z0-9]{{2,11}})\s+(?P<n>\d+)\s+(?P<nb>\d+)\s+(?P<p>\d+)\s+(?P<q>\d+)"
    rf"\s+(?P<time>{_NUMBER})\s+(?P<gflops>{_NUMBER})(?=\s|$)",
    re.MULTILINE | re.IGNORECASE,
)
_RESIDUAL = re.compile(
    r"^\s*\|\|Ax-b\|\|.*?=\s*(?P<value>\S+)\s*\.{3,}\s*(?P<verdict>PASSED|FAILED)", re.MULTILINE
)
_FINISHED = re.compile(r"^\s*Finished\s+(\d+)\s+tests with the following results", re.MULTILINE)
_COUNTS = {
    "passed": re.compile(r"^\s*(\d+)\s+tests completed and passed residual checks", re.MULTILINE),
    "failed": re.compile(r"^\s*(\d+)\s+tests completed and failed residual checks", re.MULTILINE),
    "unchecked": re.compile(r"^\s*(\d+)\s+tests completed without checking", re.MULTILINE),
    "skipped": re.compile(r"^\s*(\d+)\s+tests skipped because of illegal input values", re.MULTILINE),
}
_END = re.compile(r"^\s*End of Tests\.", re.MULTILINE)
_ERROR = re.compile(r"HPL ERROR from process #\s*\d+,[^\n]*\n(?:\s*>+\s*(?P<why>[^<\n]*))?")


@dataclass(frozen=True, slots=True)
class _Test:
    variant: str
    n: int
    seconds: float
    gflops: float


def read_hpl(text: str) -> Result:
    """Judge HPL.out by its residual checks and its summary; raises UnreadableOutput for what is none.

    A failed check is FAIL. RETEST: tests skipped for illegal input or run without checks, errors HPL prints,
    and a summary that is missing or does not fit the tests above it.
    """
    text = without_mpi_prefix(text)
    if "HPL" not in text or not (_ROW.search(text) or _ERROR.search(text) or "T/V" in text):
        raise UnreadableOutput("it is no output of HPL")
    tests = [
        _Test(row["variant"], int(row["n"]), float(row["time"]), float(row["gflops"]))
        for row in _ROW.finditer(text)
    ]
    residuals = [found["verdict"] for found in _RESIDUAL.finditer(text)]
    counts = {name: _count(pattern, text) for name, pattern in _COUNTS.items()}
    failures = [f"{n} residual checks FAILED." for n in (residuals.count("FAILED"),) if n]
    failures += [f"{n} tests failed their residual checks." for n in (counts["failed"],) if n]
    faults = [f"HPL reports: {(found['why'] or found.group()).strip()}" for found in _ERROR.finditer(text)]
    faults += list(_what_lacks(text, tests, residuals.count("PASSED"), counts))
    return conclude("hpl", failures=failures, faults=faults, measurements=_measurements(tests, counts))


def _count(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(found.group(1)[:9]) if found else None


def _what_lacks(text: str, tests: list[_Test], passed: int, counts: dict[str, int | None]) -> Iterator[str]:
    if counts["skipped"]:
        yield f"{counts['skipped']} tests were skipped because of illegal input values."
    if counts["unchecked"]:
        yield f"{counts['unchecked']} tests were not checked: HPL.dat switches the residual checks off."
    finished = _count(_FINISHED, text)
    if finished is None or counts["passed"] is None or counts["failed"] is None or not _END.search(text):
        yield "The summary at the end is missing: the output is cut."
    elif not finished or counts["passed"] != finished or len(tests) != finished or passed < finished:
        yield (
            f"The summary does not fit: {finished} tests finished, {counts['passed']} passed, "
            f"{len(tests)} results and {passed} passed residual checks are printed."
        )
    if any(not (math.isfinite(test.gflops) and test.gflops > 0) for test in tests):
        yield "A test has no speed."


def _measurements(tests: list[_Test], counts: dict[str, int | None]) -> list[Measurement]:
    measured = [measure("tests passed", counts["passed"] or 0, unit="1")]
    if tests:
        best = max(tests, key=lambda test: test.gflops if math.isfinite(test.gflops) else -math.inf)
        speed = measure("speed", best.gflops, unit="GFLOPS")
        speed.step = f"{best.variant} N={best.n}"
        measured += [speed, measure("time", best.seconds, unit="s")]
    return measured
