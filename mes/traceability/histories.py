"""The histories behind a report: how long each is, how it ends, and whether its chain holds."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mes.ledger.models import Event, Stream
from mes.ledger.services import event_digest


@dataclass(slots=True)
class History:
    """The chain of one row: its number of events, the digest of the last, and what is wrong with it."""

    stream: str
    events: int = 0
    head: str = ""
    faults: list[str] = field(default_factory=list)

    def follow(self, event: Event) -> None:
        """Take the next event of the stream in, noting a gap or a digest that does not fit."""
        expected = self.events + 1
        if event.seq != expected:
            self.faults.append(f"event {expected} is missing before {event.seq}")
        elif event_digest(event, self.head) != event.digest:
            self.faults.append(f"event {event.seq} does not match its digest or the event before it")
        self.events, self.head = event.seq, event.digest

    def end(self, row: Stream) -> None:
        """Compare the last event with what the row itself says."""
        if (self.events, self.head) != (row.version, row.head):
            self.faults.append(f"the row ends at event {row.version}, its history at event {self.events}")


def check_histories(rows: Iterable[Stream]) -> list[History]:
    """Follow the chain of every row from its first event, in the order of ``rows``. One query.

    Rows and events must be read in one snapshot, else work that goes on looks like a fault.
    """
    by_stream = {row.stream: row for row in rows}
    histories = {stream: History(stream) for stream in by_stream}
    for event in Event.objects.filter(stream__in=by_stream).order_by("stream", "seq").iterator(2000):
        histories[event.stream].follow(event)
    for stream, row in by_stream.items():
        histories[stream].end(row)
    return list(histories.values())
