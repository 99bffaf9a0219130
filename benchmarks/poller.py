"""Polls racks of simulated trays by two worker processes, through the real tick, for a few minutes.

    DATABASE_URL=postgresql://postgres@127.0.0.1:5432/postgres python benchmarks/poller.py

It makes a database of its own beside the one named, and drops it. Trays listen on real ports of 127.0.0.1.
Racks are those of the seed pack: 18 compute and 9 switch trays under the limits of profile l11-72h, soaking,
due every 10 s. Needs PostgreSQL and about 3 GB; everything ends by itself.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml

ROOT = Path(__file__).resolve().parents[1]
COMPUTE, SWITCH = 18, 9
POLL_SECONDS = 10
TICKS = os.sysconf("SC_CLK_TCK")
DATABASE = "benchmark_poller"
WARM_UP_SECONDS = 600


def setup(database: str) -> None:
    """Make Django ready to work on a database in this process."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("SECRET_KEY", "benchmarks-only-secret-key-of-fifty-characters-0123456789")
    os.environ.setdefault("MES_DATA_DIR", tempfile.gettempdir())
    os.environ.update(DATABASE_URL=database, DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="ERROR")
    import django

    django.setup()


# A worker: what a Celery worker with threads does for burn-in, with a stop-watch.


class Watch:
    """What one worker did since it was last asked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.polls: list[float] = []
        self.racks: list[float] = []
        self.ticks: list[float] = []
        self.late: list[float] = []
        self.missed = 0

    def told(self) -> dict[str, Any]:
        """Return everything since the last call."""
        with self.lock:
            found = {name: value for name, value in vars(self).items() if name != "lock"}
            self.clear()
        return found


def work(threads: int) -> None:
    """Advance due runs until standard input ends; each line there is answered by what was done so far."""
    from django.db import close_old_connections

    from mes.burnin import tasks, tick

    watch, busy = Watch(), set[int]()
    watch_ticks(watch)
    stopping = threading.Event()

    def advance(run_id: int) -> None:
        try:
            tasks.advance(run_id)
        finally:
            close_old_connections()
            busy.discard(run_id)

    def dispatch() -> None:
        with ThreadPoolExecutor(threads) as pool:
            while not stopping.wait(0.25):
                for run_id in tick.due_runs():
                    if run_id not in busy:
                        busy.add(run_id)
                        pool.submit(advance, run_id)
                close_old_connections()

    dispatcher = threading.Thread(target=dispatch)
    dispatcher.start()
    for _line in sys.stdin:
        print(json.dumps(watch.told()), flush=True)
    stopping.set()
    dispatcher.join()


def watch_ticks(watch: Watch) -> None:
    """Measure every poll of a tray, of a rack, every tick, and how long after it was due it began."""
    from mes.burnin import tick
    from mes.burnin.redfish import RedfishClient, TrayReading

    read_tray, poll, claim, advance = RedfishClient.read_tray, tick._poll, tick._claim, tick.advance_run

    async def timed_read(client: RedfishClient) -> TrayReading:
        begun = time.perf_counter()
        reading = await read_tray(client)
        watch.polls.append(time.perf_counter() - begun)
        return reading

    def timed_poll(claimed: Any) -> Any:
        begun = time.perf_counter()
        said = poll(claimed)
        with watch.lock:
            watch.racks.append(time.perf_counter() - begun)
            watch.missed += sum(not isinstance(each, TrayReading) for each in said.values())
        return said

    def timed_claim(run_id: int) -> Any:
        claimed = claim(run_id)
        if claimed is not None:
            watch.late.append((claimed.now - claimed.run.next_due_at).total_seconds())
        return claimed

    def timed_advance(run_id: int) -> bool:
        begun = time.perf_counter()
        done = advance(run_id)
        if done:
            watch.ticks.append(time.perf_counter() - begun)
        return done

    setattr(RedfishClient, "read_tray", timed_read)
    for name, timed in (("_poll", timed_poll), ("_claim", timed_claim), ("advance_run", timed_advance)):
        setattr(tick, name, timed)


# The racks.


def make_racks(number: int) -> dict[int, list[str]]:
    """Make racks with their trays installed; return the serials of each rack's trays by its primary key."""
    from mes.products.models import Slot
    from mes.racks.services import install_unit
    from tests.builders import TESTER, make_part, make_route, make_unit, ordered_unit, release

    parts = {
        "compute_tray": make_part("compute_tray", level=10),
        "switch_tray": make_part("switch_tray", level=10),
    }
    revision = make_part("rack", level=11, released=False)
    kinds = ["compute_tray"] * COMPUTE + ["switch_tray"] * SWITCH
    for order, kind in enumerate(kinds, start=1):
        slot = Slot.objects.create(
            revision=revision, name=f"S{order}", type=kind, filled_at=10, order=order, slot_number=order
        )
        slot.accepts.add(parts[kind].part)
    release(revision)
    route = make_route(revision, tests={20: "l11_burn_in"})
    racks: dict[int, list[str]] = {}
    for _ in range(number):
        rack = ordered_unit(revision, route)
        trays = [make_unit(parts[slot.type]) for slot in revision.slots.all()]
        for slot, tray in zip(revision.slots.all(), trays, strict=True):
            install_unit(parent=rack, slot=slot, child=tray, by=TESTER)
        racks[rack.pk] = [tray.serial for tray in trays]
    return racks


