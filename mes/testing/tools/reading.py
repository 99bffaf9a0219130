"""The door of the readers: what a stress tool printed in, its result and its output without secrets out."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

from mes.testing.models import TestRun, Tool
from mes.testing.ocp import MalformedOcpOutput, read_ocp
from mes.testing.services import Result, ocp_result
from mes.testing.tools.dcgm import read_dcgm
from mes.testing.tools.fio import read_fio
from mes.testing.tools.hpl import read_hpl
from mes.testing.tools.nccl import read_nccl_report, read_nccl_text
from mes.testing.tools.output import Body, UnreadableOutput, conclude, decode_output, find_json
from mes.testing.tools.scrubbing import scrub_data, scrub_text
from mes.testing.tools.stress_ng import load_stress_ng, read_stress_ng

__all__ = ["ToolOutput", "UnreadableOutput", "read_output"]

Outcome = TestRun.Outcome


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool printed: which of its tests (``name``, may be empty), how it went, and the text to keep."""

    tool: Tool
    name: str
    result: Result
    kept: str


def read_output(tool: Tool, content: bytes, *, exit_status: int | None = None) -> ToolOutput:
    """Read and judge the output of a tool. The outcome is PASS, FAIL or RETEST (set-up fault).

    Secrets are removed first, so nothing of what comes back holds one; an output that held none is kept as it
    came. A PASS with an exit status other than 0 is RETEST. Raises UnreadableOutput for what is no output of
    this tool, or too damaged to be read.
    """
    text = decode_output(content)
    name, result, kept = READERS[tool](text, exit_status)
    if exit_status and result.outcome == Outcome.PASS:
        result.outcome, result.status = Outcome.RETEST, TestRun.Status.ERROR
        result.reasons.append(f"Its output says PASS, but it ended with status {exit_status}.")
    result.details["exit_status"] = exit_status
    return ToolOutput(tool, name, result, kept)


Read = tuple[str, Result, str]


def _read_ocp(text: str, _exit_status: int | None) -> Read:
    lines = list(_scrubbed_lines(text))
    try:
        run = read_ocp(lines)
    except MalformedOcpOutput as error:
        raise UnreadableOutput(str(error)) from error
    result = ocp_result(run, procedure=str(Tool.OCP))
    if result.outcome not in {Outcome.PASS, Outcome.FAIL}:
        result.reasons = [f"The run is {result.outcome}.", *result.reasons]
        result.outcome = Outcome.RETEST
    kept = "\n".join(line for line in lines if not line.strip() or _is_json(line))
    return run.name[:60], result, kept


def _scrubbed_lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        try:
            data = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            yield line
            continue
        clean = scrub_data(data)
        yield line if clean == data else json.dumps(clean, ensure_ascii=False)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _read_dcgm(text: str, _exit_status: int | None) -> Read:
    if "{" not in text and "dcgm" not in text.lower() and "host engine" not in text.lower():
        raise UnreadableOutput("it is no output of dcgmi diag -j")
    if "{" not in text:
        kept = scrub_text(text)
        return "", conclude("dcgm", faults=[f"The diagnostic could not run: {kept.strip()}"]), kept
    data, kept = _scrubbed_json(text)
    return "", read_dcgm(data), kept


def _read_nccl(text: str, _exit_status: int | None) -> Read:
    if text.lstrip().startswith("{"):
        data, kept = _scrubbed_json(text)
        return *read_nccl_report(data), kept
    kept = scrub_text(text)
    return *read_nccl_text(kept), kept


def _read_hpl(text: str, _exit_status: int | None) -> Read:
    kept = scrub_text(text)
    return "", read_hpl(kept), kept


def _read_stress_ng(text: str, exit_status: int | None) -> Read:
    data = load_stress_ng(text)
    clean = scrub_data(data)
    kept = text if clean == data else yaml.safe_dump(clean, sort_keys=False, explicit_end=True)
    return "", read_stress_ng(clean, text, exit_status=exit_status), kept


def _read_fio(text: str, _exit_status: int | None) -> Read:
    data, kept = _scrubbed_json(text)
    return "", read_fio(data), kept


def _scrubbed_json(text: str) -> tuple[Body, str]:
    """Return the JSON object of an output without its secrets, and the output likewise."""
    before, data = find_json(text)
    clean, clean_before = scrub_data(data), scrub_text(before)
    if clean == data and clean_before == before:
        return data, text
    return clean, clean_before + json.dumps(clean, ensure_ascii=False, indent=1)


READERS: dict[Tool, Callable[[str, int | None], Read]] = {
    Tool.OCP: _read_ocp,
    Tool.DCGM: _read_dcgm,
    Tool.NCCL_TESTS: _read_nccl,
    Tool.HPL: _read_hpl,
    Tool.STRESS_NG: _read_stress_ng,
    Tool.FIO: _read_fio,
}
