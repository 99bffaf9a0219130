"""Reading archived samples, by the same questions as those in the database."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings

from mes.burnin.blocks import Stretch, stretch_of, to_micros
from mes.burnin.models import BurnInAttempt, TelemetryArchive
from mes.burnin.stretches import Wanted
from mes.errors import RuleViolation

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def find_archive(archive: TelemetryArchive) -> Path:
    """Return where the file of an archive lies. Refuses with ``archive_missing``."""
    path: Path = settings.TELEMETRY_DIR / archive.file
    if not path.is_file():
        raise RuleViolation(
            "archive_missing",
            f"The file {archive.file} is no longer in the telemetry directory.",
            rule="the samples of an archived burn-in are in its file",
            next_step="Put the file back from a backup.",
            status=404,
            file=archive.file,
            sha256=archive.sha256,
        )
    return path


def read_archived(wanted: Wanted) -> dict[int, list[Stretch]]:
    """Return by tray the wanted series from the archive of their run, poll by poll; nothing if it has none.

    One statement. Refuses with ``archive_missing``.
    """
    runs = {attempt.run_id for attempt in wanted.attempts}
    archive = TelemetryArchive.objects.filter(run__in=runs).first()
    if archive is None:
        return {}
    import pyarrow.parquet as pq

    with pq.ParquetFile(find_archive(archive), read_dictionary=["series"]) as file:
        return {attempt.pk: _read_tray(file, attempt, wanted) for attempt in wanted.attempts}


def _read_tray(file: "pq.ParquetFile", attempt: BurnInAttempt, wanted: Wanted) -> list[Stretch]:
    groups = {group: _names(file, group) for group in _groups(file, attempt)}
    picked = wanted.pick(name for names in groups.values() for name in names)
    return [
        stretch for group, names in groups.items() for stretch in _read(file, group, names, picked, wanted)
    ]


def _groups(file: "pq.ParquetFile", attempt: BurnInAttempt) -> Iterator[int]:
    """Yield the row groups of the tray: each says in its statistics whose it is."""
    names = file.schema_arrow.names
    slot, number = names.index("slot"), names.index("attempt")
    for group in range(file.num_row_groups):
        about = file.metadata.row_group(group)
        whose = about.column(slot).statistics.min, about.column(number).statistics.min
        if whose == (attempt.slot.name, attempt.number):
            yield group


def _names(file: "pq.ParquetFile", group: int) -> list[str]:
    """Return the series of a row group in their order."""
    column = file.read_row_group(group, columns=["series"])["series"].combine_chunks()
    names: list[str] = column.unique().to_pylist()
    return names


def _read(
    file: "pq.ParquetFile", group: int, names: list[str], picked: set[str], wanted: Wanted
) -> Iterator[Stretch]:
    here = [row for row, name in enumerate(names) if name in picked]
    if not here:
        return
    table = file.read_row_group(group, columns=["at", "value"])
    # Series by series, all at the same times.
    at = table["at"].cast("int64").to_numpy().reshape(len(names), -1)[0]
    values = table["value"].to_numpy().reshape(len(names), -1)[here].T
    inside = (at >= to_micros(wanted.since)) & (at <= to_micros(wanted.until))
    if inside.any():
        yield stretch_of(tuple(names[row] for row in here), at[inside], np.asarray(values[inside]))
