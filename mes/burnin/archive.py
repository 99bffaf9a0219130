"""Archives: the samples of an ended run as one Parquet file, in place of its windows.

A file has one row per sample, and a row group holds one block of series of one tray, series by series. It
is written under another name, read back and compared, renamed, and named by a row in the transaction that
deletes the windows; whatever dies before that leaves the windows as they were.
"""

import fcntl
import hashlib
import logging
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mes.burnin.blocks import BLOCK_SERIES, Times, Values, unpack_block, unpack_times
from mes.burnin.compaction import compact_run
from mes.burnin.models import (
    BurnInAttempt,
    BurnInRun,
    Poll,
    PollWindow,
    SeriesBlock,
    SeriesLayout,
    TelemetryArchive,
)
from mes.errors import RuleViolation
from mes.ledger.services import SYSTEM, advance, locked, record

if TYPE_CHECKING:
    import pyarrow as pa

# pyarrow is imported where it is used: it takes 50 MB, and web servers seldom need it.

ZSTD_LEVEL = 6
REPEATED = ["run", "slot", "attempt", "serial", "series", "unit"]
ENCODINGS = {"at": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}

logger = logging.getLogger(__name__)


class ArchiveDiffersError(Exception):
    """What was read back from a file is not what was written; the windows stay."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What a row group holds: samples, and a checksum of series, times and values."""

    rows: int
    checksum: int


def archive_due(days: float | None = None) -> list[TelemetryArchive]:
    """Archive the runs that ended so many days ago, by default ``BURNIN_ARCHIVE_DAYS``; infinite: none.

    A run that cannot be archived is logged, and stays as it is.
    """
    days = settings.BURNIN_ARCHIVE_DAYS if days is None else days
    if math.isinf(days):
        return []
    windows = PollWindow.objects.values("attempt__run")
    runs = BurnInRun.objects.filter(ended_at__lt=timezone.now() - timedelta(days=days), pk__in=windows)
    archives = [_try(run) for run in runs.order_by("ended_at")]
    return [archive for archive in archives if archive]


def _try(run: BurnInRun) -> TelemetryArchive | None:
    try:
        return archive_run(run)
    except (RuleViolation, ArchiveDiffersError, OSError):
        logger.exception("the %s was not archived", run)
        return None


def archive_run(run: BurnInRun) -> TelemetryArchive:
    """Move the samples of an ended run into a Parquet file, and return its row; once is enough.

    Refuses with ``burn_in_not_ended``, ``nothing_to_archive`` and ``archive_being_written``. Raises
    ArchiveDiffersError when what lies on the disk is not what was written, and OSError.
    """
    if known := TelemetryArchive.objects.filter(run=run).first():
        return known
    _require_ended(run)
    compact_run(run.pk)
    windows = list(PollWindow.objects.filter(attempt__run=run).order_by("pk").values_list("pk", flat=True))
    if not windows:
        raise _refusal("nothing_to_archive", f"The {run} has no samples in the database.")
    with _draft(run) as draft:
        written = _write_file(run, draft)
        if _read_back(draft) != written:
            raise ArchiveDiffersError(f"{draft} does not hold what was written")
        return _finish(run, draft, windows, rows=sum(group.rows for group in written))


def _require_ended(run: BurnInRun) -> None:
    if run.state not in BurnInRun.ENDED:
        raise _refusal("burn_in_not_ended", f"The {run} is {run.state}, it has not ended.")


def _refusal(code: str, text: str) -> RuleViolation:
    return RuleViolation(
        code,
        text,
        rule="the samples of a burn-in are archived once, after its end",
        next_step="Try again once it has ended, and no other archive is being written.",
    )


