"""Reading trays through their BMCs: the only place where burn-in talks Redfish.

A poll is four requests: two metric reports, one LeakDetection and the system. A BMC without such reports is
read by its collections of sensors, or sensor by sensor (see redfish_source). The leak detectors themselves
are read (one request each) as soon as the summed-up health is not OK, or the voltage of any detector is
missing, stale or outside its limits: a detector is taken as dry unread only when both signals say so.
"""

import asyncio
import ssl
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from mes.burnin.redfish_http import RedfishError
from mes.burnin.redfish_inventory import Component, Inventory, collect_inventory
from mes.burnin.redfish_layout import RESET, discover_layout, find_system, system_identity
from mes.burnin.redfish_ports import PortSeen, collect_ports
from mes.burnin.redfish_reading import (
    Body,
    LeakDetection,
    Sample,
    Source,
    TrayLayout,
    TrayReading,
    is_surely_dry,
    leaking,
    parse_report,
    parse_sensor,
    parse_sensors,
    position,
    series_name,
    stress_active,
    system_health,
)
from mes.burnin.redfish_session import BmcAddress, BmcMemory, RedfishSession, Timeouts, gather_all

__all__ = [
    "BmcAddress",
    "BmcMemory",
    "Component",
    "Inventory",
    "PortSeen",
    "RedfishClient",
    "RedfishError",
    "Sample",
    "Timeouts",
    "TrayReading",
    "read_inventories",
    "read_trays",
]

START_STRESS = "#RackMES.StartStress"
STOP_STRESS = "#RackMES.StopStress"

K = TypeVar("K")


class RedfishClient:
    """One BMC, as an async context manager; every method raises only RedfishError.

    Hand in the same ``memory`` each time to keep the login session and what discovery found; without one the
    client logs out at the end. ``reports`` are the Ids of the metric reports to poll, if not the usual ones.
    """

    def __init__(
        self,
        address: BmcAddress,
        *,
        memory: BmcMemory | None = None,
        reports: Sequence[str] = (),
        timeouts: Timeouts | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._reports = reports
        self._memory = memory or BmcMemory()
        self._session = RedfishSession(
            address,
            self._memory,
            keep_session=memory is not None,
            timeouts=timeouts or Timeouts(),
            verify=verify,
        )

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)

    async def read_tray(self) -> TrayReading:
        """Poll the tray once; the first poll also discovers where everything is (about 100 requests)."""
        taken_at = datetime.now(UTC)
        with self._checked_answers():
            return await self._poll(await self._layout(), taken_at)

    async def read_inventory(self) -> Inventory:
        """Read what the tray is made of, all of it afresh."""
        with self._checked_answers():
            return await collect_inventory(self._session)

    async def read_ports(self) -> tuple[PortSeen, ...]:
        """Read the ports of adapters, processors and managers, and whom they see."""
        with self._checked_answers():
            return await collect_ports(self._session)

    async def start_stress(self, profile: str, intent_key: str, load_percent: float | None = None) -> None:
        """Start the stress workload; the BMC carries out each intent key once, however often it is sent.

        A load of less than 100 is sent as ``LoadPercent``; an agent that does not know it refuses.
        """
        load = {} if load_percent in {None, 100.0} else {"LoadPercent": load_percent}
        await self._act(START_STRESS, {"Profile": profile, "IntentKey": intent_key, **load})

    async def stop_stress(self, intent_key: str) -> None:
        """Stop the stress workload; see start_stress about the key."""
        await self._act(STOP_STRESS, {"IntentKey": intent_key})

    async def power_off(self, intent_key: str) -> None:
        """Cut the host's power at once unless it is off: a Redfish reset has no key, so state decides."""
        await self._switch_power("ForceOff", intent_key, unless=("Off", "PoweringOff"))

    async def power_on(self, intent_key: str) -> None:
        """Power the host on, unless it is on already."""
        await self._switch_power("On", intent_key, unless=("On", "PoweringOn"))

    async def _layout(self) -> TrayLayout:
        if self._memory.layout is None:
            self._memory.layout = await discover_layout(self._session, self._reports)
            self._memory.found.clear()
        return self._memory.layout

    @contextmanager
    def _checked_answers(self) -> Iterator[None]:
        """Turn answers not shaped like Redfish into RedfishError; a vanished resource voids the memory."""
        try:
            yield
        except RedfishError as error:
            if error.status == 404:
                self._memory.layout = self._memory.system = None
                self._memory.found.clear()
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            what = type(error).__name__
            raise RedfishError("garbage", f"an answer is not shaped like Redfish: {what}") from error

    async def _poll(self, layout: TrayLayout, taken_at: datetime) -> TrayReading:
        leak_paths = [detection.path for detection in layout.leak_detections]
        first = [layout.system, *leak_paths]
        source = layout.source
        bodies = await self._session.get_all([*first, *source.reports, *source.collections])
        system, rollups = bodies[0], bodies[1 : len(first)]
        samples, words = _parse(source, bodies[len(first) :], taken_at)
        samples += await gather_all(self._sensor(path, taken_at) for path in source.sensors)
        leak = await self._leaks(layout.leak_detections, rollups, samples)
        layout = await self._placed(layout, system)
        serial, boot_id = layout.identity
        return TrayReading(
            taken_at=taken_at,
            samples=tuple(samples),
            leak=leak,
            leak_detectors=sum(len(detection.detectors) for detection in layout.leak_detections),
            boot_id=boot_id,
            serial=serial,
            slot_number=layout.slot_number,
            tray_index=layout.tray_index,
            health={**system_health(system), **words},
            stress_active=stress_active(system),
        )

    async def _sensor(self, path: str, taken_at: datetime) -> Sample:
        """Read one sensor; one that its BMC fails to read has no value and hinders no other."""
        try:
            return parse_sensor(await self._session.get(path), taken_at)
        except RedfishError as error:
            if error.status is None or error.status < 500:
                raise
            return Sample(series_name(path), None, taken_at)

    async def _leaks(
        self, detections: Sequence[LeakDetection], rollups: Sequence[Body], samples: Sequence[Sample]
    ) -> tuple[str, ...]:
        volts = {sample.series: sample.value for sample in samples}
        names: list[str] = []
        for detection, body in zip(detections, rollups, strict=True):
            if not is_surely_dry(detection, body, volts):
                names += await self._leaking(detection, body, volts)
        return tuple(names)

    async def _leaking(
        self, detection: LeakDetection, body: Body, volts: Mapping[str, float | None]
    ) -> tuple[str, ...]:
        paths = [detector.path for detector in detection.detectors]
        try:
            states = dict(zip(paths, await self._session.get_all(paths), strict=True))
        except RedfishError:
            # A leak that is evident already must not wait for the BMC to name the detector.
            if evident := leaking(detection, body, volts, {}):
                return evident
            raise
        return leaking(detection, body, volts, states)

    async def _placed(self, layout: TrayLayout, system: Body) -> TrayLayout:
        """Return the layout with the position read again if another tray, or another boot, answers."""
        identity = system_identity(system)
        if identity != layout.identity:
            chassis = await self._session.get(layout.position_path) if layout.position_path else {}
            slot_number, tray_index = position(chassis) or (None, None)
            layout = replace(layout, identity=identity, slot_number=slot_number, tray_index=tray_index)
            self._memory.layout = layout
        return layout

    async def _act(self, action: str, payload: dict[str, Any]) -> None:
        with self._checked_answers():
            system = await self._session.get(await find_system(self._session))
            offered = system.get("Actions", {}).get("Oem", {})
            if action not in offered:
                raise RedfishError("http_error", f"the BMC does not offer {action}")
            await self._session.post(offered[action]["target"], payload)

    async def _switch_power(self, reset_type: str, intent_key: str, *, unless: tuple[str, ...]) -> None:
        with self._checked_answers():
            system = await self._session.get(await find_system(self._session))
            if system.get("PowerState") in unless:
                return
            target = system["Actions"][RESET]["target"]
            await self._session.post(target, {"ResetType": reset_type}, intent_key=intent_key)


