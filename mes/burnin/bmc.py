"""How this process reaches BMCs: their addresses, and the sessions and layouts it remembers of each."""

import os

from mes.burnin.meter_models import MeterEndpoint
from mes.burnin.models import BmcEndpoint
from mes.burnin.redfish import BmcAddress, BmcMemory
from mes.burnin.secrets import UnreadableSecret, decrypt_password

# By URL. BMCs hold few login sessions and discovery is about a hundred requests, so ticks share both.
MEMORIES: dict[str, BmcMemory] = {}
# A child forked in the middle of a login would wait for it for ever.
os.register_at_fork(after_in_child=MEMORIES.clear)


def find_address(endpoint: BmcEndpoint | MeterEndpoint | None) -> BmcAddress | str:
    """Return the address and login behind an endpoint, or in words why there is none."""
    if endpoint is None:
        return "no BMC address is known"
    try:
        return BmcAddress(endpoint.url, endpoint.username, decrypt_password(endpoint.password_encrypted))
    except (UnreadableSecret, ValueError) as error:
        return str(error)


def remembered(address: BmcAddress) -> BmcMemory:
    """Return what this process remembers of a BMC."""
    return MEMORIES.setdefault(address.url, BmcMemory())
