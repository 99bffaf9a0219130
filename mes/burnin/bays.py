"""Bays: racks wait until one has the power, the coolant and the place for them, the oldest first."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Count, Prefetch, Q, QuerySet

from mes.burnin.models import BurnInAttempt, BurnInBay, BurnInProfile, BurnInRun
from mes.errors import RuleViolation
from mes.serials.models import Unit
from mes.stations.models import Site

State = BurnInRun.State
STANDING = "standing"


@dataclass(frozen=True, slots=True)
class Load:
    """How much of a bay the racks in it take: places, kW and L/min."""

    positions: int
    power_kw: float
    coolant_lpm: float


@dataclass(slots=True)
class BayStatus:
    """A bay with the runs that stand in it, oldest first, and what they take of it."""

    bay: BurnInBay
    runs: list[BurnInRun]
    taken: Load = field(init=False)

    def __post_init__(self) -> None:
        self.taken = _load(self.runs)

    @property
    def free(self) -> Load:
        """Return what is left; never less than nothing, though a bay be made smaller under its racks."""
        bay, taken = self.bay, self.taken
        return Load(
            max(0, bay.positions - taken.positions),
            max(0.0, bay.power_kw - taken.power_kw),
            max(0.0, bay.coolant_lpm - taken.coolant_lpm),
        )

    def takes(self, profile: BurnInProfile) -> bool:
        """Return whether a rack can be put in now."""
        need, free = need_of(profile), self.free
        fits = need.power_kw <= free.power_kw and need.coolant_lpm <= free.coolant_lpm
        return self.bay.is_open and free.positions >= 1 and fits


@dataclass(frozen=True, slots=True)
class Wall:
    """Every burn-in that goes on: bay by bay, those that need no bay, and those that wait, oldest first."""

    bays: list[BayStatus]
    elsewhere: list[BurnInRun]
    waiting: list[BurnInRun]


def wall_of(site: Site | None) -> Wall:
    """Return what is burned in at a site, or at all; four queries.

    Each run has the numbers of its ``trays``, and of those that are ``suspect`` and ``failed``.
    """
    runs = _running() if site is None else _running().filter(unit__site=site)
    elsewhere = runs.filter(bay=None).exclude(state=State.QUEUED)
    return Wall(bays_of(site), list(elsewhere), list(runs.filter(state=State.QUEUED)))


def _running() -> QuerySet[BurnInRun]:
    tray = BurnInAttempt.State
    counts = {
        "trays": Count("attempts", filter=~Q(attempts__state=tray.SUPERSEDED)),
        "suspect": Count("attempts", filter=Q(attempts__state=tray.SUSPECT)),
        "failed": Count("attempts", filter=Q(attempts__state=tray.FAILED)),
    }
    runs = BurnInRun.objects.exclude(state__in=BurnInRun.ENDED).select_related(
        "unit", "profile", "bay", "retest_of"
    )
    return runs.annotate(**counts).order_by("pk")


def need_of(profile: BurnInProfile) -> Load:
    """Return what one rack takes of a bay."""
    return Load(1, profile.power_kw or 0.0, profile.coolant_lpm or 0.0)


def needs_bay(profile: BurnInProfile) -> bool:
    """Return whether runs of a profile wait for a bay: those that say what power a rack draws do."""
    return profile.power_kw is not None


def bays_of(site: Site | None) -> list[BayStatus]:
    """Return the bays of a site, or of all, with what stands in them; two queries."""
    standing = Prefetch("runs", _running().exclude(state=State.QUEUED), to_attr=STANDING)
    bays = BurnInBay.objects.select_related("site").prefetch_related(standing)
    found = bays if site is None else bays.filter(site=site)
    return [BayStatus(bay, getattr(bay, STANDING)) for bay in found]


def require_bay(bay: BurnInBay, unit: Unit, profile: BurnInProfile) -> None:
    """Refuse with ``bay_elsewhere`` or ``bay_too_small`` a bay that the rack could wait for in vain."""
    if bay.site_id != unit.site_id:
        raise RuleViolation(
            "bay_elsewhere",
            f"Bay {bay} is at another site than {unit.serial}.",
            rule="a rack is burned in where it stands",
            next_step="Choose a bay of its site.",
        )
    if not _is_large_enough(bay, profile):
        raise RuleViolation(
            "bay_too_small",
            f"Bay {bay} gives {_said(bay.power_kw, bay.coolant_lpm)}; {profile} needs {_needed(profile)}.",
            rule="a bay gives a rack all the power and coolant it takes",
            next_step="Choose a larger bay, or none to take the first that fits.",
            bay=bay.code,
        )


def find_bay(run: BurnInRun) -> BurnInBay | str:
    """Return the bay that a queued run gets now, locked, or in words what it waits for.

    Call it in the transaction that gives the bay away: rivals for the bays of a site pass one by one. A rack
    gets a bay only when no older one waits that could use it, so that a large one is not passed for ever.
    """
    lock_bays(run.unit.site)
    wanted = [each for each in bays_of(run.unit.site) if run.bay_id in {None, each.bay.pk}]
    large = [each for each in wanted if _is_large_enough(each.bay, run.profile)]
    older = _older(run)
    reserved = {each.bay.pk: rival for each in large if (rival := _rival(each.bay, older))}
    for each in large:
        if each.takes(run.profile) and each.bay.pk not in reserved:
            return each.bay
    return _why_not(run, large, reserved)


def lock_bays(site: Site) -> None:
    """Lock the bays of a site."""
    list(BurnInBay.objects.select_for_update().filter(site=site).order_by("pk"))


def _older(run: BurnInRun) -> list[BurnInRun]:
    rows = BurnInRun.objects.filter(state=State.QUEUED, unit__site=run.unit.site_id, pk__lt=run.pk)
    return [each for each in rows.select_related("unit", "profile").order_by("pk") if needs_bay(each.profile)]


def _rival(bay: BurnInBay, older: Iterable[BurnInRun]) -> BurnInRun | None:
    fitting = (run for run in older if run.bay_id in {None, bay.pk} and _is_large_enough(bay, run.profile))
    return next(fitting, None) if bay.is_open else None


def _why_not(run: BurnInRun, large: list[BayStatus], reserved: dict[int, BurnInRun]) -> str:
    needed = _needed(run.profile)
    if not large:
        return f"a bay: none at {run.unit.site.code} gives {needed}"
    return f"a bay with {needed}: " + ", ".join(_state_of(each, run, reserved) for each in large)


def _state_of(each: BayStatus, run: BurnInRun, reserved: dict[int, BurnInRun]) -> str:
    bay, free = each.bay, each.free
    if not bay.is_open:
        return f"{bay} is closed"
    if each.takes(run.profile):
        return f"{bay} is kept for {reserved[bay.pk].unit.serial}"
    if not free.positions:
        return f"{bay} is full"
    return f"{bay} has {_said(free.power_kw, free.coolant_lpm)} free"


def _is_large_enough(bay: BurnInBay, profile: BurnInProfile) -> bool:
    need = need_of(profile)
    return need.power_kw <= bay.power_kw and need.coolant_lpm <= bay.coolant_lpm


def _load(runs: Iterable[BurnInRun]) -> Load:
    needs = [need_of(run.profile) for run in runs]
    return Load(len(needs), sum(need.power_kw for need in needs), sum(need.coolant_lpm for need in needs))


def _needed(profile: BurnInProfile) -> str:
    need = need_of(profile)
    return _said(need.power_kw, need.coolant_lpm)


def _said(power_kw: float, coolant_lpm: float) -> str:
    return f"{power_kw:g} kW and {coolant_lpm:g} L/min" if coolant_lpm else f"{power_kw:g} kW"
