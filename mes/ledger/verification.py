"""Check every chain of the ledger against its digests and against the rows it tells of."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import attrgetter

from django.apps import apps
from django.db.models import QuerySet

from mes.ledger.models import Event, Stream
from mes.ledger.services import event_digest


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a stream: ``seq`` is where, ``problem`` what (gap, digest, head, ...)."""

    stream: str
    seq: int
    problem: str


@dataclass(slots=True)
class Verification:
    """What a check of the ledger found."""

    streams: int = 0
    events: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Return whether nothing was found wrong."""
        return not self.faults

    def as_dict(self) -> dict[str, object]:
        """Return the result as JSON-ready data."""
        return {**asdict(self), "intact": self.intact}


def verify_ledger(*, stream: str | None = None) -> Verification:
    """Walk every stream, or one: gaps, digests, order, and whether rows and events agree on the last one."""
    result = Verification()
    heads = _heads(stream)
    events = Event.objects.order_by("stream", "seq")
    if stream:
        events = events.filter(stream=stream)
    for name, group in groupby(events.iterator(chunk_size=2000), key=attrgetter("stream")):
        result.streams += 1
        last = _check_chain(name, group, result)
        _check_head(name, last, heads.pop(name, None), result)
    for name, (version, _) in heads.items():
        if version:
            result.faults.append(Fault(name, version, "all events are missing"))
    return result


def _check_chain(name: str, events: Iterator[Event], result: Verification) -> tuple[int, str]:
    expected, previous, last_id = 1, "", 0
    for event in events:
        result.events += 1
        if event.seq != expected:
            result.faults.append(Fault(name, expected, f"event {expected} is missing before {event.seq}"))
        elif event_digest(event, previous) != event.digest:
            result.faults.append(
                Fault(name, event.seq, "digest does not match the content or the event before")
            )
        if event.id <= last_id:
            result.faults.append(Fault(name, event.seq, "event was written before the one it follows"))
        expected, previous, last_id = event.seq + 1, event.digest, event.id
    return expected - 1, previous


def _check_head(name: str, last: tuple[int, str], head: tuple[int, str] | None, result: Verification) -> None:
    if head is None:
        result.faults.append(Fault(name, last[0], "events of a row that does not exist"))
    elif head != last:
        result.faults.append(Fault(name, last[0], f"row says version {head[0]}, events end at {last[0]}"))


def _heads(stream: str | None) -> dict[str, tuple[int, str]]:
    heads = {}
    for model in apps.get_models():
        if issubclass(model, Stream):
            rows: QuerySet[Stream] = model._default_manager.all()
            for row in rows.only("uid", "version", "head").iterator(chunk_size=2000):
                heads[row.stream] = (row.version, row.head)
    return {stream: heads[stream]} if stream in heads else {} if stream else heads
