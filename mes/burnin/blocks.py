"""How ten minutes of samples lie in the database: times once, values in blocks of 50 series, statistics.

Every packing here is lossless: NaN and its bits included. Columns of numbers are compressed after their
bytes were sorted by significance (as in Parquet's BYTE_STREAM_SPLIT), and values are XORed with those before
(Pelkonen et al., "Gorilla: a fast, scalable, in-memory time series database", VLDB 2015).
"""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_SERIES = 50
LEVEL = 6
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Times = NDArray[np.int64]
Values = NDArray[np.float32]

FIELDS = np.dtype([("count", "<u4"), ("low", "<f4"), ("high", "<f4"), ("total", "<f8")])


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is known of some series over some time.

    ``at`` are microseconds since 1970 (UTC), shape (moments,). The others have the shape (moments, series):
    how many values a moment stands for, their lowest, highest and sum. A poll is a moment; so is a block.
    ``low`` and ``high`` are NaN where there is no value.
    """

    names: tuple[str, ...]
    at: Times
    count: NDArray[np.integer[Any]]
    low: Values
    high: Values
    total: NDArray[np.floating[Any]]


def to_micros(at: datetime) -> int:
    """Return a time as microseconds since 1970 (UTC)."""
    return (at - EPOCH) // MICROSECOND


def to_datetime(micros: int) -> datetime:
    """Return microseconds since 1970 (UTC) as a time."""
    return EPOCH + micros * MICROSECOND


def stretch_of(names: tuple[str, ...], at: Times, values: Values) -> Stretch:
    """Return single polls as a stretch; ``values`` has the shape (polls, series)."""
    known = ~np.isnan(values)
    return Stretch(names, at, known.astype(np.uint8), values, values, np.where(known, values, np.float32(0)))


def pack_times(at: Times) -> bytes:
    """Return times, in microseconds since 1970, as the differences from each to the next."""
    return _squeeze(np.diff(at.astype("<i8"), prepend=np.int64(0)))


def unpack_times(blob: bytes) -> Times:
    """Return the times of ``pack_times``."""
    return np.cumsum(_spread(blob, 8).view("<i8").reshape(-1), dtype=np.int64)


def pack_block(values: Values) -> bytes:
    """Return the values of some series, shape (polls, series), with every bit kept."""
    bits = np.ascontiguousarray(values.T, dtype="<f4").view("<u4")
    changes = bits.copy()
    changes[:, 1:] ^= bits[:, :-1]
    return _squeeze(changes)


def unpack_block(blob: bytes, polls: int) -> Values:
    """Return the values of ``pack_block``, shape (polls, series)."""
    changes = _spread(blob, 4).view("<u4").reshape(-1, polls)
    values: Values = np.bitwise_xor.accumulate(changes, axis=1).view("<f4").T
    return values


def pack_statistics(values: Values) -> bytes:
    """Return count, lowest, highest and sum by series of values of the shape (polls, series)."""
    rows = np.zeros(values.shape[1], FIELDS)
    rows["count"] = np.count_nonzero(~np.isnan(values), axis=0)
    rows["low"] = np.fmin.reduce(values, axis=0)
    rows["high"] = np.fmax.reduce(values, axis=0)
    rows["total"] = np.nansum(values, axis=0, dtype="f8")
    return _squeeze(rows)


def unpack_statistics(blob: bytes) -> NDArray[np.void]:
    """Return the statistics of ``pack_statistics``: ``count``, ``low``, ``high`` and ``total`` by series."""
    return _spread(blob, FIELDS.itemsize).view(FIELDS).reshape(-1)


def _squeeze(rows: NDArray[Any]) -> bytes:
    width = rows.dtype.itemsize
    return zlib.compress(rows.view("u1").reshape(-1, width).T.tobytes(), LEVEL)


def _spread(blob: bytes, width: int) -> NDArray[np.uint8]:
    planes = np.frombuffer(zlib.decompress(blob), "u1").reshape(width, -1)
    return np.ascontiguousarray(planes.T)
