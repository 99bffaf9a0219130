"""What speaks for and against a burn-in beside its charts: findings, excursions, results of tools, energy."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mes.burnin.models import BurnInRun, Violation
from mes.burnin.services import RunStanding, energy_of, evidence_of, find_near_misses, limits_by_kind
from mes.terminal.rack.page import bounds

SHOWN = 10
WHY = {
    "not_persistent": "outside, not long enough",
    "margin": "within 5 % of the limit",
    "closest": "closest of all trays",
}


@dataclass(frozen=True, slots=True)
class FactRow:
    """A finding or a near miss in words."""

    facts: dict[str, Any]

    @property
    def at(self) -> datetime | None:
        """Return when it was."""
        return datetime.fromisoformat(self.facts["at"]) if self.facts.get("at") else None

    @property
    def rule(self) -> str:
        """Return the rule, and the limit group where it has one."""
        word, group = self.facts["rule"].replace("_", " "), self.facts.get("group", "")
        return f"{word}: {group}" if group else word

    @property
    def value(self) -> str:
        """Return the value with its unit."""
        value = self.facts.get("value")
        return "" if value is None else f"{value:.5g} {self.facts['unit']}"

    @property
    def limit(self) -> str:
        """Return the good range and, of a limit, how many samples outside are too many."""
        good = bounds(self.facts.get("low"), self.facts.get("high"))
        if not good or not self.facts.get("window"):
            return good
        return f"{good}, {self.facts['violations']} of {self.facts['window']} are too many"

    @property
    def why(self) -> str:
        """Return what a near miss is listed for."""
        return WHY.get(self.facts.get("why", ""), "")


def read_evidence(standing: RunStanding) -> dict[str, Any]:
    """Return by name what the page shows of a run. Five queries."""
    run = standing.run
    outside = Violation.objects.filter(attempt__run=run).select_related("attempt__slot", "limit")
    outside = outside.defer("attempt__statistics")
    results = evidence_of([tray.attempt for tray in standing.trays])
    return {
        "findings": [FactRow(each) for each in run.findings],
        "near_misses": [FactRow(each) for each in _near_misses(standing)[:SHOWN]],
        "excursions": list(outside.order_by("-is_open", "-from_at", "-pk")[:SHOWN]),
        "results": [(row, datetime.fromisoformat(row["received_at"])) for row in results],
        "energy": energy_of(run),
    }


def _near_misses(standing: RunStanding) -> list[dict[str, Any]]:
    run = standing.run
    if run.state in BurnInRun.ENDED:
        return list(run.near_misses)
    return find_near_misses(standing.live, limits_by_kind(standing.limits))