def _parse(source: Source, bodies: Sequence[Body], taken_at: datetime) -> tuple[list[Sample], dict[str, str]]:
    """Return the samples of a source's reports and collections, and the metrics that are words."""
    samples, words = list[Sample](), dict[str, str]()
    for body in bodies[: len(source.reports)]:
        found, told = parse_report(body, taken_at, source.units)
        samples += found
        words.update(told)
    for body in bodies[len(source.reports) :]:
        samples += parse_sensors(body, taken_at)
    return samples, words


async def read_trays(
    addresses: Mapping[K, BmcAddress],
    *,
    timeout: float,
    memories: MutableMapping[str, BmcMemory] | None = None,
    reports: Sequence[str] = (),
    verify: ssl.SSLContext | bool = True,
) -> dict[K, TrayReading | RedfishError]:
    """Poll all trays at once; every tray has its reading or its error within ``timeout`` seconds.

    ``memories`` keeps sessions and layouts between polls, by URL; entries are added as needed.
    """
    timeouts = Timeouts(connect=min(3.0, timeout), read=timeout, slow=timeout)

    async def read(address: BmcAddress) -> TrayReading | RedfishError:
        memory = None if memories is None else memories.setdefault(address.url, BmcMemory())
        try:
            async with (
                asyncio.timeout(timeout),
                RedfishClient(
                    address, memory=memory, reports=reports, timeouts=timeouts, verify=verify
                ) as client,
            ):
                return await client.read_tray()
        except TimeoutError:
            return RedfishError("timeout", f"no reading within {timeout:g} s")
        except RedfishError as error:
            return error

    readings = await asyncio.gather(*(read(address) for address in addresses.values()))
    return dict(zip(addresses, readings, strict=True))


async def read_inventories(
    addresses: Mapping[K, BmcAddress], *, timeout: float, at_once: int
) -> dict[K, Inventory | RedfishError]:
    """Read what units are made of, ``at_once`` of them together; each has ``timeout`` seconds from its turn.

    Every one has its inventory or its error after ``timeout`` seconds for each ``at_once`` of them.
    """
    turns = asyncio.Semaphore(at_once)

    async def read(address: BmcAddress) -> Inventory | RedfishError:
        async with turns:
            try:
                async with asyncio.timeout(timeout), RedfishClient(address) as client:
                    return await client.read_inventory()
            except TimeoutError:
                return RedfishError("timeout", f"no inventory within {timeout:g} s")
            except RedfishError as error:
                return error

    found = await asyncio.gather(*(read(address) for address in addresses.values()))
    return dict(zip(addresses, found, strict=True))
