"""Reading meters over Redfish: power shelves by PowerSupplyMetrics, coolant loops by CoolantConnector.

A reading costs one request per power supply, or one for a loop; finding out where they are, about a dozen
once per process.
"""

import asyncio
import logging
import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from mes.burnin.redfish_explorer import ROOT, Explorer, linked
from mes.burnin.redfish_http import RedfishError
from mes.burnin.redfish_reading import Body
from mes.burnin.redfish_session import BmcAddress, BmcMemory, RedfishSession, Timeouts

K = TypeVar("K")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShelfReading:
    """What all power supplies of a shelf took in and gave out, in W, and their energy counters in kWh.

    ``taken_at`` is our clock (UTC) when the reading began. Without a counter in each supply there is none.
    """

    taken_at: datetime
    input_w: float
    output_w: float
    counter_kwh: float | None


@dataclass(frozen=True, slots=True)
class CoolantReading:
    """What a coolant loop carried: flow in L/min, and temperatures to and from the rack in Cel."""

    taken_at: datetime
    flow_l_min: float
    supply_cel: float
    return_cel: float


MeterReading = ShelfReading | CoolantReading


@dataclass(frozen=True, slots=True)
class MeterAddress:
    """How to read a meter; ``connector`` is the Id of the loop's connector, "" where there is but one."""

    bmc: BmcAddress
    is_shelf: bool
    connector: str = ""


async def read_meters(
    addresses: Mapping[K, MeterAddress],
    answers: MutableMapping[K, MeterReading | RedfishError],
    *,
    timeout: float,
    memories: MutableMapping[str, BmcMemory],
) -> None:
    """Read all meters side by side, each into ``answers`` as it comes: its reading or its error.

    Every one has answered after ``timeout`` seconds. ``memories`` keeps sessions and paths, by URL.
    """

    async def read(key: K, address: MeterAddress) -> None:
        memory = memories.setdefault(address.bmc.url, BmcMemory())
        try:
            async with asyncio.timeout(timeout):
                answers[key] = await _read(address, memory, timeout)
        except TimeoutError:
            answers[key] = RedfishError("timeout", f"no reading within {timeout:g} s")
        except RedfishError as error:
            if error.status == 404:
                memory.found.clear()
            answers[key] = error
        except Exception:
            # One meter that answers something nobody foresaw must not keep the others from being read.
            logger.exception("reading the meter %s failed", address.bmc.url)
            answers[key] = RedfishError("garbage", "the answer could not be read")

    await asyncio.gather(*(read(key, address) for key, address in addresses.items()))


async def _read(address: MeterAddress, memory: BmcMemory, timeout: float) -> MeterReading:
    taken_at = datetime.now(UTC)
    timeouts = Timeouts(connect=min(3.0, timeout), read=timeout, slow=timeout)
    async with RedfishSession(
        address.bmc, memory, keep_session=True, timeouts=timeouts, verify=True
    ) as session:
        explorer = Explorer(session, memory.found)
        if address.is_shelf:
            return shelf_reading(await session.get_all(await _find_supplies(explorer)), taken_at)
        return coolant_reading(
            await session.get(await _find_connector(explorer, address.connector)), taken_at
        )


async def _find_supplies(explorer: Explorer) -> list[str]:
    """Return the paths of the metrics of every power supply that is fitted."""
    chassis = await explorer.members(await explorer.get(ROOT), "Chassis")
    subsystems = await explorer.get_all(path for body in chassis if (path := linked(body, "PowerSubsystem")))
    supplies = [supply for body in subsystems for supply in await explorer.members(body, "PowerSupplies")]
    fitted = [supply for supply in supplies if (supply.get("Status") or {}).get("State") != "Absent"]
    paths = [path for supply in fitted if (path := linked(supply, "Metrics"))]
    if not paths or len(paths) < len(fitted):
        raise RedfishError("garbage", f"{len(paths)} of {len(fitted)} power supplies have metrics")
    return paths


async def _find_connector(explorer: Explorer, wanted: str) -> str:
    """Return the path of the secondary connector of a CDU: the one wanted, or the only one."""
    path = linked(await explorer.get(ROOT), "ThermalEquipment")
    units = await explorer.members(await explorer.get(path), "CDUs") if path else []
    connectors = [
        each for body in units for each in await explorer.members(body, "SecondaryCoolantConnectors")
    ]
    found = [str(each["@odata.id"]) for each in connectors if wanted in ("", each.get("Id"))]
    if len(found) != 1:
        which = f"the connector {wanted}" if wanted else "the one connector"
        raise RedfishError("garbage", f"{len(found)} connectors could be {which} of the rack")
    return found[0]


def shelf_reading(metrics: list[Body], taken_at: datetime) -> ShelfReading:
    """Sum up PowerSupplyMetrics resources; raises RedfishError where one lacks its power."""
    counters = [_number(body, "EnergykWh", "LifetimeReading") for body in metrics]
    known = [kwh for kwh in counters if kwh is not None]
    return ShelfReading(
        taken_at,
        input_w=sum(_required(body, "InputPowerWatts") for body in metrics),
        output_w=sum(_required(body, "OutputPowerWatts") for body in metrics),
        counter_kwh=sum(known) if len(known) == len(counters) else None,
    )


def coolant_reading(connector: Body, taken_at: datetime) -> CoolantReading:
    """Read a CoolantConnector resource; raises RedfishError where it lacks flow or a temperature."""
    return CoolantReading(
        taken_at,
        flow_l_min=_required(connector, "FlowLitersPerMinute"),
        supply_cel=_required(connector, "SupplyTemperatureCelsius"),
        return_cel=_required(connector, "ReturnTemperatureCelsius"),
    )


def _required(body: Body, name: str) -> float:
    value = _number(body, name, "Reading")
    if value is None:
        raise RedfishError("garbage", f"{body.get('@odata.id')} gives no number as {name}")
    return value


def _number(body: Body, name: str, member: str) -> float | None:
    excerpt = body.get(name)
    value = excerpt.get(member) if isinstance(excerpt, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
