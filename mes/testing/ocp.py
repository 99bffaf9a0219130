"""Reader of OCP Test & Validation output 2.0: JSON lines in, one judged run out.

The stream is read once; memory grows with what the result holds, not with log lines or series elements.
The pre-2.0 dialect (no schemaVersion, ``dutInfo`` an array, limits on the elements) is read and marked.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from mes.testing.ocp_validators import (
    BadArtifact,
    OcpMeasurement,
    Series,
    Verdict,
    as_object,
    count_of,
    hardware_of,
    modernise,
    objects_of,
    shown,
    text_of,
    time_of,
    validators_of,
)

__all__ = [
    "MalformedOcpOutput",
    "OcpDiagnosis",
    "OcpError",
    "OcpMeasurement",
    "OcpRun",
    "OcpStep",
    "Verdict",
    "read_ocp",
]

LONGEST_LINE = 1024 * 1024
REORDER_WINDOW = 4096

Outcome = Literal["PASS", "FAIL", "ERROR", "SKIP"]
Body = dict[str, Any]

_SEVERITIES = ("DEBUG", "INFO", "WARNING", "ERROR", "FATAL")
_RESULTS = ("PASS", "FAIL", "NOT_APPLICABLE")
_STATUSES = {"COMPLETE": "COMPLETE", "ERROR": "ERROR", "SKIP": "SKIP", "SKIPPED": "SKIP"}


class MalformedOcpOutput(ValueError):  # noqa: N818 - named for what the caller was sent
    """The output breaks the specification; ``line`` counts from 1, and is 0 for an empty output."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line


class OcpStep(NamedTuple):
    """One test step; ``status`` is COMPLETE, ERROR, SKIP or None (not ended, or an unknown word)."""

    id: str
    name: str
    status: str | None


@dataclass(slots=True)
class OcpDiagnosis:
    """A verdict on the device; ``type`` is PASS, FAIL or UNKNOWN."""

    step: str
    verdict: str
    type: str
    message: str
    hardware: str


@dataclass(slots=True)
class OcpError:
    """A software or test trouble; ``step`` is empty for one of the whole run."""

    step: str
    symptom: str
    message: str


@dataclass(slots=True)
class OcpRun:
    """One run: what was said (``status``, ``said``) and what it amounts to (``outcome``, ``reasons``).

    Times are UTC; ``ended_at`` is the latest timestamp seen. Hardware has name, location, serial,
    part_number, manufacturer, odata_id; software name, version, type; files display_name, uri, description,
    content_type, is_snapshot, step. Texts are empty where the output is silent.
    """

    name: str = ""
    version: str = ""
    command_line: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    dut_id: str = ""
    dut_name: str = ""
    hardware: list[dict[str, str]] = field(default_factory=list)
    software: list[dict[str, str]] = field(default_factory=list)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    status: str | None = None
    said: str | None = None
    outcome: Outcome = "ERROR"
    reasons: list[str] = field(default_factory=list)
    truncated: bool = False
    legacy: bool = False
    steps: list[OcpStep] = field(default_factory=list)
    measurements: list[OcpMeasurement] = field(default_factory=list)
    diagnoses: list[OcpDiagnosis] = field(default_factory=list)
    errors: list[OcpError] = field(default_factory=list)
    log_counts: dict[str, int] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    extensions: int = 0
    unknown_artifacts: int = 0


def read_ocp(lines: Iterable[str | bytes]) -> OcpRun:
    """Read the lines of one run and judge it.

    ``outcome``: a run with status ERROR is ERROR. Otherwise a said FAIL, a FAIL diagnosis or a measurement
    outside its validators makes it FAIL; a truncated output, a step with status ERROR or an end without a
    valid status and result make it ERROR; then a SKIP is SKIP, and only what is left is PASS. Each of these
    that was found is a sentence in ``reasons``.

    Raises MalformedOcpOutput for an empty output, a line that is no JSON object (a cut last line counts as
    truncation instead), a line above 1 MiB, a second run, or an artifact that breaks the specification.
    """
    reader = _Reader()
    cut: MalformedOcpOutput | None = None
    number = 0
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line:
            continue
        if cut:
            raise cut
        _refuse_long(line, number)
        try:
            artifact = _parse(line)
        except (ValueError, RecursionError) as error:
            cut = MalformedOcpOutput(number, f"not valid JSON: {shown(error)}")
        else:
            reader.take(artifact, number)
    if not reader.taken:
        raise cut or MalformedOcpOutput(number, "the output holds no artifact")
    return reader.finish(cut_at=cut.line if cut else 0)


