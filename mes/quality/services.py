"""The door of quality: holds, and what is wrong with units."""

from mes.quality.containments import (
    lock_containment,
    lock_lots,
    place_containment,
    release_holds,
)
from mes.quality.holds import place_hold, place_lot_hold, release_hold
from mes.quality.nonconformances import (
    SUSPECT_COUNTERFEIT,
    SlotPlace,
    add_pictures,
    close_nonconformance,
    find_place,
    open_for_failed_test,
    open_nonconformance,
    release_holds_of,
    require_failed,
    require_no_open_nonconformance,
    require_open,
)

__all__ = [
    "SUSPECT_COUNTERFEIT",
    "SlotPlace",
    "add_pictures",
    "close_nonconformance",
    "find_place",
    "lock_containment",
    "lock_lots",
    "open_for_failed_test",
    "open_nonconformance",
    "place_containment",
    "place_hold",
    "place_lot_hold",
    "release_hold",
    "release_holds",
    "release_holds_of",
    "require_failed",
    "require_no_open_nonconformance",
    "require_open",
]
