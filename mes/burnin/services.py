"""The door of burn-in: set how a BMC is reached; runs and what people do with them; their series."""

from urllib.parse import urlsplit

from django.db import transaction

from mes.burnin.acts import abort_run, is_abortable, pause_run, resume_run
from mes.burnin.archive import archive_due, archive_run
from mes.burnin.archive_reading import find_archive
from mes.burnin.bays import BayStatus, Wall, bays_of, wall_of
from mes.burnin.bmc import find_address
from mes.burnin.charts import Chart, charts_of
from mes.burnin.compaction import compact_due
from mes.burnin.comparison import compare_run, stored_comparison
from mes.burnin.energy import energy_of
from mes.burnin.judging import matches
from mes.burnin.limits import find_contradictions, kind_of, limits_by_kind, require_consistent
from mes.burnin.metering import liquid_share, set_bay_meter, set_shelf_meter
from mes.burnin.models import BmcEndpoint
from mes.burnin.near_misses import find_near_misses
from mes.burnin.phase_rules import PHASE_COLUMNS, find_phase_faults, require_sound_phases
from mes.burnin.plotting import Window
from mes.burnin.port_reading import read_ports
from mes.burnin.queueing import start_run
from mes.burnin.redfish import BmcAddress, Component, Inventory, RedfishError, read_inventories
from mes.burnin.redfish_inventory import told, told_identity
from mes.burnin.redfish_ports import PortSeen
from mes.burnin.results import evidence_of, post_result
from mes.burnin.secrets import encrypt_password
from mes.burnin.standing import Margin, RunStanding, TrayStanding, closest, read_standing, runs_of
from mes.burnin.swapping import swap_tray
from mes.burnin.telemetry import Point, Series, SeriesStatistics, read_series, read_series_of, read_statistics
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.serials.models import Unit
from mes.serials.services import lock_units

__all__ = [
    "PHASE_COLUMNS",
    "BayStatus",
    "BmcAddress",
    "Chart",
    "Component",
    "Inventory",
    "Margin",
    "Point",
    "PortSeen",
    "RedfishError",
    "RunStanding",
    "Series",
    "SeriesStatistics",
    "TrayStanding",
    "Wall",
    "Window",
    "abort_run",
    "archive_due",
    "archive_run",
    "bays_of",
    "charts_of",
    "closest",
    "compact_due",
    "compare_run",
    "energy_of",
    "evidence_of",
    "find_address",
    "find_archive",
    "find_contradictions",
    "find_near_misses",
    "find_phase_faults",
    "is_abortable",
    "kind_of",
    "limits_by_kind",
    "liquid_share",
    "matches",
    "pause_run",
    "post_result",
    "read_inventories",
    "read_ports",
    "read_series",
    "read_series_of",
    "read_standing",
    "read_statistics",
    "require_bmc_url",
    "require_consistent",
    "require_sound_phases",
    "resume_run",
    "runs_of",
    "set_bay_meter",
    "set_bmc",
    "set_shelf_meter",
    "start_run",
    "stored_comparison",
    "swap_tray",
    "told",
    "told_identity",
    "wall_of",
]


@transaction.atomic
def set_bmc(*, unit: Unit, url: str, username: str, password: str, by: Actor) -> BmcEndpoint:
    """Set where the BMC of a unit answers and how to log in; the password is stored encrypted.

    Refuses with ``bmc_url_invalid`` anything but http(s)://host[:port] without credentials in it.
    """
    require_bmc_url(url)
    unit = lock_units(unit.pk)[unit.pk]
    login = {"url": url, "username": username, "password_encrypted": encrypt_password(password)}
    endpoint, _ = BmcEndpoint.objects.update_or_create(unit=unit, defaults=login)
    record(advance(unit, "unit.bmc_set", by=by, payload={"url": url, "username": username}))
    return endpoint


def require_bmc_url(url: str) -> None:
    """Refuse with ``bmc_url_invalid`` anything but http(s)://host[:port] without credentials in it."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        valid = False
    if not valid:
        raise RuleViolation(
            "bmc_url_invalid",
            "A BMC address is http(s)://host or http(s)://host:port, without user name and password in it.",
            rule="credentials are kept apart and encrypted",
            next_step="Correct the address; give user name and password in their own fields.",
        )