@contextmanager
def _draft(run: BurnInRun) -> Iterator[Path]:
    """Give the name to write under, to one process at a time; what a dead one left there is overwritten."""
    path = settings.TELEMETRY_DIR / f"{run.uid}.part"
    with (settings.TELEMETRY_DIR / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal("archive_being_written", "Another archive is being written.") from None
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _finish(run: BurnInRun, draft: Path, windows: list[int], *, rows: int) -> TelemetryArchive:
    size, sha256, name = draft.stat().st_size, _sha256(draft), f"{run.uid}.parquet"
    _sync(draft)
    with transaction.atomic():
        run = locked(run)
        if known := TelemetryArchive.objects.filter(run=run).first():
            return known
        _require_same(run, windows)
        draft.rename(draft.with_name(name))
        _sync(draft.parent)
        archive = TelemetryArchive.objects.create(run=run, file=name, size=size, sha256=sha256, rows=rows)
        SeriesBlock.objects.filter(window__attempt__run=run).delete()
        PollWindow.objects.filter(attempt__run=run).delete()
        facts = {"file": name, "size": size, "sha256": sha256, "rows": rows}
        record(advance(run, "burn_in.archived", by=SYSTEM, payload=facts))
    return archive


def _require_same(run: BurnInRun, windows: list[int]) -> None:
    now = list(PollWindow.objects.filter(attempt__run=run).order_by("pk").values_list("pk", flat=True))
    if now != windows or Poll.objects.filter(attempt__run=run).exists():
        raise ArchiveDiffersError(f"the samples of the {run} changed while they were archived")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_file(run: BurnInRun, path: Path) -> list[_Written]:
    import pyarrow.parquet as pq

    written = []
    with pq.ParquetWriter(
        path,
        _schema(),
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=REPEATED,
        column_encoding=ENCODINGS,
    ) as writer:
        for table in _tables(run):
            writer.write_table(table, row_group_size=table.num_rows)
            written.append(_summary(table))
    return written


def _read_back(path: Path) -> list[_Written]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return [_summary(file.read_row_group(group)) for group in range(file.num_row_groups)]


def _summary(table: "pa.Table") -> _Written:
    """Return how many samples a table has, and the CRC-32 of who, when and what, independent of encoding."""
    checksum = 0
    for name in ("slot", "serial", "series", "unit"):
        texts = table[name].cast("string").combine_chunks().dictionary_encode()
        checksum = zlib.crc32("\n".join(texts.dictionary.to_pylist()).encode(), checksum)
        checksum = zlib.crc32(texts.indices.to_numpy().tobytes(), checksum)
    checksum = zlib.crc32(table["at"].cast("int64").to_numpy().tobytes(), checksum)
    return _Written(table.num_rows, zlib.crc32(table["value"].to_numpy().tobytes(), checksum))


def _schema() -> "pa.Schema":
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            *(("run", text), ("slot", text), ("attempt", pa.int16()), ("serial", text)),
            *(("series", text), ("unit", text)),
            *(("at", pa.timestamp("us", tz="UTC")), ("value", pa.float32())),
        ]
    )


def _tables(run: BurnInRun) -> Iterator["pa.Table"]:
    """Yield a table per attempt, layout and block number: some million rows at most, one row group."""
    attempts = BurnInAttempt.objects.filter(run=run).select_related("slot", "unit", "run")
    for attempt in attempts.order_by("slot__order", "slot__name", "number"):
        windows = PollWindow.objects.filter(attempt=attempt).order_by("starts_at")
        layouts = SeriesLayout.objects.filter(pk__in=windows.order_by().values("layout"))
        for layout, names in layouts.order_by("pk").values_list("pk", "names"):
            rows = windows.filter(layout=layout).values_list("pk", "times")
            times = {pk: unpack_times(bytes(blob)) for pk, blob in rows}
            for first in range(0, len(names), BLOCK_SERIES):
                values = _values(times, first // BLOCK_SERIES)
                yield _table(
                    attempt,
                    names[first : first + BLOCK_SERIES],
                    np.concatenate(list(times.values())),
                    values,
                )


def _values(times: dict[int, Times], number: int) -> Values:
    blocks = SeriesBlock.objects.filter(window__in=times, number=number)
    blobs = dict(blocks.values_list("window", "values"))
    return np.vstack([unpack_block(bytes(blobs[pk]), len(at)) for pk, at in times.items()])


def _table(attempt: BurnInAttempt, names: list[str], at: Times, values: Values) -> "pa.Table":
    import pyarrow as pa

    polls, rows = len(at), values.size
    units = [str(attempt.statistics.get(name, {}).get("unit", "")) for name in names]
    kinds = sorted(set(units))
    of_unit = [kinds.index(unit) for unit in units]

    def text(words: list[str], indices: Any) -> "pa.DictionaryArray":
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(words, pa.string()))

    def same(word: str) -> "pa.DictionaryArray":
        return text([word], np.zeros(rows, np.int32))

    # pyarrow makes no value of NaN, so that DuckDB and pandas leave missing samples out.
    flat = np.ascontiguousarray(values.T).reshape(-1)
    columns = [
        *(same(str(attempt.run.uid)), same(attempt.slot.name)),
        *(pa.array(np.full(rows, attempt.number, np.int16)), same(attempt.unit.serial)),
        *(text(names, np.repeat(np.arange(len(names)), polls)), text(kinds, np.repeat(of_unit, polls))),
        pa.array(np.tile(at, len(names)), pa.timestamp("us", tz="UTC")),
        pa.array(flat, pa.float32(), from_pandas=True),
    ]
    return pa.Table.from_arrays(columns, schema=_schema())