def start_runs(racks: dict[int, list[str]], ports: dict[str, int]) -> None:
    """Give every tray its BMC address and queue a run for each rack."""
    from mes.burnin.models import BurnInProfile, SeriesLimit
    from mes.burnin.services import set_bmc, start_run
    from mes.serials.models import Unit
    from tests.builders import TESTER, release

    seed = yaml.safe_load((ROOT / "fixtures/nvl72/burn_in.yaml").read_text())["burn_in_profiles"][0]
    part = Unit.objects.get(pk=next(iter(racks))).part_revision.part
    profile = BurnInProfile.objects.create(
        name=seed["name"],
        version=seed["version"],
        part=part,
        procedure=seed["procedure"],
        stressor=seed["stressor"],
        unit_kinds=seed["unit_kinds"],
        required_hours=seed["required_hours"],
        poll_seconds=POLL_SECONDS,
        start_seconds=WARM_UP_SECONDS,
    )
    for limit in seed["limits"]:
        limit.pop("assumption", None)
        SeriesLimit.objects.create(profile=profile, **limit)
    release(profile)
    for rack_id, serials in racks.items():
        for unit in Unit.objects.filter(serial__in=serials):
            url = f"http://127.0.0.1:{ports[unit.serial]}"
            set_bmc(unit=unit, url=url, username="factory", password="simulator", by=TESTER)
        start_run(unit=Unit.objects.get(pk=rack_id), profile=profile, by=TESTER)


def identities(racks: dict[int, list[str]]) -> list[dict[str, Any]]:
    """Return the trays as the simulator is told of them."""
    return [
        {"serial": serial, "slot_number": slot, "kind": "compute" if slot <= COMPUTE else "switch"}
        for serials in racks.values()
        for slot, serial in enumerate(serials, start=1)
    ]


# The programs.


