"""Reader of ``dcgmi diag -j``: "DCGM GPU Diagnostic" up to 3.x by GPU, "DCGM Diagnostic" of 4.x by entity.

Layout and words after dcgmi/Diag.cpp, nvvs/include/NvvsJsonStrings.h and dcgmlib/dcgm_errors.h of DCGM.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mes.testing.models import Diagnosis
from mes.testing.services import Result, measure
from mes.testing.tools.output import Body, UnreadableOutput, as_list, conclude, objects, texts

ROOTS = ("DCGM Diagnostic", "DCGM GPU Diagnostic")
PASSED, FAILED, WARNED = frozenset({"pass"}), frozenset({"fail"}), frozenset({"warn"})
# Of the deployment tests these say how the host is set up, not how good the GPU is.
SET_UP_TESTS = frozenset(
    {
        *("denylist", "blacklist", "nvml library", "cuda main library", "cuda toolkit library"),
        *("permissions and os blocks", "permissions and os-related blocks", "persistence mode"),
        *("environment variables", "graphics processes"),
    }
)
SEVERITY_CONFIG = 5  # DCGM_ERROR_CONFIG
TYPES = {"pass": "PASS", "warn": "PASS", "fail": "FAIL"}


@dataclass(frozen=True, slots=True)
class _Finding:
    category: str
    test: str
    component: str
    status: str
    warnings: list[str]
    severities: list[int | None]
    info: list[str]

    @property
    def where(self) -> str:
        on = f" on {self.component}" if self.component else ""
        return f"{self.test}{on}"

    @property
    def word(self) -> str:
        return self.status.strip().lower()

    @property
    def is_set_up(self) -> bool:
        """Return whether a failure of it is one of the set-up: all that DCGM says of it is configuration."""
        configured = bool(self.severities) and all(each == SEVERITY_CONFIG for each in self.severities)
        return configured or self.test.strip().lower() in SET_UP_TESTS

    def sentence(self) -> str:
        why = "; ".join(self.warnings or self.info)
        return f"{self.where} is {self.status}{f': {why}' if why else ''}".rstrip(".") + "."


@dataclass(slots=True)
class _Report:
    findings: list[_Finding] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    version: str = ""
    driver: str = ""


def read_dcgm(data: Body) -> Result:
    """Judge a diagnostic by its tests: a Fail is FAIL, but RETEST where only the set-up is at fault.

    Skip, Not Run and unknown words are RETEST, as is an output without any test; Warn is noted. Raises
    UnreadableOutput for what is no diagnostic.
    """
    report = _Report()
    if isinstance(data.get("iterations"), list):
        _read_iterations(data, report)
    else:
        _read_once(data, report)
    failures: list[str] = []
    faults, notes = report.faults, report.notes
    for finding in report.findings:
        _sort(finding, failures, faults, notes)
    if not any(finding.word in PASSED | WARNED | FAILED for finding in report.findings):
        faults.append("No test was run.")
    tested = {finding.component for finding in report.findings if finding.component}
    return conclude(
        "dcgm",
        failures=failures,
        faults=faults,
        notes=notes,
        procedure_version=report.version[:30],
        measurements=[measure("components tested", len(tested), unit="1")],
        diagnoses=[_diagnosis(finding) for finding in report.findings],
        details={"dcgm_version": report.version, "driver_version": report.driver},
    )


def _sort(finding: _Finding, failures: list[str], faults: list[str], notes: list[str]) -> None:
    if finding.word in FAILED:
        (faults if finding.is_set_up else failures).append(finding.sentence())
    elif finding.word in WARNED:
        notes.append(finding.sentence())
    elif finding.word not in PASSED:
        faults.append(finding.sentence())


def _read_iterations(data: Body, report: _Report) -> None:
    runs = objects(data["iterations"])
    if len(runs) != len(data["iterations"]) or not runs:
        report.faults.append("An iteration of the diagnostic is missing.")
    for run in runs:
        _read_once(run, report)
    if str(data.get("Overall Result", "")).lower() != "pass":
        report.faults.append(f"The iterations ended early: {data.get('warning') or 'no overall result'}.")


def _read_once(data: Body, report: _Report) -> None:
    root = next((data[name] for name in ROOTS if isinstance(data.get(name), dict)), None)
    if root is None:
        raise UnreadableOutput("it is no output of dcgmi diag -j")
    for source in (root, *objects(data.get("metadata"))):
        report.version = report.version or str(source.get("version") or "")
        driver = source.get("Driver Version Detected") or source.get("driver_version_detected")
        report.driver = report.driver or str(driver or "")
    errors = [*texts(root.get("runtime_error")), *texts(data.get("runtime_error"))]
    report.faults += [f"The diagnostic could not run: {error.strip().rstrip('.')}." for error in errors]
    for warning in (*texts(root.get("Warning")), *texts(data.get("Warning"))):
        report.notes.append(f"The diagnostic warns: {warning.strip().rstrip('.')}.")
    report.findings += _findings(root)


def _findings(root: Body) -> Iterator[_Finding]:
    for category in objects(root.get("test_categories")):
        for test in objects(category.get("tests")):
            results = objects(test.get("results"))
            yield from (_finding(category, test, result) for result in results)
            summary = test.get("test_summary")
            if isinstance(summary, dict):
                yield _finding(category, test, summary)
            elif not results:
                yield _finding(category, test, {"status": "Not Run"})


def _finding(category: Body, test: Body, result: Body) -> _Finding:
    found = [*as_list(result.get("warnings")), *as_list(result.get("warning"))]
    return _Finding(
        category=str(category.get("category") or ""),
        test=str(test.get("name") or "a test without a name"),
        component=_component(result),
        status=str(result.get("status") or "without a status"),
        warnings=[*texts(found), *(str(each.get("warning") or "") for each in objects(found))],
        severities=[_severity(each) for each in found if isinstance(each, dict)],
        info=texts(result.get("info")),
    )


def _severity(warning: Body) -> int | None:
    severity = warning.get("error_severity")
    return severity if isinstance(severity, int) else None


def _component(result: Body) -> str:
    if "entity_id" in result:
        return f"{result.get('entity_group') or 'entity'} {result['entity_id']}"
    if "cpu_id" in result:
        return f"CPU {result['cpu_id']}"
    gpu = result.get("gpu_id", result.get("gpu_ids"))
    return "" if gpu in (None, "") else f"GPU {gpu}"


def _diagnosis(finding: _Finding) -> Diagnosis:
    return Diagnosis(
        step=finding.category[:120],
        verdict=f"{finding.test}: {finding.status}"[:120],
        type=TYPES.get(finding.word, "UNKNOWN"),
        message="; ".join([*finding.warnings, *finding.info])[:2000],
        component=finding.component[:120],
    )
