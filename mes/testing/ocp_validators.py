"""Fields, measurements and validators of OCP Test & Validation output 2.0.

What one artifact holds is read and checked here; ``mes.testing.ocp`` puts the artifacts of a run together.
"""

import enum
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

LONGEST_MATCHED = 1_000
LONGEST_BACKTRACKED = 20
LONGEST_SHOWN = 80

_LOWER = ("GREATER_THAN", "GREATER_THAN_OR_EQUAL")
_UPPER = ("LESS_THAN", "LESS_THAN_OR_EQUAL")
_SETS = ("IN_SET", "NOT_IN_SET")
_REGEXES = ("REGEX_MATCH", "REGEX_NO_MATCH")
_EQUALS = ("EQUAL", "NOT_EQUAL")

# Field names of the pre-2.0 dialect and what they are called now; "" unfolds an object into its parent.
_OLD_NAMES: dict[str, dict[str, str]] = {
    "log": {"text": "message"},
    "error": {"msg": "message"},
    "diagnosis": {"symptom": "verdict", "msg": "message"},
    "file": {"uploadAsName": "displayName", "outputPath": "uri"},
    "measurement": {"info": "", "element": ""},
    "measurementSeriesStart": {"info": ""},
    "measurementSeriesElement": {"dutTimestamp": "timestamp", "range": "range", "validValues": "validValues"},
    "measurementSeriesEnd": {"totalMeasurementCount": "totalCount"},
    "testRunEnd": {"name": "name"},
    "testStepEnd": {"name": "name"},
}
_HARDWARE = {
    "name": "name",
    "location": "location",
    "serial": "serialNumber",
    "part_number": "partNumber",
    "manufacturer": "manufacturer",
    "odata_id": "odataId",
}

Check = Callable[[Any], bool]


class BadArtifact(ValueError):  # noqa: N818 - says what is bad, as the reader reports it
    """Part of an artifact cannot be read; the reader of the stream adds the line number."""


class Verdict(enum.StrEnum):
    """What the validators say about a value; NONE where nothing was checked."""

    PASS = "PASS"
    FAIL = "FAIL"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of one measurement, ready to be asked.

    ``raw`` is the list as it was sent. ``low`` is the highest GREATER_THAN[_OR_EQUAL] value, ``high`` the
    lowest LESS_THAN[_OR_EQUAL] value, in the unit of the measurement; None without such a validator.
    """

    raw: list[dict[str, Any]]
    checks: list[tuple[str, Check]]
    low: float | None
    high: float | None

    def broken_by(self, value: object) -> str:
        """Name the first validator the value does not meet ("" if it meets all): its type, value, name."""
        return next((limit for limit, holds in self.checks if not holds(value)), "")


NO_VALIDATORS = Validators(raw=[], checks=[], low=None, high=None)


@dataclass(slots=True)
class OcpMeasurement:
    """A single measurement, or the summary of a series; all numbers in ``unit``.

    ``value`` is the value of a single measurement as sent, the one with the highest index for a series; it
    may be NaN. ``minimum``, ``maximum`` and ``mean`` cover the finite numbers only. ``outside`` counts the
    values that break a validator. A series without values has verdict NONE.
    """

    step: str
    name: str
    unit: str = ""
    value: float | str | bool | list[Any] | None = None
    low: float | None = None
    high: float | None = None
    validators: list[dict[str, Any]] = field(default_factory=list)
    verdict: Verdict = Verdict.NONE
    hardware: str = ""
    count: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    outside: int = 0


class Series:
    """Gathers the elements of one series (or a single measurement) into its OcpMeasurement."""

    def __init__(self, measurement: OcpMeasurement) -> None:
        self.measurement = measurement
        self.validators = NO_VALIDATORS
        self.total: int | None = None
        self._last_index = -1
        self._finite = 0
        self._broken = ""

    def hold_to(self, validators: Validators) -> None:
        """Check every value added from here on against these."""
        self.validators = validators
        self._publish(validators)

    def add(self, value: Any, *, index: int = 0, own: Validators = NO_VALIDATORS) -> None:
        """Add one value; ``own`` are the validators of this element alone.

        Raises BadArtifact for a value no measurement can have.
        """
        if isinstance(value, dict):
            raise BadArtifact("a measured value must be a string, number or boolean")
        if own.raw and not self.validators.raw:
            self._publish(own)
        summary = self.measurement
        summary.count += 1
        if index >= self._last_index:
            self._last_index, summary.value = index, value
        self._judge(value, own)
        self._summarise(value)

    def _summarise(self, value: Any) -> None:
        summary = self.measurement
        number = number_of(value)
        if number is not None:
            self._finite += 1
            before = summary.mean or 0.0
            # Divided before it is subtracted: the difference of two large values overflows.
            summary.mean = before + (number / self._finite - before / self._finite)
            summary.minimum = min(number, number if summary.minimum is None else summary.minimum)
            summary.maximum = max(number, number if summary.maximum is None else summary.maximum)

    def _publish(self, validators: Validators) -> None:
        summary = self.measurement
        summary.validators, summary.low, summary.high = validators.raw, validators.low, validators.high

    def _judge(self, value: Any, own: Validators) -> None:
        if not self.validators.checks and not own.checks:
            return
        broken = self.validators.broken_by(value) or own.broken_by(value)
        self._broken = self._broken or broken
        self.measurement.outside += bool(broken)
        self.measurement.verdict = Verdict.FAIL if self.measurement.outside else Verdict.PASS

    def failure(self) -> str:
        """Say which limit was broken, in one sentence; empty when none was."""
        summary = self.measurement
        if not summary.outside:
            return ""
        name, unit = shown(summary.name), shown(f" {summary.unit}".rstrip())
        on = f" ({shown(summary.hardware)})" if summary.hardware else ""
        where = f"Step '{shown(summary.step)}': "
        if summary.count == 1:
            value = "nothing" if summary.value is None else shown(summary.value)
            return f"{where}measurement '{name}'{on} is {value}{unit}, outside {self._broken}."
        span = f"; they run from {summary.minimum} to {summary.maximum}{unit}" if self._finite else ""
        return (
            f"{where}{summary.outside} of {summary.count} values of '{name}'{on} are outside "
            f"{self._broken}{span}."
        )


def read_validators(raw: object) -> Validators:
    """Read the ``validators`` array of a measurement or series; null or absent means none.

    Raises BadArtifact for an unknown type, a value the type does not support, or a broken regex.
    """
    if not raw:
        return NO_VALIDATORS
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise BadArtifact("validators must be a list of objects")
    checks = [(_describe(one), _check_of(one)) for one in raw]
    return Validators(
        raw=raw,
        checks=checks,
        low=max(_limits(raw, _LOWER), default=None),
        high=min(_limits(raw, _UPPER), default=None),
    )


def validators_of(body: dict[str, Any]) -> Validators:
    """Read the validators of a measurement, a series or an element, and the limits of the pre-2.0 dialect.

    Before 2.0 an element carried ``range`` (minimum, maximum) or ``validValues`` in place of validators.
    """
    raw = body.get("validators") or []
    span = as_object(body.get("range"), "range")
    allowed = as_object(body.get("validValues"), "validValues").get("values")
    old = [("GREATER_THAN_OR_EQUAL", span.get("minimum")), ("LESS_THAN_OR_EQUAL", span.get("maximum"))]
    extra = [
        {"type": kind, "value": value} for kind, value in [*old, ("IN_SET", allowed)] if value is not None
    ]
    return read_validators([*raw, *extra] if extra and isinstance(raw, list) else raw)


def as_object(value: object, what: str) -> dict[str, Any]:
    """Return a JSON object; null is an empty one, as the standard lets optional fields be null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadArtifact(f"{what} must be an object")
    return value