@contextmanager
def simulators(racks: dict[int, list[str]], processes: int) -> Iterator[list[dict[str, Any]]]:
    """Run the trays in so many processes; yields what each says it serves, with its pid."""
    trays = identities(racks)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        ready = []
        for number in range(processes):
            share = Path(folder) / f"{number}.json"
            share.write_text(json.dumps(trays[number::processes]))
            command = [sys.executable, str(ROOT / "manage.py"), "bmc_simulator", "--trays", str(share)]
            ready.append(stack.enter_context(running(command)))
        yield [{**json.loads(each.stdout.readline()), "pid": each.pid} for each in ready]  # type: ignore[union-attr]


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a program with pipes until the block is left."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def own_database(url: str) -> Iterator[str]:
    """Make a database beside the one named, and drop it at the end."""
    own = f"{url.rpartition('/')[0]}/{DATABASE}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        try:
            yield own
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def counts(served: list[dict[str, Any]]) -> dict[str, Any]:
    """Return requests and connections of all trays so far, and the most any had open at once."""
    trays = []
    for each in served:
        with urllib.request.urlopen(f"http://127.0.0.1:{each['control']}/simulator/trays") as answer:
            trays += json.load(answer)["trays"].values()
    return {
        "requests": sum(tray["requests"] for tray in trays),
        "connections": sum(tray["connections"] for tray in trays),
        "peak": max(tray["peak_connections"] for tray in trays),
        "sessions": max(tray["sessions"] for tray in trays),
    }


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that processes have used; one that ended counts nothing."""
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


class DatabaseTime:
    """Processor time of the processes in which PostgreSQL serves this benchmark; they come and go."""

    def __init__(self) -> None:
        self._first = {pid: cpu_seconds([pid]) for pid in backends()}
        self._last = dict(self._first)

    def spent(self) -> float:
        """Return the time since the start; call it every second or so."""
        self._last.update({pid: cpu_seconds([pid]) for pid in backends()})
        return sum(last - self._first.get(pid, 0.0) for pid, last in self._last.items())


def machine_seconds() -> float:
    """Return the processor time used on the whole machine since it started."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, fields)
    return (user + nice + system + irq + soft) / TICKS


def backends() -> list[int]:
    """Return the processes in which PostgreSQL serves this benchmark."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return [row[0] for row in cursor.fetchall()]


def used(groups: dict[str, list[int]]) -> dict[str, float]:
    """Return the processor time of each group of processes, and of the whole machine."""
    return {**{name: cpu_seconds(pids) for name, pids in groups.items()}, "machine": machine_seconds()}


def ask(worker: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a worker did since it was last asked."""
    assert worker.stdin and worker.stdout
    worker.stdin.write("\n")
    worker.stdin.flush()
    answer: dict[str, Any] = json.loads(worker.stdout.readline())
    return answer


def await_soak(racks: int) -> float:
    """Wait until every run soaks, spread them over the interval, and return how long the wait was."""
    from mes.burnin.models import BurnInRun

    begun = time.monotonic()
    while BurnInRun.objects.filter(state="soaking").count() < racks:
        if time.monotonic() - begun > WARM_UP_SECONDS:
            raise SystemExit(list(BurnInRun.objects.values_list("state", "waits_for")))
        time.sleep(1)
    now = datetime.now(UTC)
    for number, run in enumerate(BurnInRun.objects.order_by("pk")):
        due = now + timedelta(seconds=POLL_SECONDS * (1 + number / racks))
        BurnInRun.objects.filter(pk=run.pk).update(next_due_at=due)
    return time.monotonic() - begun


def database_limit(seconds: float = 5.0) -> float:
    """Return how many ticks a second the database alone takes: their statistics written by one statement."""
    from django.db import connection, transaction

    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(id ORDER BY id) FROM burnin_burninattempt GROUP BY run_id")
        runs = [ids for (ids,) in cursor.fetchall()]
        cursor.execute("SELECT statistics::text FROM burnin_burninattempt WHERE id = ANY(%s)", [runs[0]])
        texts = [text for (text,) in cursor.fetchall()]
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            with transaction.atomic():
                cursor.execute(
                    "UPDATE burnin_burninattempt a SET statistics = n.value::jsonb, last_poll_at = now() "
                    "FROM unnest(%s::bigint[], %s::text[]) n(id, value) WHERE a.id = n.id",
                    [runs[done % len(runs)], texts],
                )
            done += 1
    return done / (time.perf_counter() - begun)


# The report.


def shares(values: list[float], unit: str = "ms", scale: float = 1000) -> str:
    """Return median, 99th percentile and maximum in words."""
    if not values:
        return "none"
    cuts = statistics.quantiles(values, n=100) if len(values) > 1 else [values[0]] * 99
    return f"p50 {cuts[49] * scale:.0f}, p99 {cuts[98] * scale:.0f}, most {max(values) * scale:.0f} {unit}"


