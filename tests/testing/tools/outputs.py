"""Small outputs of stress tools, made up, in the layouts that the tools write."""

import json
from typing import Any

from mes.testing.models import Tool

SECRET = "x7Qp-not-to-be-kept"  # what must be nowhere afterwards
ENV = [f"HF_TOKEN={SECRET}", "PATH=/usr/bin", f"AWS_SESSION={SECRET} {SECRET}"]


def dcgm3(*statuses: str, test: str = "PCIe", **result: Any) -> dict[str, Any]:
    """Return a diagnostic as DCGM 3.x writes it, with one GPU per status."""
    results = [{"gpu_id": str(gpu), "status": status, **result} for gpu, status in enumerate(statuses)]
    deployment = {"name": "NVML Library", "results": [{"gpu_ids": "0,1", "status": "Pass"}]}
    categories = [
        {"category": "Deployment", "tests": [deployment]},
        {"category": "Integration", "tests": [{"name": test, "results": results}]},
    ]
    return {"DCGM GPU Diagnostic": {"test_categories": categories, "version": "3.3.9"}}


def dcgm4(*statuses: str, summary: str = "Pass", test: str = "memory", **result: Any) -> dict[str, Any]:
    """Return a diagnostic as DCGM 4.x writes it, with one GPU per status."""
    results = [
        {"entity_group": "GPU", "entity_group_id": 1, "entity_id": gpu, "status": status, **result}
        for gpu, status in enumerate(statuses)
    ]
    tests = [{"name": test, "results": results, "test_summary": {"status": summary}}, None]
    return {
        "DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": tests}]},
        "entity_groups": [{"entity_group": "GPU", "entity_group_id": 1, "entities": []}],
        "metadata": {"version": "4.4.1", "Driver Version Detected": "580.1"},
    }


def nccl(**changes: Any) -> dict[str, Any]:
    """Return a report as nccl-tests write it; ``nwrong`` and ``bus_bw`` change every row."""
    wrong, speed = changes.pop("nwrong", 0.0), changes.pop("bus_bw", 401.5)
    side = {"time": 120.5, "alg_bw": 210.0, "bus_bw": speed, "nwrong": wrong}
    row = {"count": 4, "type": "float", "redop": "sum", "root": "    -1", "in_place": side}
    report = {
        "version": 2,
        "args": ["/opt/nccl-tests/build/all_reduce_perf", "-b", "1G"],
        "env": ENV,
        "nccl_version": 22907,
        "config": {"nthreads": 1, "ngpus": 4, "validation": 1, "devices": []},
        "results": [{"size": size, **row, "out_of_place": side} for size in (1024, 4096)],
        "out_of_bounds": {"count": 0, "okay": "true"},
        "average_bus_bandwidth": {"bandwidth": 398.25, "okay": "unchecked"},
        "errors": [],
        "end_time": "2026-01-05 06:00:00",
    }
    return {**report, **changes}


def nccl_text(wrong: str = "0", bounds: str = "0 OK", average: str = "398.25 ") -> str:
    """Return what nccl-tests print, one row of each size."""
    rows = "".join(
        f"{size:12d} {size // 4:12d}     float     sum      -1    120.5  210.00  401.50  {wrong:>6}"
        f"    121.0  209.00  400.25  {wrong:>6}\n"
        for size in (1024, 4096)
    )
    return (
        "# nccl-tests version 2.17.1 nccl-headers=22800 nccl-library=22800\n"
        "# Collective test starting: all_reduce_perf\n"
        "#       size         count      type   redop    root     time   algbw   busbw  #wrong\n"
        f"{rows}# Out of bounds values : {bounds}\n# Avg bus bandwidth    : {average}\n#\n"
        "# Collective test concluded: all_reduce_perf\n"
    )


def hpl(
    verdict: str = "PASSED", *, passed: int = 1, failed: int = 0, skipped: int = 0, speed: str = "8.5e+04"
) -> str:
    """Return what HPL prints about one test."""
    line = "=" * 40
    return (
        f"{line}\nHPLinpack 2.3  --  High-Performance Linpack benchmark\n{line}\n"
        "T/V                N    NB     P     Q               Time                 Gflops\n"
        f"WR11C2R4       19000   192     2     2             513.92             {speed}\n"
        f"||Ax-b||_oo/(eps*(||A||_oo*||x||_oo+||b||_oo)*N)=   4.8e-03 ...... {verdict}\n{line}\n\n"
        f"Finished      {passed + failed + skipped} tests with the following results:\n"
        f"              {passed} tests completed and passed residual checks,\n"
        f"              {failed} tests completed and failed residual checks,\n"
        f"              {skipped} tests skipped because of illegal input values.\n\nEnd of Tests.\n{line}\n"
    )


def stress_ng(ops: int = 2500) -> str:
    """Return the YAML of stress-ng for one stressor."""
    return (
        "---\nsystem-info:\n      stress-ng-version: 0.17.0\n      hostname: demo\n\n"
        f"metrics:\n    - stressor: cpu\n      bogo-ops: {ops}\n"
        "      bogo-ops-per-second-real-time: 500.5\n      wall-clock-time: 5.0\n\n...\n"
    )


def fio(error: int = 0, *, ios: int = 900, **job: Any) -> dict[str, Any]:
    """Return the JSON of fio for one job that reads."""
    read = {
        "bw_bytes": 4_000_000,
        "iops": 1000.5,
        "total_ios": ios,
        "clat_ns": {"percentile": {"99.000000": 9}},
    }
    jobs = [{"jobname": "soak", "error": error, "job options": {"rw": "read"}, "read": read, **job}]
    return {"fio version": "fio-3.36", "jobs": jobs}


def ocp(result: str = "PASS", status: str = "COMPLETE", **start: Any) -> str:
    """Return the lines of an OCP run without steps."""
    dut = {"dutInfoId": "d", "hardwareInfos": [], "softwareInfos": []}
    begin = {"name": "gpu_soak", "version": "1", "commandLine": "soak", "parameters": {}, "dutInfo": dut}
    artifacts: list[dict[str, Any]] = [
        {"schemaVersion": {"major": 2, "minor": 0}},
        {"testRunArtifact": {"testRunStart": {**begin, **start}}},
        {"testRunArtifact": {"testRunEnd": {"status": status, "result": result}}},
    ]
    stamp = "2026-01-05T06:00:00Z"
    rows = ({**each, "sequenceNumber": n, "timestamp": stamp} for n, each in enumerate(artifacts))
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def text(output: Any) -> bytes:
    """Return an output as the tool writes it."""
    return (output if isinstance(output, str) else json.dumps(output, indent=2)).encode()


PASSES: dict[Tool, list[bytes]] = {
    Tool.OCP: [text(ocp())],
    Tool.DCGM: [text(dcgm3("Pass", "Pass")), text(dcgm4("Pass", "Pass"))],
    Tool.NCCL_TESTS: [text(nccl()), text(nccl_text())],
    Tool.HPL: [text(hpl())],
    Tool.STRESS_NG: [text(stress_ng())],
    Tool.FIO: [text(fio())],
}
