"""Archives: one Parquet file per ended run, read back before the blocks go, and read by the same door."""

import hashlib
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from mes.burnin import archive, tasks
from mes.burnin.archive import ArchiveDiffersError, archive_due, archive_run
from mes.burnin.models import BurnInAttempt, BurnInRun, Poll, PollWindow, SeriesBlock, TelemetryArchive
from mes.burnin.telemetry import read_series, read_statistics
from mes.errors import RuleViolation
from mes.ledger.models import Event
from tests.builders import make_scanner, make_site, make_station, supervisor_client
from tests.burnin.processes import kill_in_the_middle
from tests.burnin.samples import BEGIN, end, physical_readings, save, save_physics, soaked_run, tray_reading
from tests.test_admin_pages import staff_client

GPU = "HGX_GPU_0_TEMP_0"


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Path) -> Path:
    """Let the archives of a test lie in a directory of its own."""
    directory = tmp_path / "telemetry"
    directory.mkdir()
    settings.TELEMETRY_DIR = directory
    return directory


def ended_run() -> BurnInRun:
    """Make a run of two trays, one of which was swapped and once left series out, that has ended."""
    run = soaked_run(2)
    save_physics(run, 70)
    first = run.attempts.order_by("pk").first()
    assert first is not None
    save(first, [tray_reading(BEGIN + timedelta(hours=1), {GPU: None, "extra": 3.25})])
    BurnInAttempt.objects.filter(pk=first.pk).update(state="superseded")
    again = BurnInAttempt.objects.create(run=run, slot=first.slot, unit=first.unit, number=2)
    save(again, list(physical_readings("again", 20, begin=BEGIN + timedelta(hours=2))))
    end(run)
    return run


def told(run: BurnInRun) -> list[Any]:
    """Return what the door says of every tray of a run, in several ways."""
    since, until = BEGIN + timedelta(minutes=3), BEGIN + timedelta(hours=1)
    return [
        (
            read_series(attempt=attempt, pattern="*"),
            read_series(attempt=attempt, pattern="*GPU_?_TEMP_0", since=since, until=until),
            counted(attempt),
        )
        for attempt in run.attempts.select_related("slot").order_by("pk")
    ]


def counted(attempt: BurnInAttempt) -> dict[str, Any]:
    """Return statistics by series; a mean of sums in another order differs in its last bits."""
    return {
        each.name: (each.count, each.minimum, each.maximum, f"{each.mean or 0:.12g}")
        for each in read_statistics(attempt=attempt, pattern="*")
    }


