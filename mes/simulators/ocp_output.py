"""What a tray tester prints: OCP Test & Validation 2.0 JSON lines."""

from datetime import UTC, datetime
from typing import Any

STEP = "0"


def tray_run(serial: str, values: list[dict[str, object]], failing: str = "") -> list[dict[str, Any]]:
    """Return the output of an L10 run; with a ``failing`` GPU, it says PASS while it holds a FAIL."""
    dut = {"dutInfoId": serial, "name": serial, "platformInfos": [], "softwareInfos": []}
    gpus = [{"hardwareInfoId": f"GPU_{number}", "name": f"GPU_{number}"} for number in range(4)]
    start = {"name": "tray_l10", "version": "1.0", "commandLine": "tray_l10", "parameters": {}}
    artifacts: list[dict[str, Any]] = [
        {"schemaVersion": {"major": 2, "minor": 0}},
        _run({"testRunStart": {**start, "dutInfo": {**dut, "hardwareInfos": gpus}}}),
        _step({"testStepStart": {"name": "stress"}}),
        *[_step({"measurement": value}) for value in values],
        *[_step({"diagnosis": _diagnosis(str(gpu["name"]), failing)}) for gpu in gpus],
        _step({"testStepEnd": {"status": "COMPLETE"}}),
        _run({"testRunEnd": {"status": "COMPLETE", "result": "PASS"}}),
    ]
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return [{**artifact, "sequenceNumber": at, "timestamp": now} for at, artifact in enumerate(artifacts)]


def _run(artifact: dict[str, Any]) -> dict[str, Any]:
    return {"testRunArtifact": artifact}


def _step(artifact: dict[str, Any]) -> dict[str, Any]:
    return {"testStepArtifact": {"testStepId": STEP, **artifact}}


def _diagnosis(gpu: str, failing: str) -> dict[str, str]:
    if gpu == failing:
        message = "uncorrectable ECC under stress"
        return {"verdict": "gpu-ecc", "type": "FAIL", "message": message, "hardwareInfoId": gpu}
    return {"verdict": "gpu-good", "type": "PASS", "hardwareInfoId": gpu}
