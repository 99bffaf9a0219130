"""Where the shared sample data lies, for tests that read real captures."""

from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"


def sample(name: str) -> Path:
    """Return the path of a shared sample, or skip the calling test where it is absent."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"shared sample {name} is not on this machine")
    return path