def report(told: list[dict[str, Any]], before: dict[str, Any], after: dict[str, Any], seconds: float) -> None:
    """Print what was measured."""
    both: dict[str, list[float]] = {
        name: [value for each in told for value in each[name]] for name in ("polls", "racks", "ticks", "late")
    }
    missed = sum(each["missed"] for each in told)
    requests = after["requests"] - before["requests"]
    late = sum(value > 1.0 for value in both["late"])
    over = sum(value > POLL_SECONDS for value in both["late"])
    print(f"requests/s            {requests / seconds:.0f}")
    print(f"tray polls/s          {len(both['polls']) / seconds:.1f} ({missed} missed)")
    print(f"ticks/s               {len(both['ticks']) / seconds:.2f}")
    print(f"poll of one tray      {shares(both['polls'])}")
    print(f"poll of one rack      {shares(both['racks'])}")
    print(f"whole tick            {shares(both['ticks'])}")
    print(f"begun after due       {shares(both['late'])}")
    print(f"later than 1 s / 10 s {late} / {over} of {len(both['late'])} ticks")
    print(f"connections opened    {after['connections'] - before['connections']} for {requests} requests")
    print(f"most at one BMC       {after['peak']} connections, {after['sessions']} sessions")
    for name in ("workers", "simulators", "postgresql", "machine"):
        spent = after[name] - before[name]
        each = 1000 * spent / max(1, len(both["polls"]))
        print(f"CPU {name:<17} {spent:.1f} s, {spent / seconds:.2f} cores, {each:.2f} ms a tray poll")


def measure(options: argparse.Namespace, racks: dict[int, list[str]], served: list[dict[str, Any]]) -> None:
    """Run the workers, wait until all racks soak, and report on the seconds after."""
    command = [sys.executable, __file__, "--work", str(options.threads)]
    with ExitStack() as stack:
        workers = [stack.enter_context(running(command)) for _ in range(options.workers)]
        print(f"soaking after {await_soak(len(racks)):.0f} s", flush=True)
        time.sleep(2 * POLL_SECONDS)
        groups = {
            "workers": [worker.pid for worker in workers],
            "simulators": [each["pid"] for each in served],
        }
        for worker in workers:
            ask(worker)
        database = DatabaseTime()
        before, begun = {**counts(served), **used(groups), "postgresql": 0.0}, time.monotonic()
        while time.monotonic() - begun < options.seconds:
            time.sleep(1)
            database.spent()
        seconds = time.monotonic() - begun
        after = {**counts(served), **used(groups), "postgresql": database.spent()}
        report([ask(worker) for worker in workers], before, after, seconds)
        done = len(racks) * len(next(iter(racks.values()))) * seconds / POLL_SECONDS
        print(f"polls due             {done:.0f}")
        for worker in workers:
            worker.communicate("", timeout=60)
    print(f"database alone        {database_limit():.1f} ticks/s")


def main() -> None:
    """Run the benchmark, or one of its workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--racks", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8, help="of each worker")
    parser.add_argument("--simulators", type=int, default=2, help="processes that serve the trays")
    parser.add_argument("--work", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.work:
        setup(os.environ["DATABASE_URL"])
        work(options.work)
        return
    with own_database(os.environ["DATABASE_URL"]) as database:
        setup(database)
        os.environ.setdefault("BURNIN_BMC_CONNECTIONS", str(max(1, 4 // options.workers)))
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
        from django.db import transaction

        with transaction.atomic():
            racks = make_racks(options.racks)
        with simulators(racks, options.simulators) as served:
            ports = {serial: port for each in served for serial, port in each["trays"].items()}
            with transaction.atomic():
                start_runs(racks, ports)
            print(f"{len(racks)} racks, {len(ports)} trays, {options.workers} workers", flush=True)
            measure(options, racks, served)


if __name__ == "__main__":
    main()