@pytest.mark.django_db
def test_an_archived_run_reads_as_before(files: Path) -> None:
    run = ended_run()
    before = told(run)
    row = archive_run(run)
    path = files / row.file
    assert [each.name for each in files.iterdir() if each.name != "lock"] == [f"{run.uid}.parquet"]
    assert (row.size, row.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    assert row.rows == 160 * 94 + 2
    assert [model.objects.count() for model in (Poll, PollWindow, SeriesBlock)] == [0, 0, 0]
    assert told(run) == before
    assert archive_run(run) == row
    event = Event.objects.get(kind="burn_in.archived")
    assert event.payload == {"file": row.file, "size": row.size, "sha256": row.sha256, "rows": row.rows}


@pytest.mark.django_db
def test_duckdb_and_pandas_read_the_file(files: Path) -> None:
    run = ended_run()
    attempt = run.attempts.select_related("slot", "unit").order_by("pk")[1]
    (expected,) = read_statistics(attempt=attempt, pattern=GPU)
    row = archive_run(run)
    path = str(files / row.file)
    asked = (
        "SELECT count(*), count(value), min(value), max(value), avg(value), any_value(unit),"
        ' any_value(serial), any_value(run), epoch_us(min("at")) FROM read_parquet(?)'
        " WHERE slot = ? AND attempt = 1 AND series = ?"
    )
    answer = duckdb.execute(asked, [path, attempt.slot.name, GPU]).fetchone()
    begin = int(BEGIN.timestamp()) * 1_000_000
    who = ("Cel", attempt.unit.serial, str(run.uid))
    mean = pytest.approx(expected.mean)
    assert answer == (70, 70, expected.minimum, expected.maximum, mean, *who, begin)
    frame = pd.read_parquet(path)
    assert list(frame) == ["run", "slot", "attempt", "serial", "series", "unit", "at", "value"]
    assert (len(frame), str(frame["at"].dtype), frame["at"].min()) == (row.rows, "datetime64[us, UTC]", BEGIN)
    chosen = frame[(frame.slot == attempt.slot.name) & (frame.attempt == 1) & (frame.series == GPU)]
    assert (chosen.value.count(), chosen.value.max()) == (expected.count, expected.maximum)
    assert frame[frame.series == "extra"].value.tolist() == [3.25]
    # A sample without a value is null, and no number to calculate with.
    assert frame[(frame["at"] == BEGIN + timedelta(hours=1)) & (frame.series == GPU)].value.isna().all()


@pytest.mark.django_db
def test_what_cannot_be_read_back_is_not_trusted(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ended_run()
    before, write = told(run), archive._write_file

    def write_wrongly(run: BurnInRun, path: Path) -> Any:
        written = write(run, path)
        table = pq.read_table(path)
        values = table["value"].to_numpy().copy()
        values[5] += 1
        pq.write_table(table.set_column(7, "value", [values]), path, row_group_size=written[0].rows)
        return written

    monkeypatch.setattr(archive, "_write_file", write_wrongly)
    with pytest.raises(ArchiveDiffersError):
        archive_run(run)
    assert archive_due(0) == []
    assert [each.name for each in files.iterdir()] == ["lock"]
    assert not TelemetryArchive.objects.exists() and told(run) == before


@pytest.mark.django_db
def test_samples_that_come_while_it_is_written_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ended_run()
    read_back = archive._read_back

    def come_late(path: Path) -> Any:
        save(run.attempts.order_by("pk")[1], [tray_reading(BEGIN + timedelta(hours=3), {GPU: 60.0})])
        return read_back(path)

    monkeypatch.setattr(archive, "_read_back", come_late)
    with pytest.raises(ArchiveDiffersError):
        archive_run(run)
    monkeypatch.setattr(archive, "_read_back", read_back)
    assert archive_run(run).rows == 160 * 94 + 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["_read_back", "record"])
def test_an_archiver_killed_half_way_leaves_nothing_half(files: Path, tmp_path: Path, moment: str) -> None:
    run = ended_run()
    before = told(run)
    statement = (
        "from django.conf import settings; from pathlib import Path\n"
        f"settings.TELEMETRY_DIR = Path({str(files)!r})\n"
        "from mes.burnin.models import BurnInRun; module.archive_run(BurnInRun.objects.get())"
    )
    kill_in_the_middle(tmp_path, "mes.burnin.archive", moment, statement)
    assert not TelemetryArchive.objects.exists() and PollWindow.objects.exists()
    assert told(run) == before
    row = archive_run(run)
    assert {each.name for each in files.iterdir()} == {"lock", row.file}
    assert told(run) == before


@pytest.mark.django_db(transaction=True)
def test_in_two_transactions_a_killed_archiver_loses_the_samples(files: Path, tmp_path: Path) -> None:
    run = ended_run()
    before = told(run)
    statement = (
        "from mes.burnin.models import BurnInRun, TelemetryArchive\n"
        "TelemetryArchive.objects.create = lambda **_: None\n"
        "module.archive_run(BurnInRun.objects.get())"
    )
    kill_in_the_middle(tmp_path, "mes.burnin.archive", "record", statement, split=True)
    assert told(run) != before


def refused(code: str, run: BurnInRun) -> None:
    with pytest.raises(RuleViolation) as refusal:
        archive_run(run)
    assert refusal.value.code == code and refusal.value.next_step


@pytest.mark.django_db
def test_what_is_refused(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = soaked_run()
    refused("burn_in_not_ended", run)
    end(run)
    refused("nothing_to_archive", run)
    save_physics(run, 3)
    write = archive._write_file

    def meanwhile(run: BurnInRun, path: Path) -> Any:
        refused("archive_being_written", run)
        return write(run, path)

    monkeypatch.setattr(archive, "_write_file", meanwhile)
    row = archive_run(run)
    (files / row.file).unlink()
    with pytest.raises(RuleViolation) as missing:
        told(run)
    assert missing.value.code == "archive_missing"
    address = f"/api/v1/burn-in-runs/{run.uid}/readings/"
    answer = supervisor_client().get(address, {"slot": "C1", "series": "*"})
    assert (answer.status_code, answer.json()["code"]) == (404, "archive_missing")


@pytest.mark.django_db
def test_runs_are_archived_by_their_age(settings: Any) -> None:
    old, young, going_on = soaked_run(), soaked_run(), soaked_run()
    for run in (old, young, going_on):
        save_physics(run, 3)
    now = timezone.now()
    end(old, now - timedelta(days=8))
    end(young, now - timedelta(days=6))
    tasks.compact()
    tasks.archive()
    assert not TelemetryArchive.objects.exists()
    settings.BURNIN_ARCHIVE_DAYS = 7.0
    tasks.archive()
    tasks.archive()
    assert TelemetryArchive.objects.get().run == old
    said = StringIO()
    call_command("burnin_archive", "--older-than", "5.5", stdout=said)
    assert said.getvalue().startswith(f"{young.uid}.parquet: 282 samples, ")
    assert not TelemetryArchive.objects.filter(run=going_on).exists()


@pytest.mark.django_db
def test_the_command_archives_one_run() -> None:
    run = ended_run()
    said = StringIO()
    call_command("burnin_archive", str(run.uid), stdout=said)
    assert said.getvalue().startswith(f"{run.uid}.parquet: 15042 samples, ")
    with pytest.raises(CommandError, match="BURNIN_ARCHIVE_DAYS is not set"):
        call_command("burnin_archive")
    with pytest.raises(CommandError, match="There is no burn-in run"):
        call_command("burnin_archive", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(CommandError, match="it has not ended"):
        call_command("burnin_archive", str(soaked_run().uid))


@pytest.mark.django_db
def test_who_may_download() -> None:
    run = ended_run()
    address = f"/api/v1/burn-in-runs/{run.uid}/samples/"
    reader = staff_client("view_telemetryarchive", "view_burninrun")
    assert reader.get(address).status_code == 404
    row = archive_run(run)
    answer = reader.get(address)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{row.file}"'
    content = answer.getvalue()
    assert hashlib.sha256(content).hexdigest() == row.sha256
    listing = reader.get("/admin/burnin/telemetryarchive/").content.decode()
    assert f'href="{address}"' in listing
    assert staff_client("view_burninrun").get(address).status_code == 403
    foreign = make_scanner(make_station(site=make_site("S2")))
    assert foreign.client.get(address).status_code == 404
    assert make_scanner().client.get(address).status_code == 200