def text_of(body: dict[str, Any], key: str, *, required: bool = False) -> str:
    """Return a text field; absent or null is empty, or BadArtifact where ``required``."""
    value = body.get(key)
    if isinstance(value, str):
        return value
    if value is None and not required:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadArtifact(f"{key} must be a text, not {shown(value)!r}")


def modernise(kind: str, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Give the fields of the pre-2.0 dialect their names of today; tell whether there were any."""
    old = {key: new for key, new in _OLD_NAMES.get(kind, {}).items() if key in body}
    fields = dict(body)
    for key, new in old.items():
        fields.update({new: body.get(new, body[key])} if new else as_object(body[key], key))
    return fields, bool(old)


def hardware_of(info: dict[str, Any]) -> dict[str, str]:
    """Read one hardwareInfo; before 2.0 place and serial stood in ``fruLocation``."""
    place = as_object(info.get("fruLocation"), "fruLocation")
    flat = {"location": place.get("devpath"), **place, **info}
    return {key: text_of(flat, theirs) for key, theirs in _HARDWARE.items()}


def objects_of(value: object, what: str) -> list[dict[str, Any]]:
    """Return a list of JSON objects; null is an empty one."""
    if not isinstance(value, list | None):
        raise BadArtifact(f"{what} must be a list")
    return [as_object(one, f"an entry of {what}") for one in value or []]


def count_of(body: dict[str, Any], key: str) -> int:
    """Return a required whole number from 0."""
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadArtifact(f"{key} must be a whole number from 0, not {shown(value)!r}")
    return value


def time_of(value: object) -> datetime:
    """Read a timestamp as UTC; the standard leaves the zone optional and asks for UTC without it."""
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadArtifact(f"timestamp {shown(value)!r} is not an ISO 8601 date and time") from error


def number_of(value: object) -> float | None:
    """Return a finite JSON number as float; None for everything else, also NaN, infinity and booleans."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def shown(value: object) -> str:
    """Return a value as a sentence shows it, cut to a readable length."""
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def _limits(raw: list[dict[str, Any]], kinds: tuple[str, ...]) -> list[float]:
    return [float(one["value"]) for one in raw if one["type"] in kinds]


def _describe(validator: dict[str, Any]) -> str:
    name = validator.get("name")
    limit = f"{shown(validator.get('type'))} {shown(validator.get('value'))}"
    return f"{limit} ({shown(name)})" if name else limit


def _check_of(validator: dict[str, Any]) -> Check:
    kind, operand = validator.get("type"), validator.get("value")
    if kind in _LOWER + _UPPER:
        return _compare(str(kind), operand)
    if kind in _SETS:
        return _membership(str(kind), _several(operand, kind, _is_scalar))
    if kind in _REGEXES:
        return _regex(str(kind), _several(operand, kind, lambda one: isinstance(one, str)))
    if kind in _EQUALS:
        # A scalar is a set of one: EQUAL and IN_SET, NOT_EQUAL and NOT_IN_SET differ in nothing else.
        return _membership("NOT_IN_SET" if kind == "NOT_EQUAL" else "IN_SET", _one_scalar(operand, kind))
    raise BadArtifact(f"unknown validator type {shown(kind)!r}")


def _compare(kind: str, operand: object) -> Check:
    limit = number_of(operand)
    if limit is None:
        raise BadArtifact(f"validator {kind} needs a finite number, not {shown(operand)!r}")
    holds: dict[str, Callable[[float], bool]] = {
        "GREATER_THAN": lambda number: number > limit,
        "GREATER_THAN_OR_EQUAL": lambda number: number >= limit,
        "LESS_THAN": lambda number: number < limit,
        "LESS_THAN_OR_EQUAL": lambda number: number <= limit,
    }
    compare = holds[kind]

    def check(value: object) -> bool:
        number = number_of(value)
        return number is not None and compare(number)

    return check


def _membership(kind: str, allowed: list[Any]) -> Check:
    """Compare like with like; the standard leaves mixed types unsupported, so they never pass.

    Without the type a boolean true would equal 1, and "nan" would differ from every forbidden number.
    """
    members = {(_type_of(one), one) for one in allowed}
    types = {kind_of for kind_of, _ in members}
    wanted = kind == "IN_SET"

    def check(value: object) -> bool:
        kind_of = _type_of(value)
        return kind_of is not None and kind_of in types and ((kind_of, value) in members) is wanted

    return check


def _regex(kind: str, patterns: list[str]) -> Check:
    compiled = [_compile(pattern) for pattern in patterns]
    nested = any(_repeats_nest(pattern) for pattern in patterns)
    wanted = kind == "REGEX_MATCH"

    def check(value: object) -> bool:
        if not isinstance(value, str) or len(value) > LONGEST_MATCHED:
            return False
        if nested and len(value) > LONGEST_BACKTRACKED:
            raise BadArtifact(
                f"the nested repeats of {shown(patterns)} are matched only against values up to "
                f"{LONGEST_BACKTRACKED} characters"
            )
        return any(one.search(value) for one in compiled) is wanted

    return check


def _compile(pattern: str) -> re.Pattern[str]:
    if len(pattern) > LONGEST_MATCHED:
        raise BadArtifact(f"regex longer than {LONGEST_MATCHED} characters: {shown(pattern)!r}")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadArtifact(f"broken regex {shown(pattern)!r}: {error}") from error


_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!<P]?|\{\d*(?:,\d*)?\}|.", re.DOTALL)


