"""Every page of the admin opens; facts have no form fields; lists cost the same however long they are."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from mes.attachments.services import store_attachment
from mes.burnin.meter_models import GridFactor, MeterEndpoint
from mes.burnin.models import BurnInBay
from mes.ledger.models import IdempotencyKey, OutboxMessage
from mes.people.models import Qualification, Signature
from mes.people.services import prove, record_training, set_pin, sign
from mes.products.models import FirmwareBaseline, FirmwareVersion, Instruction
from mes.products.services import confirm_reading
from mes.quality.models import Disposition, Nonconformance, RepairRecord
from mes.quality.services import open_nonconformance, place_containment, place_hold
from mes.racks.services import install_unit, record_firmware
from mes.serials.models import Supplier, Unit
from mes.serials.services import receive_lot
from mes.stations.models import Shift, Site
from mes.stations.services import Role, calibrate_tool, grant_role, register_tool
from mes.testing.models import Diagnosis
from mes.testing.services import Result, measure
from mes.workorders.models import Rework
from mes.workorders.services import (
    PartException,
    open_deviation,
    record_value,
    release_gate,
    report_test,
    start_operation,
)
from tests.builders import (
    PIN,
    TESTER,
    make_assembly,
    make_part,
    make_person,
    make_route,
    make_scanner,
    make_signer,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
)
from tests.burnin.rows import add_rows as add_burn_in
from tests.cabling.rows import add_rows as add_cabling
from tests.conftest import FAST_HASHERS
from tests.cooling.rows import add_rows as add_cooling
from tests.electrical.rows import add_rows as add_safety_rows
from tests.inventory import rows as inventory
from tests.shipping.rows import add_rows as add_shipping
from tests.workorders.recipes import Trays, next_revision, proof_by

FACTS = (
    *("ledger.event", "ledger.outboxmessage", "ledger.idempotencykey", "stations.device"),
    *("serials.unit", "serials.lot", "racks.installation", "testing.testrun"),
    *("racks.installedfirmware", "quality.containment"),
    *("quality.hold", "workorders.workorder", "workorders.operationrun"),
    *("people.signature", "people.trainingrecord", "stations.roleassignment", "stations.tool"),
    *("stations.calibration", "attachments.attachment", "people.pinguard"),
    *("quality.nonconformance", "quality.disposition", "quality.repairrecord", "workorders.rework"),
    *("workorders.engineeringchange", "workorders.deviation"),
    *("burnin.burninrun", "burnin.telemetryarchive"),
    *("electrical.safetytest", "electrical.hipotsession"),
    *("shipping.shipment", "shipping.crate", "shipping.indicator", "shipping.receipt"),
    *("shipping.fieldreturn", "workorders.shiphold"),
    *("inventory.foundinventory", "inventory.collection", "inventory.verdict"),
    *("cabling.cableconnection", "cabling.cablingverdict", "cabling.neighbourreport"),
    "burnin.toolresult",
)
OWN_APPS = {
    *("ledger", "people", "stations", "attachments", "products", "serials"),
    *("racks", "testing", "quality", "workorders"),
    *("cabling", "cooling", "electrical", "inventory", "shipping"),
}
registered = pytest.mark.parametrize(
    "model", [pytest.param(model, id=model._meta.label_lower) for model in admin.site._registry]
)


def superuser_client() -> Client:
    """Return the browser of a person who may do everything."""
    client = Client()
    client.force_login(make_person(is_staff=True, is_superuser=True))
    return client


def staff_client(*codenames: str) -> Client:
    """Return the browser of a person who may do what the permissions named allow."""
    person = make_person(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(person)
    return client


def url_of(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def add_people_and_tools(site: Site) -> None:
    """Make a row of what people hold, sign and use."""
    person = set_pin(person=make_person(), pin="1234", by=TESTER)
    qualification = Qualification.objects.create(code="brazing", name="Brazing")
    record_training(person=person, qualification=qualification, trainer="trainer", by=TESTER)
    proof = prove(badge=person.badge, pin="1234")
    sign(proof=proof, meaning="demo", reason="demo", subject=person, digest="0" * 64, performers=["other"])
    grant_role(person=person, role=Role.QUALITY, site=site, by=TESTER)
    Shift.objects.create(site=site, name="Early", starts="06:00", ends="14:00")
    tool = register_tool(site=site, code="T1", type="torque_driver", name="Torque driver", by=TESTER)
    now = timezone.now()
    dates = {"calibrated_at": now - timedelta(days=1), "due_at": now + timedelta(days=9)}
    calibrate_tool(tool=tool, certificate="C1", found_within_limits=True, by=TESTER, **dates)
    store_attachment(site=site, name="note.txt", content_type="text/plain", content=b"demo", by=TESTER)


def make_rows() -> None:
    """Make at least one row of everything the admin lists."""
    gpu = make_part("gpu", level=2)
    supplier = Supplier.objects.create(code="DEMO", name="Demo supplier")
    lot = receive_lot(site=make_site(), part=gpu.part, supplier=supplier, number="L1", by=TESTER)
    tray = make_assembly("tray", level=10, takes={"G1": gpu})
    limits = ({"measurement": "temp", "unit": "Cel", "high": 80},)
    route = make_route(
        tray,
        tests={20: "func"},
        limits=limits,
        repeats={"place": [20]},
        ask=lambda made: made[10].data_fields.create(name="torque", kind="number", prompt="the torque"),
    )
    baseline = FirmwareBaseline.objects.create(name="2026.1")
    FirmwareVersion.objects.create(baseline=baseline, unit_kind="tray", component="BMC", version="1.2")
    rack_unit = ordered_unit(tray, route)
    station = make_station("BUILD")
    start_operation(unit=rack_unit, sequence=10, station=station, by=TESTER)
    record_value(unit=rack_unit, sequence=10, name="torque", value=1, station=station, by=TESTER)
    add_instruction_and_release(rack_unit)
    child = make_unit(gpu, lot=lot)
    install_unit(parent=rack_unit, slot=tray.slots.get(), child=child, by=TESTER)
    result = Result("func", "PASS", measurements=[measure("temp", 50, unit="Cel")])
    result.diagnoses = [Diagnosis(verdict="gpu-ok", type="PASS", component="GPU")]
    report_test(unit=rack_unit, result=result, by=TESTER)
    add_cabling(rack_unit)
    place_hold(unit=child, reason="scratched", by=TESTER)
    make_rework(rack_unit)
    record_firmware(unit=rack_unit, component="BMC", version="1.2", by=TESTER)
    suspect = make_unit(gpu, lot=lot)
    place_containment(
        site=make_site(), question={"lot": "L1"}, reason="suspect", units=[suspect], lots=[], by=TESTER
    )
    make_scanner(station)
    add_people_and_tools(station.line.site)
    inventory.add_rows(rack_unit)
    Group.objects.create(name="Supervisors")
    trays = Trays()
    trays.draft(next_revision(trays.a, "B2", {"GPU0": trays.gpu}), trays.one)
    open_deviation(
        target=trays.unit,
        exception=PartException(trays.gpu.part, make_part("gpu")),
        quantity=1,
        expires_at=timezone.now() + timedelta(days=1),
        reason="shortage",
        proof=proof_by(trays.engineer),
        by=TESTER,
    )
    bay = BurnInBay.objects.create(site=make_site(), code="BAY-1", power_kw=120)
    MeterEndpoint.objects.create(bay=bay, url="http://cdu.example", coolant="water")
    facts = {"valid_from": "2026-01-01", "grams_per_kwh": 300, "source": "test"}
    GridFactor.objects.create(site=bay.site, **facts)
    add_burn_in()
    add_cooling()
    add_safety_rows()
    add_shipping()
    OutboxMessage.objects.create(key="k1", topic="demo", payload={"a": 1})
    IdempotencyKey.objects.create(scope="device:1", key="k", fingerprint="f", status=200, body='{"a": 1}')


@pytest.fixture(scope="module")
def rows(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Make the rows once for all tests of a module, which roll back to them."""
    around: Any = transaction.atomic()
    around._from_testcase = True  # as those that Django puts around a test: durable blocks may open in it
    with django_db_blocker.unblock(), around:
        with override_settings(MEDIA_ROOT=tmp_path_factory.mktemp("media"), PASSWORD_HASHERS=FAST_HASHERS):
            make_rows()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def factory(rows: None, db: None) -> None:
    """Have at least one row of everything the admin lists."""


