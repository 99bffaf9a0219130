"""A rack with a tray of two GPUs, finished, and the crate it ships in."""

from decimal import Decimal
from typing import Any

from mes.attachments.models import Attachment
from mes.attachments.services import store_attachment
from mes.products.models import Part, PartRevision
from mes.serials.models import Unit
from mes.shipping.models import Crate, PackingRule, Shipment
from mes.shipping.services import (
    Arrived,
    add_crate,
    add_photos,
    apply_indicator,
    close_crate,
    create_shipment,
    depart_shipment,
    pack_unit,
)
from mes.stations.models import Site
from mes.workorders.services import complete_operation, install_child, start_operation
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_site,
    make_station,
    make_unit,
    numbers,
    ordered_unit,
    release,
)

BILL: dict[str, Any] = {"carrier": "Demo Freight", "mode": "road", "bol_number": "BOL-1", "hazards": []}
WEIGHTS = {"tare_kg": Decimal(140), "net_kg": Decimal(1360), "gross_kg": Decimal(1500)}
PNG = b"\x89PNG\r\n\x1a\n"


def make_rule(part: Part, version: str = "1", *, released: bool = True, **more: Any) -> PackingRule:
    """Make a packing rule: 1360 kg within 2 %, two indicators, a photo each way."""
    given = {
        "expected_kg": Decimal(1360),
        "tolerance_percent": Decimal(2),
        "shock_indicators": 1,
        "tilt_indicators": 1,
        "departure_photos": 1,
        "arrival_photos": 1,
    }
    rule = PackingRule.objects.create(part=part, version=version, **{**given, **more})
    if released:
        release(rule)
    return rule


def make_photo(site: Site | None = None) -> Attachment:
    name = f"crate{next(numbers)}.png"
    content = PNG + name.encode()
    return store_attachment(
        site=site or make_site(), name=name, content_type="image/png", content=content, by=TESTER
    )


class Rack:
    """A rack definition: trays of two GPUs, a route that ends with the crate, and its packing rule."""

    def __init__(
        self, *, trays: int = 1, crated: bool = False, firmware: bool = False, heaviest: float | None = None
    ) -> None:
        self.gpu = make_part("gpu")
        self.tray = make_assembly("tray", level=10, takes={"GPU0": self.gpu, "GPU1": self.gpu})
        takes = {f"U{8 + number:02}": self.tray for number in range(trays)}
        self.rack: PartRevision = make_assembly("rack", level=11, takes=takes)
        self.tray_route = make_route(self.tray)
        tests = {20: "firmware"} if firmware else {20: "crate"} if crated else None
        limit = {"measurement": "gross", "unit": "kg", "high": heaviest}
        self.route = make_route(self.rack, tests=tests, limits=(limit,) if heaviest else ())
        self.rule = make_rule(self.rack.part)

    def build_tray(self) -> Unit:
        gpus = [("GPU0", make_unit(self.gpu)), ("GPU1", make_unit(self.gpu))]
        return self.build(ordered_unit(self.tray, self.tray_route), gpus)

    def build(self, unit: Unit, children: list[tuple[str, Unit]], *, until: int = 20) -> Unit:
        station = make_station("BUILD")
        start_operation(unit=unit, sequence=10, station=station, by=TESTER)
        for slot, child in children:
            install_child(unit=unit, slot_name=slot, child=child, station=station, by=TESTER)
        complete_operation(unit=unit, sequence=10, station=station, by=TESTER)
        if until >= 20:
            run_test(unit)
        unit.refresh_from_db()
        return unit

    def make(self, *, until: int = 20) -> Unit:
        """Build a rack with its trays; finished unless ``until`` says otherwise."""
        names = [slot.name for slot in self.rack.slots.all()]
        children = [(name, self.build_tray()) for name in names]
        return self.build(ordered_unit(self.rack, self.route), children, until=until)


def run_test(unit: Unit) -> None:
    """Do operation 20 of a unit."""
    station = make_station("TEST")
    start_operation(unit=unit, sequence=20, station=station, by=TESTER)
    complete_operation(unit=unit, sequence=20, station=station, by=TESTER)


def make_shipment(**more: Any) -> Shipment:
    given = {"customer": "Demo customer", "ship_to": "Hall 1\nDemo street 2", **BILL, **more}
    return create_shipment(site=given.pop("site", None) or make_site(), by=TESTER, **given)


def equip(crate: Crate) -> None:
    """Put a shock and a tilt indicator on a crate, and take its picture."""
    for kind, rating in (("shock", 25), ("tilt", 30)):
        serial = f"{kind}-{next(numbers)}"
        apply_indicator(crate=crate, kind=kind, serial=serial, rating=Decimal(rating), by=TESTER)
    add_photos(crate=crate, photos=[make_photo()], by=TESTER)


def pack(*units: Unit, shipment: Shipment | None = None, weights: dict[str, Decimal] | None = None) -> Crate:
    """Pack units into one closed crate, of a new shipment if none is given."""
    crate = add_crate(shipment=shipment or make_shipment(), by=TESTER)
    for unit in units:
        pack_unit(crate=crate, unit=unit, by=TESTER)
    equip(crate)
    return close_crate(crate=crate, by=TESTER, **(weights or WEIGHTS))


def depart(unit: Unit) -> Shipment:
    """Pack a rack and let it depart."""
    return depart_shipment(shipment=pack(unit).shipment, by=TESTER)


def arrived(crate: Crate, state: str = "ok", **more: Any) -> Arrived:
    """Return how a crate came: every indicator in one state, with a picture."""
    indicators = {each.serial: state for each in crate.indicators.filter(removed_at=None)}
    return Arrived(**{"indicators": indicators, "photos": [make_photo()], **more})