def _repeats_nest(pattern: str) -> bool:
    """Tell whether a repeated group itself holds a repeat or a choice.

    Such a pattern, (a+)+ for example, can take time exponential in the length of the value.
    """
    branching = [False]
    just_closed = False
    for piece in _TOKEN.findall(pattern):
        if just_closed and (piece in "*+" or piece[0] == "{"):
            return True
        just_closed = False
        if piece[0] == "(":
            branching.append(False)
        elif piece == ")" and len(branching) > 1:
            just_closed = branching.pop()
            branching[-1] |= just_closed
        elif piece in "*+?|" or (piece[0] == "{" and "," in piece):
            branching[-1] = True
    return False


def _one_scalar(operand: object, kind: object) -> list[Any]:
    if not _is_scalar(operand):
        raise BadArtifact(f"validator {kind} needs a string, number or boolean, not {shown(operand)!r}")
    return [operand]


def _several(operand: object, kind: object, fits: Check) -> list[Any]:
    """Return the operand as a list: the text of the standard has an array, its JSON schema one scalar."""
    values = operand if isinstance(operand, list) else [operand]
    if not values or not all(fits(one) for one in values):
        raise BadArtifact(f"validator {kind} does not support the value {shown(operand)!r}")
    return values


def _is_scalar(value: object) -> bool:
    return _type_of(value) is not None


def _type_of(value: object) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    return "number" if number_of(value) is not None else None
