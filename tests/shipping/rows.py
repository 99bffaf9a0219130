"""A row of everything that shipping lists, written as it is kept: this runs before each test of a list."""

from decimal import Decimal

from django.utils import timezone

from mes.attachments.models import Attachment
from mes.quality.models import Nonconformance
from mes.serials.models import Unit
from mes.shipping.models import (
    Crate,
    CratePhoto,
    FieldReturn,
    Indicator,
    LooseItem,
    PackedUnit,
    PackingRule,
    Receipt,
    Shipment,
)
from mes.workorders.models import ShipHold
from tests.builders import make_site


def add_rows() -> None:
    """Ship a unit in a crate, have it received, and take it back; hold it from shipping."""
    site, now, unit = make_site(), timezone.now(), Unit.objects.earliest("pk")
    PackingRule.objects.create(part=unit.part_revision.part, version="1", tolerance_percent=2)
    weights = {"tare_kg": Decimal(1), "net_kg": Decimal(2), "gross_kg": Decimal(3)}
    left = {"departed_at": now, "pieces": 1, "gross_kg": 3, "state": Shipment.State.DEPARTED}
    shipment = Shipment.objects.create(
        site=site, number="SH-1", customer="C", ship_to="There", created_by="tester", **left
    )
    crate = Crate.objects.create(
        shipment=shipment, number="CR-1", state=Crate.State.CLOSED, packed_at=now, **weights
    )
    packed = PackedUnit.objects.create(
        crate=crate, unit=unit, packed_by="tester", departed_at=now, contents=[]
    )
    LooseItem.objects.create(crate=crate, description="rail kit", packed_by="tester")
    Indicator.objects.create(crate=crate, kind="shock", serial="S1", rating=25, departure_read_by="tester")
    photo = Attachment.objects.earliest("pk")
    CratePhoto.objects.create(crate=crate, attachment=photo, moment="departure", added_by="tester")
    counts = {"matched": 1, "missing": 0, "extra": 0, "different": 0}
    Receipt.objects.create(
        shipment=shipment, received_by="tester", source="scanned", found=[], lines=[], **counts
    )
    ShipHold.objects.create(site=site, unit=unit, reason="credit", placed_by="tester")
    found = Nonconformance.objects.earliest("pk")
    FieldReturn.objects.create(
        site=site,
        number="RMA-1",
        unit=unit,
        nonconformance=found,
        packed=packed,
        symptom="leak",
        received_by="tester",
    )