def add_instruction_and_release(unit: Unit) -> None:
    """Make a work instruction that was read, and a gate that was released."""
    instruction = Instruction.objects.create(
        code="WI-1", version="1", title="Seat", released_at=timezone.now()
    )
    reader = make_person()
    confirm_reading(instruction=instruction, person=reader.username, by=TESTER)
    signer = make_signer("quality")
    release_gate(
        unit=unit,
        sequence=10,
        gate="slots_filled",
        reason="agreed",
        proof=prove(badge=signer.badge, pin=PIN),
        by=TESTER,
    )


def make_rework(unit: Unit) -> None:
    """Find something wrong with a unit, decide on rework, and repair it."""
    found = open_nonconformance(unit=unit, symptom="leak", source=Nonconformance.Source.HAND, by=TESTER)
    build = unit.order_units.get().route
    Disposition.objects.create(
        nonconformance=found,
        kind=Disposition.Kind.REWORK,
        reason="new hose",
        rework_route=build,
        returns_to=build.operations.first(),
        signature=Signature.objects.create(signer="board", meaning="rework", method="pin"),
    )
    returns_to = build.operations.earliest("sequence")
    Rework.objects.create(unit=unit, nonconformance=found, route=build, returns_to=returns_to)
    RepairRecord.objects.create(nonconformance=found, symptom="leak", action="new hose", repaired_by="tester")