def _refuse_long(line: str | bytes, number: int) -> None:
    size = len(line) if isinstance(line, bytes) else len(line.encode(errors="surrogatepass"))
    if size > LONGEST_LINE:
        raise MalformedOcpOutput(number, f"longer than {LONGEST_LINE} bytes")


def _parse(line: str | bytes) -> object:
    text = line.decode() if isinstance(line, bytes) else line
    parsed: object = json.loads(text.removeprefix("\ufeff"))
    return parsed


class _Sequence:
    """Watches the sequence numbers for loss, with bounded memory for lines that come out of order."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._ahead: set[int] = set()
        self._fault = ""

    def see(self, number: int) -> None:
        expected = number if self._next is None else self._next
        if number < expected or number in self._ahead:
            self._fault = self._fault or f"sequence number {number} comes twice or too late"
            return
        self._ahead.add(number)
        if len(self._ahead) > REORDER_WINDOW:
            self._fault = self._fault or f"sequence number {expected} is missing"
            expected = min(self._ahead)
        while expected in self._ahead:
            self._ahead.remove(expected)
            expected += 1
        self._next = expected

    def fault(self) -> str:
        """Say what is wrong with the numbers seen so far; empty when nothing is."""
        missing = f"sequence number {self._next} is missing" if self._ahead else ""
        return self._fault or missing


class _Reader:
    """Takes artifacts one at a time and builds the run."""

    def __init__(self) -> None:
        self.run = OcpRun()
        self.taken = 0
        self._sequence = _Sequence()
        self._at: datetime | None = None
        self._seen: set[str] = set()
        self._hardware: dict[str, str] = {}
        self._steps: dict[str, int] = {}
        self._open_steps: set[str] = set()
        self._series: dict[tuple[str, str], Series] = {}
        self._headless: set[str | tuple[str, str]] = set()
        self._failures: list[str] = []
        self._troubles: list[str] = []

    def take(self, artifact: object, line: int) -> None:
        """Take one parsed line; raises MalformedOcpOutput naming ``line``."""
        try:
            self._artifact(as_object(artifact, "the line"))
        except (BadArtifact, RecursionError) as error:
            raise MalformedOcpOutput(line, str(error)) from error
        self.taken += 1

    def finish(self, *, cut_at: int) -> OcpRun:
        """Judge what was taken; ``cut_at`` is the number of a last line that was no JSON, or 0."""
        run = self.run
        self._failures += [failure for one in self._series.values() if (failure := one.failure())]
        faults = [f"line {cut_at}, the last one, is cut"] if cut_at else []
        faults += [*self._run_faults(), *self._step_faults(), *self._series_faults()]
        run.truncated = bool(faults)
        run.outcome = self._outcome()
        run.reasons = self._failures + self._troubles + [f"The output is truncated: {one}." for one in faults]
        if run.outcome == "SKIP" and run.said == "PASS":
            run.reasons.append("The run says PASS but was skipped.")
        return run

    def _outcome(self) -> Outcome:
        if self.run.status == "ERROR":
            return "ERROR"
        if self._failures:
            return "FAIL"
        if self._troubles or self.run.truncated:
            return "ERROR"
        return "SKIP" if self.run.status == "SKIP" else "PASS"

    def _run_faults(self) -> Iterator[str]:
        if "schemaVersion" not in self._seen and not self.run.legacy:
            yield "the schemaVersion line is missing"
        yield from (f"{kind} is missing" for kind in ("testRunStart", "testRunEnd") if kind not in self._seen)
        if fault := self._sequence.fault():
            yield fault

    def _step_faults(self) -> Iterator[str]:
        for step in self._steps:
            if step in self._headless:
                yield f"step '{shown(step)}' has no testStepStart"
            if step in self._open_steps:
                yield f"step '{shown(self._step_name(step))}' never ended"

    def _series_faults(self) -> Iterator[str]:
        for key, one in self._series.items():
            name, count = shown(one.measurement.name), one.measurement.count
            if key in self._headless:
                yield f"series '{name}' has values before its start"
            if one.total is None:
                yield f"series '{name}' never ended"
            elif one.total != count:
                yield f"series '{name}' holds {count} of {one.total} values"

    def _artifact(self, artifact: Body) -> None:
        self._envelope(artifact)
        version = as_object(artifact.get("schemaVersion"), "schemaVersion")
        run_body = as_object(artifact.get("testRunArtifact"), "testRunArtifact")
        step_body = as_object(artifact.get("testStepArtifact"), "testStepArtifact")
        if version:
            self._schema_version(version)
        self._dispatch(_RUN_KINDS, "", run_body)
        if step_body:
            step = text_of(step_body, "testStepId", required=True)
            self._dispatch(_STEP_KINDS, step, {k: v for k, v in step_body.items() if k != "testStepId"})
        self.run.unknown_artifacts += not (version or run_body or step_body)

    def _envelope(self, artifact: Body) -> None:
        self._sequence.see(count_of(artifact, "sequenceNumber"))
        self._at = at = time_of(artifact.get("timestamp"))
        self.run.ended_at = max(at, self.run.ended_at or at)

    def _dispatch(self, kinds: "dict[str, _Handler]", step: str, body: Body) -> None:
        for kind, content in body.items():
            name = "measurementSeriesElement" if kind == "measurementElement" else kind
            if content is not None and name in kinds:
                fields, legacy = modernise(name, as_object(content, kind))
                self.run.legacy |= legacy or name != kind
                kinds[name](self, step, fields)
            elif content is not None:
                self.run.unknown_artifacts += 1

    def _schema_version(self, version: Body) -> None:
        major = count_of(version, "major")
        if major > 2:
            raise BadArtifact(f"schema version {major} is not supported, only 2 and its predecessor")
        self.run.legacy |= major < 2
        self._seen.add("schemaVersion")

    def _only_once(self, kind: str) -> None:
        if kind in self._seen:
            raise BadArtifact(f"a second {kind}: the output must hold one run")
        self._seen.add(kind)

    def _run_start(self, _step: str, body: Body) -> None:
        self._only_once("testRunStart")
        run = self.run
        run.started_at = self._at
        run.name = text_of(body, "name", required=True)
        run.version = text_of(body, "version")
        run.command_line = text_of(body, "commandLine")
        run.parameters = as_object(body.get("parameters"), "parameters")
        dut = body.get("dutInfo")
        run.legacy |= isinstance(dut, list)
        for one in objects_of(dut if isinstance(dut, list) else [dut or {}], "dutInfo"):
            self._dut(one)

    def _dut(self, dut: Body) -> None:
        run = self.run
        run.dut_id = run.dut_id or text_of(dut, "dutInfoId") or text_of(dut, "hostname")
        run.dut_name = run.dut_name or text_of(dut, "name") or text_of(dut, "hostname")
        for info in objects_of(dut.get("hardwareInfos") or dut.get("hardwareComponents"), "hardwareInfos"):
            hardware = hardware_of(info)
            run.hardware.append(hardware)
            self._hardware[text_of(info, "hardwareInfoId")] = hardware["name"]
        for info in objects_of(dut.get("softwareInfos"), "softwareInfos"):
            kinds = {"name": "name", "version": "version", "type": "softwareType"}
            run.software.append({key: text_of(info, theirs) for key, theirs in kinds.items()})

    def _run_end(self, _step: str, body: Body) -> None:
        self._only_once("testRunEnd")
        said = text_of(body, "result")
        self.run.said = said if said in _RESULTS else None
        self.run.status = self._status("The run", body)
        if said == "FAIL":
            self._failures.append("The run itself says FAIL.")
        elif self.run.status == "COMPLETE" and said != "PASS":
            self._troubles.append(f"The run ended COMPLETE but its result is '{shown(said)}'.")

    def _status(self, what: str, body: Body) -> str | None:
        word = text_of(body, "status")
        status = _STATUSES.get(word)
        if status is None:
            self._troubles.append(f"{what} ended with the unknown status '{shown(word)}'.")
        elif status == "ERROR":
            self._troubles.append(f"{what} ended with status ERROR.")
        return status

    def _step_name(self, step: str) -> str:
        if step not in self._steps:
            self._add_step(step, "")
            self._headless.add(step)
        return self.run.steps[self._steps[step]].name or step

    def _add_step(self, step: str, name: str) -> None:
        self._steps[step] = len(self.run.steps)
        self._open_steps.add(step)
        self.run.steps.append(OcpStep(step, name, None))

    def _step_start(self, step: str, body: Body) -> None:
        name = text_of(body, "name", required=True)
        if step not in self._steps:
            self._add_step(step, name)
        elif step in self._headless:
            self._headless.remove(step)
            index = self._steps[step]
            self.run.steps[index] = self.run.steps[index]._replace(name=name)
        else:
            raise BadArtifact(f"step {shown(step)!r} is started twice")

    def _step_end(self, step: str, body: Body) -> None:
        name = self._step_name(step)
        if step not in self._open_steps:
            raise BadArtifact(f"step {shown(step)!r} is ended twice")
        self._open_steps.remove(step)
        status = self._status(f"Step '{shown(name)}'", body)
        index = self._steps[step]
        self.run.steps[index] = self.run.steps[index]._replace(status=status)

    def _new_series(self, step: str, name: str) -> Series:
        measurement = OcpMeasurement(step=self._step_name(step), name=name)
        self.run.measurements.append(measurement)
        return Series(measurement)

    def _describe(self, series: Series, body: Body) -> None:
        series.measurement.name = text_of(body, "name", required=True)
        series.measurement.unit = text_of(body, "unit")
        series.measurement.hardware = self._hardware_name(body)

    def _hardware_name(self, body: Body) -> str:
        found = body.get("hardwareInfoId")
        ids = found if isinstance(found, list) else [found]
        return ", ".join(name for one in ids if (name := self._hardware.get(str(one), "")))

    def _measurement(self, step: str, body: Body) -> None:
        single = self._new_series(step, "")
        self._describe(single, body)
        single.add(body.get("value"), own=validators_of(body))
        if failure := single.failure():
            self._failures.append(failure)

    def _series_of(self, step: str, body: Body) -> Series:
        key = (step, text_of(body, "measurementSeriesId", required=True))
        if key not in self._series:
            self._series[key] = self._new_series(step, key[1])
            self._headless.add(key)
        return self._series[key]

    def _series_start(self, step: str, body: Body) -> None:
        key = (step, text_of(body, "measurementSeriesId", required=True))
        if key in self._series and key not in self._headless:
            raise BadArtifact(f"series {shown(key[1])!r} is started twice")
        series = self._series_of(step, body)
        self._describe(series, body)
        series.hold_to(validators_of(body))
        if not series.measurement.count:
            self._headless.discard(key)

    def _series_element(self, step: str, body: Body) -> None:
        series = self._series_of(step, body)
        series.add(body.get("value"), index=count_of(body, "index"), own=validators_of(body))

    def _series_end(self, step: str, body: Body) -> None:
        series = self._series_of(step, body)
        if series.total is not None:
            raise BadArtifact(f"series {shown(series.measurement.name)!r} is ended twice")
        series.total = count_of(body, "totalCount")

    def _diagnosis(self, step: str, body: Body) -> None:
        found = OcpDiagnosis(
            step=self._step_name(step),
            verdict=text_of(body, "verdict", required=True),
            type=text_of(body, "type", required=True),
            message=text_of(body, "message"),
            hardware=self._hardware_name(body),
        )
        if found.type not in ("PASS", "FAIL", "UNKNOWN"):
            raise BadArtifact(f"unknown diagnosis type {shown(found.type)!r}")
        self.run.diagnoses.append(found)
        if found.type == "FAIL":
            on = f" on {shown(found.hardware)}" if found.hardware else ""
            message = f": {shown(found.message)}" if found.message else ""
            where = f"Step '{shown(found.step)}'"
            self._failures.append(f"{where}: diagnosis '{shown(found.verdict)}'{on} is FAIL{message}.")

    def _error(self, step: str, body: Body) -> None:
        name = self._step_name(step) if step else ""
        symptom = text_of(body, "symptom", required=True)
        self.run.errors.append(OcpError(step=name, symptom=symptom, message=text_of(body, "message")))

    def _log(self, _step: str, body: Body) -> None:
        word = text_of(body, "severity")
        severity = word if word in _SEVERITIES else "UNKNOWN"
        self.run.log_counts[severity] = self.run.log_counts.get(severity, 0) + 1

    def _file(self, step: str, body: Body) -> None:
        self.run.files.append(
            {
                "display_name": text_of(body, "displayName", required=True),
                "uri": text_of(body, "uri", required=True),
                "description": text_of(body, "description"),
                "content_type": text_of(body, "contentType"),
                "is_snapshot": bool(body.get("isSnapshot")),
                "step": self._step_name(step),
            }
        )

    def _extension(self, _step: str, _body: Body) -> None:
        self.run.extensions += 1


_Handler = Callable[[_Reader, str, Body], None]
_RUN_KINDS: dict[str, _Handler] = {
    "testRunStart": _Reader._run_start,
    "testRunEnd": _Reader._run_end,
    "log": _Reader._log,
    "error": _Reader._error,
}
_STEP_KINDS: dict[str, _Handler] = {
    "testStepStart": _Reader._step_start,
    "testStepEnd": _Reader._step_end,
    "measurement": _Reader._measurement,
    "measurementSeriesStart": _Reader._series_start,
    "measurementSeriesElement": _Reader._series_element,
    "measurementSeriesEnd": _Reader._series_end,
    "diagnosis": _Reader._diagnosis,
    "error": _Reader._error,
    "file": _Reader._file,
    "log": _Reader._log,
    "extension": _Reader._extension,
}
