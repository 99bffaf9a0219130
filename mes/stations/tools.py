"""Tools and their calibration."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.stations.models import Calibration, Site, Station, Tool


def find_tool(*, code: str, site: Site) -> Tool | None:
    """Return the tool of a site by the code on its label, in either case of letters."""
    return Tool.objects.filter(site=site, code__iexact=code).first() if code else None


def require_tool_usable(tool: Tool) -> None:
    """Refuse with ``tool_retired`` or ``tool_overdue`` when a tool may not be used. No query."""
    _require_in_use(tool)
    due = tool.calibration_due_at
    if due is not None and due <= timezone.now():
        raise RuleViolation(
            "tool_overdue",
            f"The calibration of {tool.code} ({tool.name}) was due on {_local(due)}.",
            rule="tools are used within their calibration",
            release="Whoever calibrates tools releases it by recording its calibration.",
            next_step="Put it aside for calibration and take another one.",
            tool=tool.code,
            due_at=due,
        )


def _require_in_use(tool: Tool) -> None:
    if tool.retired_at is not None:
        raise RuleViolation(
            "tool_retired",
            f"{tool.code} ({tool.name}) was retired on {_local(tool.retired_at)}.",
            rule="retired tools are not used",
            next_step="Take another one.",
            tool=tool.code,
        )


def _local(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M")


@transaction.atomic
def bring_tool(*, tool: Tool, station: Station, by: Actor) -> Tool:
    """Note that a tool is used at a station now.

    Refuses with ``tool_overdue``, ``tool_retired`` or ``wrong_site``.
    """
    tool = locked(tool)
    if tool.site_id != station.line.site_id:
        raise RuleViolation(
            "wrong_site",
            f"{tool.code} belongs to another site than {station.code}.",
            rule="a tool is used at its site",
            next_step="Take a tool of this site.",
        )
    require_tool_usable(tool)
    changes = {"station": station, "here_since": timezone.now()}
    record(advance(tool, "tool.brought", by=by, payload={"station": station.code}, **changes))
    return tool


@transaction.atomic
def register_tool(
    *, site: Site, code: str, type: str, name: str, by: Actor, calibration_due_at: datetime | None = None
) -> Tool:
    """Register a tool, which is usable until its calibration is due. Refuses with ``tool_exists``."""
    if Tool.objects.filter(code__iexact=code).exists():
        raise RuleViolation(
            "tool_exists",
            f"There is a tool {code} already.",
            rule="a code names one tool",
            next_step="Give this tool a label of its own.",
        )
    tool = Tool.objects.create(
        site=site, code=code, type=type, name=name, calibration_due_at=calibration_due_at
    )
    payload = {"code": code, "type": type, "name": name, "calibration_due_at": calibration_due_at}
    record(advance(tool, "tool.registered", by=by, payload=payload))
    return tool


@transaction.atomic
def calibrate_tool(
    *,
    tool: Tool,
    calibrated_at: datetime,
    due_at: datetime,
    certificate: str,
    found_within_limits: bool,
    by: Actor,
) -> Calibration:
    """Record a calibration; the tool is usable until the next one is due.

    One found out of limits is an event of its own, ``tool.found_out_of_limits``: what the tool did since its
    last good calibration is in doubt. Refuses with ``tool_retired`` and ``calibration_dates``.
    """
    tool = locked(tool)
    _require_in_use(tool)
    _require_dates(tool, calibrated_at, due_at)
    good = tool.calibrations.filter(found_within_limits=True).order_by("-calibrated_at").first()
    calibration = Calibration.objects.create(
        tool=tool,
        calibrated_at=calibrated_at,
        due_at=due_at,
        certificate=certificate,
        found_within_limits=found_within_limits,
        recorded_by=by.person,
    )
    facts = {"certificate": certificate, "calibrated_at": calibrated_at, "due_at": due_at}
    events = []
    if not found_within_limits:
        doubt = {**facts, "last_good_at": good.calibrated_at if good else None}
        events.append(advance(tool, "tool.found_out_of_limits", by=by, payload=doubt))
    facts["found_within_limits"] = found_within_limits
    events.append(advance(tool, "tool.calibrated", by=by, payload=facts, calibration_due_at=due_at))
    record(*events)
    return calibration


def _require_dates(tool: Tool, calibrated_at: datetime, due_at: datetime) -> None:
    last = tool.calibrations.order_by("-calibrated_at").first()
    faults = {
        "It was calibrated in the future.": calibrated_at > timezone.now(),
        "The next calibration is due before this one.": due_at <= calibrated_at,
        "A later calibration is on record.": last is not None and last.calibrated_at >= calibrated_at,
    }
    fault = next((fault for fault, is_so in faults.items() if is_so), None)
    if fault is not None:
        raise RuleViolation(
            "calibration_dates",
            fault,
            rule="calibrations follow one another",
            next_step="Compare the dates with the certificate.",
        )


@transaction.atomic
def retire_tool(*, tool: Tool, reason: str, by: Actor) -> Tool:
    """Take a tool out of use for good. Refuses with ``tool_retired``."""
    tool = locked(tool)
    _require_in_use(tool)
    record(advance(tool, "tool.retired", by=by, payload={"reason": reason}, retired_at=timezone.now()))
    return tool
