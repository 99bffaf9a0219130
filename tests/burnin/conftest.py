"""What all burn-in tests need."""

import pytest

from mes.burnin import bmc, intents


@pytest.fixture(autouse=True)
def impatient_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a second, not eight, for a BMC that hangs; and forget the BMCs of the test before."""
    monkeypatch.setattr(intents, "SEND_SECONDS", 1.0)
    bmc.MEMORIES.clear()
