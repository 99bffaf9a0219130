"""A row of everything the admin lists of cabling."""

from django.utils import timezone

from mes.cabling.models import CablePlan
from mes.cabling.services import Cable, Found, Report, Seen, connect_cable, import_reports, record_check
from mes.cabling.verdict import verify_cabling
from mes.serials.models import Unit
from tests.builders import TESTER, make_part, make_unit, release


def add_rows(unit: Unit) -> None:
    """Plan one cable for the part of a unit, connect, check and judge it, and report what its ports see."""
    dac = make_part("cable_dac", level=1)
    plan = CablePlan.objects.create(part=unit.part_revision.part, version="1", name="Demo cabling")
    plan.kinds.create(part=dac.part, length_mm=1000)
    ends = {"a_device": "G1", "a_port": "P1", "b_device": "LEAF-1", "b_port": "1"}
    plan.cables.create(label="C1", order=1, part=dac.part, length_mm=1000, checks=["seat"], **ends)
    plan.port_names.create(unit_kind="gpu", reported="Port_0", port="P1")
    release(plan)
    cable = Cable(make_unit(dac))
    connect_cable(unit=unit, ends=("G1/P1", "LEAF-1/1"), cable=cable, by=TESTER)
    record_check(unit=unit, label="C1", found=Found("seat"), by=TESTER)
    verify_cabling(unit=unit, by=TESTER)
    seen = Report("lldp", timezone.now(), [Seen("G1", "Port_0", "up", 400, "LEAF-1", "1")], "G1")
    import_reports(unit=unit, reports=[seen], by=TESTER)
