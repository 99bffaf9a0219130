"""Check chains of the ledger against their digests and against the rows they tell of."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

from django.apps import apps
from django.db.models import QuerySet

from mes.ledger.models import Event, Stream
from mes.ledger.services import event_digest

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a stream: ``seq`` is where, ``problem`` what."""

    stream: str
    seq: int
    problem: str


@dataclass(slots=True)
class History:
    """The chain of one row: its number of events, the digest of the last, and what is wrong with it."""

    stream: str
    events: int = 0
    head: str = ""
    last_id: int = 0
    faults: list[Fault] = field(default_factory=list)

    def follow(self, event: Event) -> None:
        """Take the next event of the stream in, noting a gap, a wrong digest or a wrong order."""
        expected = self.events + 1
        if event.seq != expected:
            self._note(expected, f"event {expected} is missing before {event.seq}")
        elif event_digest(event, self.head) != event.digest:
            self._note(event.seq, "digest does not match the content or the event before")
        if event.id <= self.last_id:
            self._note(event.seq, "event was written before the one it follows")
        self.events, self.head, self.last_id = event.seq, event.digest, event.id

    def end(self, row: Stream | None) -> None:
        """Compare the last event with what the row itself says of it."""
        if row is None:
            self._note(self.events, "events of a row that does not exist")
        elif (self.events, self.head) != (row.version, row.head):
            self._note(
                self.events, f"the row ends at event {row.version}, its history at event {self.events}"
            )

    def _note(self, seq: int, problem: str) -> None:
        self.faults.append(Fault(self.stream, seq, problem))


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


def check_histories(rows: Iterable[Stream]) -> list[History]:
    """Follow the chain of every row from its first event, in the order of ``rows``. One query.

    Rows and events must be read in one snapshot, else work that goes on looks like a fault.
    """
    by_stream = {row.stream: row for row in rows}
    histories = {stream: History(stream) for stream in by_stream}
    for event in _events().filter(stream__in=by_stream).iterator(CHUNK):
        histories[event.stream].follow(event)
    for stream, row in by_stream.items():
        histories[stream].end(row)
    return list(histories.values())


def verify_ledger(*, stream: str | None = None) -> Verification:
    """Walk every stream, or one: gaps, digests, order, and whether rows and events agree on the last one."""
    histories: dict[str, History] = {}
    events = _events().filter(stream=stream) if stream else _events()
    for event in events.iterator(CHUNK):
        histories.setdefault(event.stream, History(event.stream)).follow(event)
    rows = {row.stream: row for row in _rows() if stream in {None, row.stream}}
    for name in histories.keys() | {name for name, row in rows.items() if row.version}:
        histories.setdefault(name, History(name)).end(rows.get(name))
    checked = [histories[name] for name in sorted(histories)]
    return Verification(
        streams=len(checked),
        events=sum(history.events for history in checked),
        faults=[fault for history in checked for fault in history.faults],
    )


def _events() -> QuerySet[Event]:
    return Event.objects.order_by("stream", "seq")


def _rows() -> Iterator[Stream]:
    for model in apps.get_models():
        if issubclass(model, Stream):
            rows: QuerySet[Stream] = model._default_manager.all()
            yield from rows.only("uid", "version", "head").iterator(chunk_size=CHUNK)
