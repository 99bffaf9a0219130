"""A simulator of tray BMCs: Redfish over HTTP on 127.0.0.1, one port per tray, and a control port beside.

    async with serve_trays([TrayIdentity("TRAY-1")], speed=60) as simulator: ...   # in an event loop
    with running_simulator([TrayIdentity("TRAY-1")]) as simulator: ...             # in a thread

The control port is for tests and demonstrations and asks for no login; it is no part of Redfish:
``GET /simulator/trays``, ``POST /simulator/faults`` and ``POST /simulator/neighbours``, which swaps whom two
ports see: ``{tray, port, other_tray, other_port}``.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from mes.simulators.bmc_expand import answer_query
from mes.simulators.bmc_faults import Fault
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_log import ServedLog, ignore
from mes.simulators.bmc_meters import SimulatedMeter
from mes.simulators.bmc_tray import NOT_ALLOWED, NOT_FOUND, SimulatedTray
from mes.simulators.http import BadRequest, HttpServer, Request, Response, json_response

T = TypeVar("T")


class Simulator:
    """Running trays. Use it only inside its event loop; from elsewhere take ``running_simulator``."""

    def __init__(
        self, trays: Iterable[TrayIdentity], *, speed: float = 1.0, log: ServedLog | None = None
    ) -> None:
        identities = list(trays)
        self.trays = {
            identity.serial: SimulatedTray(
                identity, speed=speed, note=log.of(identity.serial) if log else ignore
            )
            for identity in identities
            if not identity.is_meter
        }
        self.meters = self._meters([identity for identity in identities if identity.is_meter], speed)
        self.devices: dict[str, SimulatedTray | SimulatedMeter] = {**self.trays, **self.meters}
        self.servers = {serial: HttpServer(device.handle) for serial, device in self.devices.items()}
        self.control = HttpServer(self.handle_control)

    @property
    def ports(self) -> dict[str, int]:
        """Return the TCP port of each tray by its serial."""
        return {serial: server.port for serial, server in self.servers.items()}

    def set_fault(
        self, serial: str, fault: str, *, after_seconds: float = 0.0, for_seconds: float | None = None
    ) -> None:
        """Make something go wrong with a tray; "none" clears. Raises KeyError or ValueError when unknown."""
        self.devices[serial].set_fault(Fault(fault), after_seconds=after_seconds, for_seconds=for_seconds)

    def swap_neighbours(self, serial: str, port: str, other: str, other_port: str) -> None:
        """Let two ports see each other's neighbour, as when their cables are swapped; KeyError when unknown.

        A port that sees nobody may be one of them: its cable is then pulled.
        """
        one, two = self.trays[serial].neighbours, self.trays[other].neighbours
        here, there = one.pop(port, None), two.pop(other_port, None)
        if here is not None:
            two[other_port] = here
        if there is not None:
            one[port] = there

    def status(self) -> dict[str, dict[str, Any]]:
        """Return port, counts, faults, stress and served reports of each tray by its serial."""
        return {serial: self._status_of(serial) for serial in self.devices}

    def handle_control(self, request: Request) -> Response:
        """Answer the control port."""
        if (request.method, request.path) == ("GET", "/simulator/trays"):
            return json_response({"trays": self.status()})
        if (request.method, request.path) == ("POST", "/simulator/faults"):
            return self._plan_fault(request.json())
        if (request.method, request.path) == ("POST", "/simulator/neighbours"):
            return self._swap(request.json())
        return NOT_FOUND

    async def start(self, *, control_port: int = 0, first_port: int = 0) -> None:
        """Listen on every port; trays take ``first_port`` and up, or any free ones for 0."""
        await self.control.start(control_port)
        for number, server in enumerate(self.servers.values()):
            await server.start(first_port + number if first_port else 0)

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        await self.control.stop()
        for server in self.servers.values():
            await server.stop()

    def _meters(self, identities: list[TrayIdentity], speed: float) -> dict[str, SimulatedMeter]:
        """Return the meters: the shelves share what the trays draw equally, a CDU cools all of them."""
        shelves = sum(identity.kind == "power_shelf" for identity in identities)

        def drawn() -> float:
            return sum(tray.host.drawn_watts() for tray in self.trays.values())

        def share() -> float:
            return drawn() / shelves

        return {
            identity.serial: SimulatedMeter(
                identity, load=share if identity.kind == "power_shelf" else drawn, speed=speed
            )
            for identity in identities
        }

    def _status_of(self, serial: str) -> dict[str, Any]:
        server = self.servers[serial]
        counts = {
            "requests": server.requests,
            "connections": server.connections,
            "open_connections": server.open_connections,
            "peak_connections": server.peak_connections,
        }
        return {"port": server.port, **counts, **self.devices[serial].status()}

    def _swap(self, payload: Mapping[str, Any]) -> Response:
        asked = [str(payload.get(name)) for name in ("tray", "port", "other_tray", "other_port")]
        try:
            self.swap_neighbours(*asked)
        except KeyError as error:
            raise BadRequest(f"no such tray: {error}") from error
        return json_response({serial: self.trays[serial].neighbours for serial in (asked[0], asked[2])})

    def _plan_fault(self, payload: Mapping[str, Any]) -> Response:
        serial, lasting = str(payload.get("tray")), payload.get("for_seconds")
        try:
            after = float(payload.get("after_seconds") or 0.0)
            duration = None if lasting is None else float(lasting)
            self.set_fault(serial, str(payload.get("fault")), after_seconds=after, for_seconds=duration)
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(f"no such tray, fault or time: {error}") from error
        return json_response({"tray": serial, "faults": self.devices[serial].status()["faults"]})


@asynccontextmanager
async def serve_trays(
    trays: Iterable[TrayIdentity],
    *,
    speed: float = 1.0,
    control_port: int = 0,
    first_port: int = 0,
    log: ServedLog | None = None,
) -> AsyncIterator[Simulator]:
    """Run simulated trays in this event loop; ``speed`` is simulated seconds per second, for physics only.

    What they serve is written to ``log``. Raises OSError when a port is taken.
    """
    simulator = Simulator(trays, speed=speed, log=log)
    try:
        await simulator.start(control_port=control_port, first_port=first_port)
        yield simulator
    finally:
        await simulator.stop()


def static_handler(tree: Mapping[str, Any]) -> Callable[[Request], Response]:
    """Return a handler that serves a captured ``{path: body}`` tree as it is, to anybody, read-only.

    Collections are expanded where the tree says that its BMC does.
    """
    bodies = {path.rstrip("/"): body for path, body in tree.items()}
    answers = {path: json_response(body) for path, body in bodies.items()}

    def handle(request: Request) -> Response:
        if request.method != "GET":
            return NOT_ALLOWED
        if request.query:
            return answer_query(bodies, request.path, request.query, bodies.__getitem__)
        return answers.get(request.path, NOT_FOUND)

    return handle


@asynccontextmanager
async def serve_tree(tree: Mapping[str, Any], *, port: int = 0) -> AsyncIterator[HttpServer]:
    """Serve a captured tree on one port in this event loop."""
    server = HttpServer(static_handler(tree))
    try:
        await server.start(port)
        yield server
    finally:
        await server.stop()


class SimulatorThread:
    """A simulator running in a thread of its own; every method may be called from any other thread."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._simulator = simulator
        self._loop = loop

    @property
    def ports(self) -> dict[str, int]:
        """Return the TCP port of each tray by its serial."""
        return self._simulator.ports

    @property
    def control_port(self) -> int:
        """Return the TCP port of the control endpoint."""
        return self._simulator.control.port

    def url(self, serial: str) -> str:
        """Return the base address of a tray's BMC."""
        return f"http://127.0.0.1:{self.ports[serial]}"

    def set_fault(
        self, serial: str, fault: str, *, after_seconds: float = 0.0, for_seconds: float | None = None
    ) -> None:
        """Make something go wrong with a tray; see Simulator.set_fault."""
        self._call(
            lambda: self._simulator.set_fault(
                serial, fault, after_seconds=after_seconds, for_seconds=for_seconds
            )
        )

    def swap_neighbours(self, serial: str, port: str, other: str, other_port: str) -> None:
        """Let two ports see each other's neighbour; see Simulator.swap_neighbours."""
        self._call(lambda: self._simulator.swap_neighbours(serial, port, other, other_port))

    def status(self, serial: str) -> dict[str, Any]:
        """Return what the control port tells of a tray."""
        return self._call(self._simulator.status)[serial]

    def _call(self, function: Callable[[], T]) -> T:
        async def inside() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(timeout=10)


@contextmanager
def running_simulator(
    trays: Iterable[TrayIdentity],
    *,
    speed: float = 1.0,
    control_port: int = 0,
    first_port: int = 0,
    log: ServedLog | None = None,
) -> Iterator[SimulatorThread]:
    """Run simulated trays in a thread until the block is left; see serve_trays."""
    simulator = Simulator(trays, speed=speed, log=log)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bmc-simulator", daemon=True)
    thread.start()
    try:
        start = simulator.start(control_port=control_port, first_port=first_port)
        asyncio.run_coroutine_threadsafe(start, loop).result(timeout=10)
        yield SimulatorThread(simulator, loop)
    finally:
        asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()
