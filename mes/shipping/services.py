"""The door of shipping: shipments and their crates, departure and arrival, and what comes back."""

from mes.shipping.arriving import (
    Arrived,
    accept_shipment,
    arrive_shipment,
    dispute_shipment,
    receive_shipment,
    troubles_of,
)
from mes.shipping.cancelling import cancel_shipment
from mes.shipping.contents import contents_of, lines_of, pack_list
from mes.shipping.departing import depart_shipment
from mes.shipping.indicators import add_photos, apply_indicator, read_indicator, remove_indicator
from mes.shipping.packing import (
    add_item,
    close_crate,
    open_crate,
    pack_unit,
    remove_item,
    unpack_unit,
    withdraw_crate,
)
from mes.shipping.returning import return_from_field
from mes.shipping.shipments import (
    add_crate,
    change_shipment,
    create_shipment,
    hold_shipment,
)

__all__ = [
    "Arrived",
    "accept_shipment",
    "add_crate",
    "add_item",
    "add_photos",
    "apply_indicator",
    "arrive_shipment",
    "cancel_shipment",
    "change_shipment",
    "close_crate",
    "contents_of",
    "create_shipment",
    "depart_shipment",
    "dispute_shipment",
    "hold_shipment",
    "lines_of",
    "open_crate",
    "pack_list",
    "pack_unit",
    "read_indicator",
    "receive_shipment",
    "remove_indicator",
    "remove_item",
    "return_from_field",
    "troubles_of",
    "unpack_unit",
    "withdraw_crate",
]
