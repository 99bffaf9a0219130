"""The instrument of a safety test, and the calibration that is in force."""

from django.utils import timezone

from mes.electrical.models import SafetyTest
from mes.errors import RuleViolation
from mes.serials.models import Unit
from mes.stations.models import Calibration, Tool
from mes.stations.services import find_tool, require_tool_usable

# One analyser often does all three.
TYPES = {
    SafetyTest.Kind.GROUND_BOND: ("ground_bond_tester", "safety_analyzer"),
    SafetyTest.Kind.HIPOT: ("hipot_tester", "safety_analyzer"),
    SafetyTest.Kind.INSULATION: ("insulation_tester", "safety_analyzer"),
}


def require_instrument(*, code: str, unit: Unit, kind: SafetyTest.Kind) -> tuple[Tool, Calibration]:
    """Return the instrument by the code on its label, with its calibration in force.

    Refuses with ``instrument_unknown``, ``instrument_wrong_type``, ``instrument_uncalibrated``,
    ``instrument_overdue`` or ``tool_retired``.
    """
    tool = find_tool(code=code, site=unit.site)
    if tool is None:
        raise RuleViolation(
            "instrument_unknown",
            f"There is no instrument {code} at {unit.site}.",
            rule="a safety test names its instrument",
            release="Whoever keeps the tools registers it.",
            next_step="Scan the label of the instrument.",
        )
    if tool.type not in TYPES[kind]:
        raise RuleViolation(
            "instrument_wrong_type",
            f"{tool.code} is a {tool.type.replace('_', ' ')}; {kind} takes {' or '.join(TYPES[kind])}.",
            rule="a safety test is done with an instrument made for it",
            next_step="Scan the label of the right instrument.",
            tool=tool.code,
            types=TYPES[kind],
        )
    return tool, require_calibrated(tool)


def require_calibrated(tool: Tool) -> Calibration:
    """Return the calibration in force of an instrument; refuses as ``require_instrument`` does."""
    calibration = tool.calibrations.order_by("-calibrated_at", "-pk").first()
    if calibration is None:
        raise RuleViolation(
            "instrument_uncalibrated",
            f"No calibration of {tool.code} ({tool.name}) is on record.",
            rule="a safety instrument has a calibration certificate",
            release="Whoever calibrates tools records its certificate.",
            next_step="Take another instrument.",
            tool=tool.code,
        )
    if calibration.due_at <= timezone.now():
        raise RuleViolation(
            "instrument_overdue",
            f"The calibration of {tool.code} ({tool.name}) was due on"
            f" {timezone.localtime(calibration.due_at):%Y-%m-%d %H:%M}.",
            rule="instruments are used within their calibration",
            release="Whoever calibrates tools releases it by recording its calibration.",
            next_step="Put it aside for calibration and take another one.",
            tool=tool.code,
            due_at=calibration.due_at,
        )
    require_tool_usable(tool)
    return calibration
