"""Reader of ``fio --output-format=json`` (or json+), of a local run or of a client's servers."""

import errno
import os
from collections.abc import Iterator
from typing import Any

from mes.testing.models import Measurement
from mes.testing.services import Result, measure
from mes.testing.tools.output import Body, UnreadableOutput, conclude, objects

DIRECTIONS = ("read", "write", "trim")
# What these say is wrong with the call or the host, not with the drive.
SET_UP_ERRORS = frozenset(
    {
        *(errno.EPERM, errno.ENOENT, errno.EACCES, errno.EBUSY, errno.ENODEV, errno.ENOTDIR, errno.EISDIR),
        *(errno.EINVAL, errno.EMFILE, errno.ENOSPC, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOMEM),
    }
)


def read_fio(data: Body) -> Result:
    """Judge a run by the errors of its jobs; raises UnreadableOutput for what is no output of fio.

    An error is FAIL, a wrong call or set-up RETEST, as is a job that moved nothing.
    """
    if "fio version" not in data:
        raise UnreadableOutput("it is no output of fio")
    jobs = objects(data.get("jobs")) or objects(data.get("client_stats"))
    failures: list[str] = []
    faults: list[str] = [] if jobs else ["No job ran."]
    for job in jobs:
        _judge(job, failures, faults)
    return conclude(
        "fio",
        failures=failures,
        faults=faults,
        procedure_version=str(data["fio version"])[:30],
        measurements=[row for job in jobs for row in _measurements(job)],
        details={"options": [job.get("job options") for job in jobs], "global": data.get("global options")},
    )


def _judge(job: Body, failures: list[str], faults: list[str]) -> None:
    name, error = _name(job), job.get("error")
    if not isinstance(error, int):
        faults.append(f"The job {name} does not say whether it had an error.")
    elif error:
        sentence = f"The job {name} ended with error {error} ({os.strerror(abs(error) % 4096)})."
        (faults if abs(error) in SET_UP_ERRORS else failures).append(sentence)
    if _count(job.get("total_err")):
        failures.append(f"The job {name} went on after {job['total_err']} errors.")
    if not any(_count(_direction(job, name).get("total_ios")) for name in DIRECTIONS):
        faults.append(f"The job {name} read and wrote nothing.")


def _measurements(job: Body) -> Iterator[Measurement]:
    for direction in DIRECTIONS:
        found = _direction(job, direction)
        if not _count(found.get("total_ios")):
            continue
        for name, value, unit in (
            ("bandwidth", found.get("bw_bytes"), "B/s"),
            ("operations", found.get("iops"), "1/s"),
            ("latency p99", _percentile(found), "ns"),
        ):
            if value is not None:
                row = measure(f"{direction} {name}", value, unit=unit)
                row.component = _name(job)[:120]
                yield row


def _direction(job: Body, name: str) -> Body:
    found = job.get(name)
    return found if isinstance(found, dict) else {}


def _percentile(direction: Body) -> Any:
    latency = direction.get("clat_ns")
    percentiles = latency.get("percentile") if isinstance(latency, dict) else None
    return percentiles.get("99.000000") if isinstance(percentiles, dict) else None


def _name(job: Body) -> str:
    return str(job.get("jobname") or "without a name")


def _count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
