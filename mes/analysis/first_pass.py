"""First-pass yield, quality ratio, rolled throughput yield, rework and scrap.

After ISO 22400-2:2014, "Key performance indicators for manufacturing operations management":

- *First pass yield* (FPY): good parts of the first run / inspected parts. Here: of the units whose first
  conclusive result at a step falls into the window, those for which it was PASS.
- *Quality ratio*: good quantity / produced quantity. Here: of the same units, those whose latest conclusive
  result at the step is PASS.
- *Rework ratio*: rework quantity / produced quantity. Here: of the units in the window, those for which a
  rework or repair was decided.
- *Scrap ratio*: scrap quantity / produced quantity. Here: of the units in the window, those scrapped.

The standard's fall-off ratio relates scrap to what the first operation of a sequence produced; it is the
scrap ratio of a question narrowed to that operation. Rolled throughput yield is no indicator of the standard;
it is the product of the first pass yields of a route, the usual reading in quality engineering.

PASS and FAIL are conclusive. RETEST (a set-up fault), ERROR and SKIP say nothing about the unit: they are
counted apart, never as a pass and never as a failure. A superseded run was an attempt all the same. A unit
that passed after nothing but retests passed at first; `without_retest` is the stricter share, without those.
Tests of rework routes are no first attempts. A ratio of nothing is None: neither 0 nor 100 %.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models import IntegerField as Int

from mes.analysis.scope import CONCLUSIVE, By, Outcome, Scope, code_of, grouped_by, same_step
from mes.products.models import Gate, Route
from mes.quality.models import Disposition
from mes.serials.models import Unit
from mes.testing.models import TestRun

INCONCLUSIVE = (Outcome.RETEST, Outcome.ERROR, Outcome.SKIP)
Key = tuple[Any, ...]


def ratio(part: int, whole: int) -> float | None:
    """Return a share, or None of nothing."""
    return part / whole if whole else None


@dataclass(slots=True)
class Yield:
    """The first-pass numbers of one group."""

    key: dict[str, Any]
    inspected: int = 0
    first_pass: int = 0
    without_retest: int = 0
    good: int = 0
    runs: int = 0
    failures: int = 0
    retests: int = 0
    errors: int = 0
    skips: int = 0
    first_pass_yield: float | None = field(init=False, default=None)
    without_retest_yield: float | None = field(init=False, default=None)
    quality_ratio: float | None = field(init=False, default=None)

    def rated(self) -> "Yield":
        """Return itself with its ratios."""
        self.first_pass_yield = ratio(self.first_pass, self.inspected)
        self.without_retest_yield = ratio(self.without_retest, self.inspected)
        self.quality_ratio = ratio(self.good, self.inspected)
        return self

    def flat(self) -> dict[str, Any]:
        """Return key and numbers as one row of a table."""
        numbers = asdict(self)
        return {**numbers.pop("key"), **numbers}


def first_attempts(scope: Scope) -> QuerySet[TestRun]:
    """Return the first conclusive run of each unit at each step, if it is within the scope.

    The first one is looked for in the whole history of the unit, not only in the window.
    """
    earlier = same_step(before=True).filter(outcome__in=CONCLUSIVE)
    conclusive = scope.runs().filter(outcome__in=CONCLUSIVE)
    return conclusive.exclude(operation__route__kind=Route.Kind.REWORK).filter(~Exists(earlier))


def judged(attempts: QuerySet[TestRun]) -> QuerySet[TestRun]:
    """Say of each first attempt whether a retest came before it, and how the step ended."""
    retested = same_step(before=True).filter(outcome__in=INCONCLUSIVE)
    later = same_step(before=False).filter(outcome__in=CONCLUSIVE).order_by("-pk").values("outcome")[:1]
    return attempts.annotate(
        retested=Case(When(Exists(retested), then=1), default=0, output_field=Int()),
        last=Subquery(later),
    )


PASSED = Q(outcome=Outcome.PASS)
GOOD = Q(last=Outcome.PASS) | Q(last__isnull=True, outcome=Outcome.PASS)


def first_pass(scope: Scope, by: By) -> list[Yield]:
    """Return the first-pass numbers of each group, in the order of its key; 2 queries (4 with shifts)."""
    attempts, columns = grouped_by(judged(first_attempts(scope)), by)
    names = list(columns.values())
    found: dict[Key, Yield] = {}
    counted = (
        attempts.order_by()
        .values_list(*names)
        .annotate(
            n_inspected=Count("pk"),
            n_first=Count("pk", filter=PASSED),
            n_clean=Count("pk", filter=PASSED & Q(retested=0)),
            n_good=Count("pk", filter=GOOD),
        )
    )
    for *key, inspected, passed, clean, good in counted:
        found[tuple(key)] = Yield(dict(zip(columns, key, strict=True)), inspected, passed, clean, good)
    runs, _ = grouped_by(scope.runs(), by)
    tallied = (
        runs.order_by()
        .values_list(*names)
        .annotate(
            n_runs=Count("pk"),
            **{f"n_{name}": Count("pk", filter=Q(outcome=name)) for name in (Outcome.FAIL, *INCONCLUSIVE)},
        )
    )
    for *key, total, failures, retests, errors, skips in tallied:
        row = found.setdefault(tuple(key), Yield(dict(zip(columns, key, strict=True))))
        row.runs, row.failures, row.retests, row.errors, row.skips = total, failures, retests, errors, skips
    return [found[key].rated() for key in sorted(found, key=_sortable)]


def _sortable(key: Key) -> list[tuple[bool, Any]]:
    return [(value is None, value if value is not None else 0) for value in key]


@dataclass(frozen=True, slots=True)
class Step:
    """A test that an operation of a route asks for, with its first-pass numbers."""

    sequence: int
    operation: str
    procedure: str
    required: bool
    inspected: int
    first_pass: int
    first_pass_yield: float | None


@dataclass(frozen=True, slots=True)
class Rolled:
    """The rolled throughput yield of a route; None while a required test was not measured."""

    part: str
    route: str
    steps: list[Step]
    rolled_throughput_yield: float | None


def rolled(scope: Scope) -> list[Rolled]:
    """Return the rolled throughput yield of every build route with first attempts in the scope; 2 queries.

    An optional or conditional operation that nobody came to is left out; any other test that was not
    measured makes the product unknown.
    """
    counted = (
        first_attempts(scope)
        .filter(operation__isnull=False)
        .order_by()
        .values_list("operation__route", "operation", "procedure")
        .annotate(n_inspected=Count("pk"), n_first=Count("pk", filter=PASSED))
    )
    counts = {(operation, procedure): numbers for _, operation, procedure, *numbers in counted}
    routes = {route for route, *_ in counted}
    gates = Gate.objects.filter(operation__route__in=routes, rule=Gate.Rule.TEST_PASSED)
    gates = gates.select_related("operation__route__part").order_by(
        "operation__route__part__number", "operation__route__version", "operation__sequence", "procedure"
    )
    found: dict[tuple[str, str], dict[tuple[str, str], Step]] = {}
    for gate in gates:
        operation, route = gate.operation, gate.operation.route
        inspected, passed = counts.get((operation.pk, gate.procedure), (0, 0))
        required = not (operation.optional or operation.applies_when)
        step = Step(
            operation.sequence,
            operation.code,
            gate.procedure,
            required,
            inspected,
            passed,
            ratio(passed, inspected),
        )
        found.setdefault((route.part.number, route.version), {})[operation.code, gate.procedure] = step
    return [
        Rolled(part, route, list(steps.values()), product(steps.values()))
        for (part, route), steps in found.items()
    ]


def product(steps: Iterable[Step]) -> float | None:
    """Return the product of first pass yields; None when one of them is unknown or there is none."""
    counted = [step for step in steps if step.required or step.inspected]
    yields = [step.first_pass_yield for step in counted if step.first_pass_yield is not None]
    return prod(yields) if counted and len(yields) == len(counted) else None


@dataclass(frozen=True, slots=True)
class Rework:
    """What became of the units with a first attempt in the scope."""

    units: int
    reworked: int
    scrapped: int
    retests: int
    rework_ratio: float | None
    scrap_ratio: float | None
    retests_per_unit: float | None


def rework(scope: Scope) -> Rework:
    """Return how many of the units in the scope were reworked, scrapped and retested; 2 queries."""
    decided = Disposition.objects.filter(
        nonconformance__unit=OuterRef("pk"), kind__in=(Disposition.Kind.REWORK, Disposition.Kind.REPAIR)
    )
    units = Unit.objects.filter(pk__in=first_attempts(scope).order_by().values("unit"))
    reworked = Case(When(Exists(decided), then=Value(1)), default=Value(0), output_field=Int())
    numbers = units.annotate(reworked=reworked).aggregate(
        units=Count("pk"),
        n_reworked=Count("pk", filter=Q(reworked=1)),
        n_scrapped=Count("pk", filter=Q(state=Unit.State.SCRAPPED)),
    )
    whole, mended, lost = numbers["units"], numbers["n_reworked"], numbers["n_scrapped"]
    retests = scope.runs().filter(outcome=Outcome.RETEST).count()
    return Rework(
        whole, mended, lost, retests, ratio(mended, whole), ratio(lost, whole), ratio(retests, whole)
    )


@dataclass(frozen=True, slots=True)
class Repeated:
    """A unit that was tested more than once at a step: "test it until it works" hides bad units."""

    uid: str
    serial: str
    part: str
    operation: str
    procedure: str
    runs: int
    failures: int
    retests: int
    errors: int
    last: str


def most_repeated(scope: Scope, limit: int = 50) -> list[Repeated]:
    """Return the units tested most often at one step within the scope, with what came of it; 1 query."""
    latest = TestRun.objects.filter(unit=OuterRef("unit"), procedure=OuterRef("procedure"))
    latest = latest.alias(step=code_of()).filter(step=OuterRef("step")).order_by("-pk")
    rows = (
        scope.runs()
        .annotate(step=code_of())
        .order_by()
        .values("unit__uid", "unit__serial", "unit__part_revision__part__number", "step", "procedure", "unit")
        .annotate(
            n_runs=Count("pk"),
            n_failures=Count("pk", filter=Q(outcome=Outcome.FAIL)),
            n_retests=Count("pk", filter=Q(outcome=Outcome.RETEST)),
            n_errors=Count("pk", filter=Q(outcome=Outcome.ERROR)),
        )
        .filter(n_runs__gt=1)
        .annotate(latest=Subquery(latest.values("outcome")[:1]))
        .order_by("-n_runs", "unit", "step", "procedure")[:limit]
    )
    return [
        Repeated(
            str(row["unit__uid"]),
            row["unit__serial"],
            row["unit__part_revision__part__number"],
            row["step"],
            row["procedure"],
            row["n_runs"],
            row["n_failures"],
            row["n_retests"],
            row["n_errors"],
            row["latest"],
        )
        for row in rows
    ]