def look_at(client: Client, url: str) -> tuple[int, int]:
    """Return how many rows a list shows and how many queries that took."""
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    return len(response.context["cl"].result_list), len(queries)


def add_units(count: int) -> None:
    part = make_part()
    for _ in range(count):
        make_unit(part)


def add_orders(count: int) -> None:
    for _ in range(count):
        assembly = make_assembly("tray", level=10, takes={"G1": make_part()})
        ordered_unit(assembly, make_route(assembly))


@pytest.mark.parametrize(
    ("label", "add"),
    [("serials.unit", add_units), ("ledger.event", add_units), ("workorders.workorder", add_orders)],
)
def test_a_longer_list_costs_no_more_queries(db: None, label: str, add: Callable[[int], None]) -> None:
    client, url = superuser_client(), url_of(apps.get_model(label), "changelist")
    add(3)
    few, queries = look_at(client, url)
    add(27)
    many, queries_of_many = look_at(client, url)
    assert many >= few + 27
    assert queries_of_many == queries


def test_the_sidebar_leads_only_where_one_may_look(db: None) -> None:
    units = reverse("admin:serials_unit_changelist")
    assert units not in staff_client("view_hold").get("/admin/").content.decode()
    assert units in staff_client("view_unit").get("/admin/").content.decode()


@registered
def test_list_opens(factory: None, model: type[Model]) -> None:
    response = superuser_client().get(url_of(model, "changelist"))
    assert response.status_code == 200
    found = superuser_client().get(url_of(model, "changelist"), {"q": "nothing like this"})
    assert found.status_code == 200


@registered
def test_add_page_opens_or_is_forbidden(factory: None, model: type[Model]) -> None:
    client = superuser_client()
    request = client.get(url_of(model, "changelist")).wsgi_request
    may_add = admin.site.get_model_admin(model).has_add_permission(request)
    assert client.get(url_of(model, "add")).status_code == (200 if may_add else 403)


@registered
def test_change_page_opens(factory: None, model: type[Model]) -> None:
    row = model._default_manager.first()
    if row is None:
        assert model._meta.app_label not in OWN_APPS, "the factory of this test has none"
        pytest.skip("no row of another app's model")
    response = superuser_client().get(url_of(model, "change", row.pk))
    assert response.status_code == 200
    assert superuser_client().get(url_of(model, "history", row.pk)).status_code == 200


class FieldsTyped(HTMLParser):
    """Collects the fields of a page's own form that a person could type into."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.inside, self.names = form, False, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.inside = given.get("id") == self.form
        if self.inside and tag in {"input", "select", "textarea"} and given.get("type") != "hidden":
            self.names.append(str(given.get("name")))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "form"


@pytest.mark.parametrize("label", FACTS)
def test_facts_have_no_fields_to_change(factory: None, label: str) -> None:
    model = apps.get_model(label)
    client, url = superuser_client(), url_of(model, "change", model._default_manager.first().pk)
    page = client.get(url).content.decode()
    fields = FieldsTyped(f"{model._meta.model_name}_form")
    fields.feed(page)
    assert f'id="{fields.form}"' in page
    assert fields.names == []
    assert client.post(url, {}).status_code == 403
    delete = url_of(model, "delete", model._default_manager.first().pk)
    assert client.post(delete, {"post": "yes"}).status_code == 403


def test_nothing_is_loaded_from_elsewhere(factory: None) -> None:
    page = superuser_client().get(reverse("admin:serials_unit_changelist")).content.decode()
    loaded = [word for word in page.replace(">", " ").split() if word.startswith(('src="', 'href="'))]
    assert loaded
    assert [word for word in loaded if "//" in word] == []
