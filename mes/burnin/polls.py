"""One blob per tray and poll: how a reading is kept until it is compacted."""

import hashlib
import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np
from django.db import connection

from mes.burnin.blocks import Values
from mes.burnin.judging import LARGEST
from mes.burnin.models import BurnInAttempt, Poll, SeriesLayout
from mes.burnin.redfish import TrayReading

FASTEST = 1


def pack_values(values: Iterable[float | None]) -> bytes:
    """Return values as zlib-compressed little-endian float32, NaN for None."""
    numbers = [math.nan if value is None or abs(value) > LARGEST else value for value in values]
    return zlib.compress(struct.pack(f"<{len(numbers)}f", *numbers), FASTEST)


def unpack_values(blob: bytes) -> Values:
    """Return the values of a blob, shape (series,); missing ones are NaN."""
    return np.frombuffer(zlib.decompress(blob), "<f4")


def save_polls(readings: Sequence[tuple[BurnInAttempt, TrayReading]]) -> None:
    """Save one Poll per reading, with a constant number of statements."""
    names = [[sample.series for sample in reading.samples] for _, reading in readings]
    digests = [_digest(each) for each in names]
    layouts = _layout_ids(dict(zip(digests, names, strict=True)))
    rows = [
        (
            attempt.pk,
            reading.taken_at,
            layouts[digest],
            pack_values(sample.value for sample in reading.samples),
        )
        for (attempt, reading), digest in zip(readings, digests, strict=True)
    ]
    if rows and connection.vendor == "postgresql":
        _insert_arrays(rows)
    else:
        Poll.objects.bulk_create(
            Poll(attempt_id=attempt, taken_at=at, layout_id=layout, values=blob)
            for attempt, at, layout, blob in rows
        )


def _insert_arrays(rows: Sequence[tuple[int, datetime, int, bytes]]) -> None:
    """Insert polls by one statement of four parameters, however many they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO burnin_poll (attempt_id, taken_at, layout_id, "values")'
            " SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::bytea[])",
            [list(column) for column in zip(*rows, strict=True)],
        )


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _layout_ids(wanted: Mapping[str, Sequence[str]]) -> dict[str, int]:
    known = _known_layouts(wanted)
    if missing := wanted.keys() - known.keys():
        new = [SeriesLayout(digest=digest, names=list(wanted[digest])) for digest in sorted(missing)]
        SeriesLayout.objects.bulk_create(new, ignore_conflicts=True)
        known = _known_layouts(wanted)
    return known


def _known_layouts(digests: Iterable[str]) -> dict[str, int]:
    return dict(SeriesLayout.objects.filter(digest__in=list(digests)).values_list("digest", "pk"))
