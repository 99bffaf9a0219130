"""Reading the ports of many BMCs side by side. Call it outside any transaction: a BMC may take its time."""

import asyncio
import logging
from collections.abc import Iterable

from mes.burnin.bmc import find_address, remembered
from mes.burnin.bmc_loop import ask
from mes.burnin.models import BmcEndpoint
from mes.burnin.redfish import RedfishClient
from mes.burnin.redfish_http import RedfishError
from mes.burnin.redfish_ports import PortSeen
from mes.burnin.redfish_session import BmcAddress

SECONDS = 30.0
SIDE_BY_SIDE = 8
Said = tuple[PortSeen, ...] | str

logger = logging.getLogger(__name__)


def read_ports(*, endpoints: Iterable[BmcEndpoint], seconds: float = SECONDS) -> dict[int, Said]:
    """Return the ports behind each BMC, by the primary key of its unit; in words why one did not answer.

    Each BMC has ``seconds`` to answer.
    """
    addresses = {endpoint.unit_id: find_address(endpoint) for endpoint in endpoints}
    said: dict[int, Said] = {key: value for key, value in addresses.items() if isinstance(value, str)}
    reachable = {key: value for key, value in addresses.items() if isinstance(value, BmcAddress)}
    said.update(ask(_read_all(reachable, seconds)))
    return said


async def _read_all(addresses: dict[int, BmcAddress], seconds: float) -> dict[int, Said]:
    turn = asyncio.Semaphore(SIDE_BY_SIDE)

    async def read(address: BmcAddress) -> Said:
        async with turn:
            return await _read(address, seconds)

    answers = await asyncio.gather(*(read(address) for address in addresses.values()))
    return dict(zip(addresses, answers, strict=True))


async def _read(address: BmcAddress, seconds: float) -> Said:
    try:
        async with (
            asyncio.timeout(seconds),
            RedfishClient(address, memory=remembered(address)) as client,
        ):
            return await client.read_ports()
    except TimeoutError:
        return f"timeout: no answer within {seconds:g} s"
    except RedfishError as error:
        return str(error)
    except Exception:
        # One BMC that answers something nobody foresaw must not keep the others from being read.
        logger.exception("reading the ports of %s failed", address.url)
        return "garbage: the answer could not be read"
