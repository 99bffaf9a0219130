"""Samples of burn-ins: how fast they are kept, how small, and how fast they are read, beside plain SQL.

`DATABASE_URL=postgresql://... python benchmarks/telemetry.py [--hours 1] [--rounds 3]` works in a database of
its own (test_<name>), which it makes and drops. A rack is 18 compute and 9 switch trays, polled every 10 s.
CPU is that of this program and of its database session.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
import psycopg

django.setup()

from django.db import connection, transaction
from django.test.utils import override_settings

from mes.burnin.archive import archive_run
from mes.burnin.compaction import compact_run
from mes.burnin.models import BurnInAttempt, BurnInRun, PollWindow, SeriesBlock
from mes.burnin.redfish import Sample, TrayReading
from mes.burnin.telemetry import read_series, read_statistics, save_polls
from mes.simulators.bmc_sensors import compute_sensors, switch_sensors
from tests.burnin.samples import BEGIN, end, physical_readings, soaked_run

GPU = "HGX_GPU_0_TEMP_0"
HOUR = timedelta(hours=1)
TRAYS = 27
SWITCHES = range(9, 18)
PLAIN = "CREATE TABLE plain_{name} (series int NOT NULL, at timestamptz NOT NULL, value real)"
INDEXES = {
    "BRIN": "CREATE INDEX ON plain_{name} USING brin (at)",
    "b-tree": "CREATE INDEX ON plain_{name} (series, at)",
}
KEPT, PACKED = "polls, as the tick keeps them", "compaction of these polls"
Polls = list[list[tuple[BurnInAttempt, TrayReading]]]


def say(text: str, value: float, unit: str) -> None:
    print(f"{text:<72}{value:>14,.2f} {unit}")


def timed(act: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def median_ms(act: Callable[[], Any], times: int = 15) -> float:
    act()
    return 1000 * statistics.median(timed(act) for _ in range(times))


def polls_of(run: BurnInRun, hours: float) -> Polls:
    """Return what a rack says poll by poll, made before any clock runs."""
    trays = list(run.attempts.select_related("slot").order_by("pk"))
    said = []
    for number, attempt in enumerate(trays):
        sensors = switch_sensors() if number in SWITCHES else compute_sensors()
        readings = physical_readings(str(attempt.pk), int(hours * 360), sensors=sensors)
        said.append([(attempt, reading) for reading in readings])
    return [list(poll) for poll in zip(*said, strict=True)]


def keep(polls: Polls) -> None:
    for poll in polls:
        with transaction.atomic():
            save_polls(poll)


def as_rows(polls: Polls) -> list[bytes]:
    """Return the same samples as COPY takes them, one text per poll."""
    numbers: dict[tuple[int, str], int] = {}

    def line(attempt: int, at: datetime, sample: Sample) -> str:
        return f"{numbers.setdefault((attempt, sample.series), len(numbers))}\t{at}\t{sample.value}\n"

    return [
        "".join(
            line(attempt.pk, reading.taken_at, sample)
            for attempt, reading in poll
            for sample in reading.samples
        ).encode()
        for poll in polls
    ]


def copy(name: str, texts: list[bytes]) -> None:
    with connection.cursor() as cursor:
        for text in texts:
            with transaction.atomic(), cursor.copy(f"COPY plain_{name} FROM STDIN") as into:
                into.write(text)


def execute(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def plain_tables() -> None:
    for name, index in INDEXES.items():
        table = name.replace("-", "")
        execute(f"DROP TABLE IF EXISTS plain_{table}")
        execute(PLAIN.format(name=table))
        execute(index.format(name=table))


def cpu_seconds() -> float:
    """Return what this program and its database session have used."""
    connection.ensure_connection()
    process = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text()
    fields = process.rpartition(")")[2].split()
    session = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + session


def costs(act: Callable[[], Any], count: int) -> tuple[float, float]:
    """Return samples per second, and samples per second of CPU."""
    cpu, begin = cpu_seconds(), time.perf_counter()
    act()
    return count / (time.perf_counter() - begin), count / (cpu_seconds() - cpu)


def ingest(hours: float) -> tuple[dict[str, tuple[float, float]], BurnInRun]:
    """Keep the same samples in every way; return what each costs, and the run they are of."""
    run = soaked_run(TRAYS)
    polls = polls_of(run, hours)
    texts, count = as_rows(polls), sum(len(reading.samples) for poll in polls for _, reading in poll)
    plain_tables()
    taken = {
        "COPY of a row per sample, one a poll, BRIN": costs(lambda: copy("brin", texts), count),
        "COPY of a row per sample, one a poll, b-tree": costs(lambda: copy("btree", texts), count),
        KEPT: costs(lambda: keep(polls), count),
    }
    sizes(count, "as polls", "burnin_poll")
    end(run)
    taken[PACKED] = costs(lambda: compact_run(run.pk), count)
    return taken, run


def sizes(count: int, what: str, *tables: str) -> None:
    total = sum(execute("SELECT pg_total_relation_size(%s)", table)[0][0] for table in tables)
    say(f"bytes per sample on the disk, {what}", total / count, "bytes")


def measure_ingest(hours: float, rounds: int) -> BurnInRun:
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        execute("TRUNCATE burnin_poll, burnin_pollwindow, burnin_seriesblock")
        once, run = ingest(hours)
        for name, cost in once.items():
            taken.setdefault(name, []).append(cost)
    for column, unit in enumerate(("samples/s", "samples/s of CPU")):
        rates = {name: statistics.median(each[column] for each in every) for name, every in taken.items()}
        rates[f"{KEPT}, and compaction"] = 1 / (1 / rates[KEPT] + 1 / rates[PACKED])
        for name, rate in rates.items():
            say(name, rate, unit)
        for name, rate in rates.items():
            if name.startswith("COPY"):
                say(f"ratio of polls to {name}", rates[KEPT] / rate, f"x in {unit}")
    return run


def measure_sizes(run: BurnInRun) -> None:
    count = execute("SELECT count(*) FROM plain_brin")[0][0]
    sizes(count, "compacted", "burnin_pollwindow", "burnin_seriesblock")
    sizes(count, "a row per sample, BRIN", "plain_brin")
    sizes(count, "a row per sample, b-tree", "plain_btree")
    blobs = SeriesBlock.objects.filter(window__attempt__run=run).values_list("values", "statistics")
    times = PollWindow.objects.filter(attempt__run=run).values_list("times")
    total = sum(len(blob) for row in (*blobs, *times) for blob in row)
    say("bytes per sample, blobs alone", total / count, "bytes")


def measure_reads(run: BurnInRun) -> None:
    execute("VACUUM ANALYZE")
    trays = list(run.attempts.select_related("slot").order_by("pk"))
    since, until = BEGIN, BEGIN + HOUR - timedelta(microseconds=1)
    hour: dict[str, Any] = {"since": since, "until": until}
    number = execute("SELECT min(series) FROM plain_btree")[0][0]
    keys = [tray.pk for tray in trays]
    asked = {
        "one series, 1 h: bare SQL, a row per sample, b-tree": (
            "SELECT at, value FROM plain_btree WHERE series = %s AND at BETWEEN %s AND %s",
            (number, since, until),
        ),
        "rack-hour, all series: bare SQL, a row per sample, BRIN": (
            "SELECT series, at, value FROM plain_brin WHERE at BETWEEN %s AND %s",
            (since, until),
        ),
        "rack-hour, all series: bare SQL, every block": (
            BLOCKS.format("b.values, w.times"),
            (keys, since, until),
        ),
        "rack-hour, all series: bare SQL, statistics of every block": (
            BLOCKS.format("b.statistics"),
            (keys, since, until),
        ),
    }
    for name, (statement, parameters) in asked.items():
        say(f"{name}, in the database", in_database(statement, parameters), "ms")
        say(f"{name}, with fetching", median_ms(partial(fetch, statement, parameters)), "ms")
    one = partial(read_series, attempt=trays[0], pattern=GPU, **hour)
    say("one series, 1 h: read_series", median_ms(one), "ms")
    say("one series, 1 h: the statements of read_series", median_ms_in_statements(one), "ms")
    for read in (read_series, read_statistics):
        act = partial(ask_all, read, trays, hour)
        say(f"rack-hour, all series: {read.__name__}, tray by tray", median_ms(act, 5), "ms")
        say("... of which in statements", median_ms_in_statements(act, 5), "ms")


BLOCKS = (
    "SELECT {} FROM burnin_pollwindow w JOIN burnin_seriesblock b ON b.window_id = w.id"
    " WHERE w.attempt_id = ANY(%s) AND w.starts_at BETWEEN %s AND %s"
)


def ask_all(read: Callable[..., Any], trays: list[BurnInAttempt], hour: dict[str, Any]) -> None:
    for tray in trays:
        read(attempt=tray, pattern="*", **hour)


def in_database(statement: str, parameters: Any) -> float:
    """Return what the database itself says that a statement took, in ms."""
    explained = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    plans = [execute(explained, *parameters) for _ in range(9)]
    return statistics.median(float(plan[0][0][0]["Execution Time"]) for plan in plans)


def fetch(statement: str, parameters: Any) -> None:
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, parameters, binary=True)
        cursor.fetchall()


def median_ms_in_statements(act: Callable[[], Any], times: int = 15) -> float:
    spent: list[float] = []

    def watch(execute: Any, *arguments: Any) -> Any:
        begin = time.perf_counter()
        answer = execute(*arguments)
        spent[-1] += time.perf_counter() - begin
        return answer

    with connection.execute_wrapper(watch):
        for _ in range(times):
            spent.append(0.0)
            act()
    return 1000 * statistics.median(spent)


def measure_long_reads() -> None:
    """Read 72 h of one tray from blocks, and again from its archive."""
    run = soaked_run(1)
    attempt = run.attempts.select_related("slot").get()
    readings = list(physical_readings("long", 72 * 360))
    for first in range(0, len(readings), 1000):
        save_polls([(attempt, reading) for reading in readings[first : first + 1000]])
    end(run, BEGIN + 73 * HOUR)
    compact_run(run.pk)
    execute("VACUUM ANALYZE")
    long_reads(attempt, "blocks")
    with tempfile.TemporaryDirectory() as directory, override_settings(TELEMETRY_DIR=Path(directory)):
        begin = time.perf_counter()
        archive = archive_run(run)
        say("archive of 72 h of a tray, checked", archive.rows / (time.perf_counter() - begin), "samples/s")
        say("bytes per sample in Parquet", archive.size / archive.rows, "bytes")
        long_reads(attempt, "its archive")


def long_reads(attempt: BurnInAttempt, where: str) -> None:
    for hours in (12, 24, 72):
        until = BEGIN + hours * HOUR
        for pattern in (GPU, "*"):
            for read in (read_series, read_statistics):
                act = partial(read, attempt=attempt, pattern=pattern, until=until)
                say(f"{read.__name__}, {pattern}, {hours} h, from {where}", median_ms(act, 5), "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        run = measure_ingest(options.hours, options.rounds)
        measure_sizes(run)
        measure_reads(run)
        measure_long_reads()
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
