"""Values, consumables and tools are recorded while an operation runs, and gate its completion."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.services import Actor
from mes.people.models import Signature
from mes.products.models import Operation, Part
from mes.quality.services import place_lot_hold
from mes.serials.models import Lot, Supplier
from mes.serials.services import receive_lot
from mes.workorders.models import CapturedValue, ConsumableUse
from mes.workorders.services import use_consumable
from tests.builders import (
    TESTER,
    make_part,
    make_route,
    make_scanner,
    make_signer,
    make_site,
    make_station,
    ordered_unit,
    signed_by,
)
from tests.racks.test_races import race

pytestmark = pytest.mark.django_db


class Bench:
    """A tray at an operation that records values and uses up paste."""

    def __init__(self, **fields: dict[str, Any]) -> None:
        self.paste: Part = make_part("paste", level=1).part
        self.fields = fields
        tray = make_part("tray", level=10)
        self.unit = ordered_unit(tray, make_route(tray, fills=(), ask=self.ask))
        self.scanner = make_scanner()
        self.scanner.scan(self.unit.serial)

    def ask(self, made: dict[int, Operation]) -> None:
        for name, more in self.fields.items():
            if name == "paste":
                made[10].consumables.create(part=self.paste, **more)
            else:
                made[10].data_fields.create(name=name, prompt=f"the {name}", **more)

    def post(self, path: str, body: Any = None) -> Any:
        return self.scanner.post(f"units/{self.unit.uid}/operations/10/{path}/", body)

    def value(self, field: str, value: Any = None, **more: Any) -> Any:
        return self.post("values", {"field": field, "value": value, **more}).json()

    def lot(self, part: Part | None = None, number: str = "L1", **more: Any) -> Lot:
        supplier, _ = Supplier.objects.get_or_create(code="DEMO", defaults={"name": "Demo supplier"})
        return receive_lot(
            site=make_site(), part=part or self.paste, supplier=supplier, number=number, by=TESTER, **more
        )


TORQUE = {"kind": "number", "unit": "N.m", "low": 1.0, "high": 2.0}


def test_a_number_is_judged_by_its_limits_and_a_bad_one_holds_completion() -> None:
    bench = Bench(torque=TORQUE)
    missing = bench.post("complete").json()
    assert (missing["code"], missing["field"]) == ("value_missing", "torque")
    assert bench.value("torque", 2.4)["verdict"] == "FAIL"
    refused = bench.post("complete").json()
    assert (refused["code"], refused["gate"]) == ("value_out_of_limits", "values")
    assert "at least 1 and at most 2 N.m" in refused["detail"]
    assert bench.value("torque", "1,5")["number"] == 1.5
    assert bench.post("complete").status_code == 200
    kept = [(row.number, row.verdict, row.replaced_at is None) for row in CapturedValue.objects.all()]
    assert kept == [(2.4, "FAIL", False), (1.5, "PASS", True)]
    assert Event.objects.filter(stream=bench.unit.stream, kind="value.recorded").count() == 2


def test_limits_of_a_value_without_a_unit_are_not_kept() -> None:
    with pytest.raises(IntegrityError, match="field_limit_has_a_unit"):
        Bench(torque={"kind": "number", "low": 1.0})


@pytest.mark.parametrize("value", ["many", None, True, "nan", [1]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    bench = Bench(torque=TORQUE)
    assert bench.value("torque", value)["code"] == "not_a_number"
    assert not CapturedValue.objects.exists()


def test_a_choice_is_one_of_its_words_and_text_is_not_empty() -> None:
    bench = Bench(colour={"kind": "choice", "choices": ["blue", "black"]}, label={"kind": "serial"})
    assert bench.value("colour", "red")["choices"] == ["blue", "black"]
    assert bench.value("colour", "red")["code"] == "not_a_choice"
    assert bench.value("label", "  ")["code"] == "value_empty"
    assert bench.value("gloss", 1)["code"] == "unknown_field"
    assert bench.value("colour", "blue")["text"] == "blue"
    assert bench.value("label", "SN-1")["text"] == "SN-1"
    assert bench.post("complete").status_code == 200


def test_a_photo_is_an_attachment_and_a_signature_is_proven() -> None:
    bench = Bench(seal={"kind": "photo"}, checked={"kind": "signature"})
    assert bench.value("seal")["code"] == "photo_missing"
    photo = Attachment.objects.create(
        site=make_site(), name="seal.png", content_type="image/png", size=1, sha256="0" * 64
    )
    assert bench.value("seal", attachment=str(photo.uid))["attachment"] == str(photo.uid)
    assert bench.value("checked")["code"] == "signature_required"
    person = make_signer()
    assert bench.value("checked", signature=signed_by(person, "0000"))["code"] == "pin_wrong"
    assert bench.value("checked", signature=signed_by(person))["text"] == person.username
    assert Signature.objects.get().meaning == "the checked"
    assert bench.post("complete").status_code == 200


def test_an_optional_value_may_be_left_out() -> None:
    bench = Bench(note={"kind": "text", "required": False})
    assert bench.post("complete").status_code == 200


def test_a_consumable_is_recorded_by_lot_and_by_scan() -> None:
    bench = Bench(paste={"quantity": 2, "unit": "g"})
    refused = bench.post("complete").json()
    assert (refused["code"], refused["gate"]) == ("consumable_missing", "consumables")
    half = bench.post("consumables", {"lot": str(bench.lot().uid), "quantity": "0.5"}).json()
    assert (half["lot"], half["quantity"]) == ("L1", "0.500")
    assert bench.post("complete").json()["code"] == "consumable_missing"
    said = bench.scanner.scan("L1").json()
    assert (said["title"], said["detail"]) == ("Used", "1.5 g of paste, lot L1, is recorded.")
    assert bench.post("complete").status_code == 200
    assert ConsumableUse.objects.count() == 2


def test_a_lot_that_is_wrong_or_past_its_life_is_refused() -> None:
    bench = Bench(paste={"quantity": 2, "unit": "g"})
    other = bench.lot(make_part("oil", level=1).part, "L2")
    assert bench.post("consumables", {"lot": str(other.uid)}).json()["code"] == "not_a_consumable"
    old = bench.lot(number="L3", expires_at=timezone.now() - timedelta(days=1))
    assert bench.post("consumables", {"lot": str(old.uid)}).json()["code"] == "lot_expired"
    assert bench.scanner.scan("L3").json()["code"] == "lot_expired"
    held = bench.lot(number="L4")
    Lot.objects.filter(pk=held.pk).update(held=True)
    assert bench.post("consumables", {"lot": str(held.uid)}).json()["code"] == "lot_held"
    assert not ConsumableUse.objects.exists()


def test_nothing_is_recorded_where_nothing_runs() -> None:
    bench = Bench(torque=TORQUE)
    elsewhere = make_scanner(make_station("TEST"))
    path = f"units/{bench.unit.uid}/operations/10/values/"
    assert elsewhere.post(path, {"field": "torque", "value": 1}).json()["code"] == "wrong_station"
    later = make_scanner(make_station("TEST"))
    path = f"units/{bench.unit.uid}/operations/20/values/"
    assert later.post(path, {"field": "torque", "value": 1}).json()["code"] == "operation_not_running"


def test_a_lot_that_was_held_meanwhile_is_not_used() -> None:
    bench = Bench(paste={"quantity": "1", "unit": "g"})
    lot = bench.lot()
    place_lot_hold(lot=Lot.objects.get(pk=lot.pk), reason="suspect", by=TESTER)
    with pytest.raises(RuleViolation) as refusal:
        use_consumable(unit=bench.unit, sequence=10, lot=lot, station=make_station(), by=Actor(person="op"))
    assert refusal.value.code == "lot_held"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_no_use_of_a_lot_commits_after_its_hold() -> None:
    bench = Bench(paste={"quantity": "1", "unit": "g"})
    lot = bench.lot()
    station, seen = make_station(), []

    def hold() -> None:
        with transaction.atomic():
            place_lot_hold(lot=lot, reason="suspect", by=TESTER)
            seen.append(ConsumableUse.objects.count())
            time.sleep(0.5)

    def use() -> None:
        time.sleep(0.2)
        use_consumable(unit=bench.unit, sequence=10, lot=lot, station=station, by=Actor(person="op"))

    ends = race([hold, use, *[lambda: None] * 8])
    assert (ends["lot_held"], seen, ConsumableUse.objects.count()) == (1, [0], 0)
