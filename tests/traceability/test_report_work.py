"""The report shows who worked with what, what was recorded and skipped, and which gates were let pass."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from mes.ledger.services import canonical_json
from mes.products.models import Operation, Part
from mes.serials.models import Supplier
from mes.serials.services import receive_lot
from mes.stations.models import Tool
from mes.traceability.content import report_content
from mes.traceability.services import ask_report, make_report
from mes.workorders.models import GateRelease
from tests.builders import (
    TESTER,
    make_part,
    make_person,
    make_route,
    make_scanner,
    make_signer,
    make_site,
    ordered_unit,
    signed_by,
    supervisor_client,
)
from tests.traceability.test_report import pdf_text

pytestmark = pytest.mark.django_db
TORQUE = {"kind": "number", "unit": "N.m", "low": 1.0, "high": 2.0, "prompt": "Torque of the clamp"}


class Bench:
    """A tray: 10 takes a tool, paste, a torque and two people; 20 is optional; 30 is not for this order."""

    def __init__(self) -> None:
        self.paste: Part = make_part("paste", level=1).part
        tray = make_part("tray", level=10)
        steps = ((10, "BUILD"), (20, "BUILD"), (30, "BUILD"), (40, "TEST"))
        self.unit = ordered_unit(tray, make_route(tray, operations=steps, fills=(), ask=self.ask))
        self.first, self.second = (
            make_scanner(person=make_person("ann")),
            make_scanner(person=make_person("bo")),
        )

    def ask(self, made: dict[int, Operation]) -> None:
        made[10].tools.create(type="torque_driver")
        made[10].consumables.create(part=self.paste, quantity=2, unit="g")
        made[10].data_fields.create(name="torque", **TORQUE)
        Operation.objects.filter(pk=made[10].pk).update(people=2)
        Operation.objects.filter(pk=made[20].pk).update(optional=True)
        Operation.objects.filter(pk=made[30].pk).update(applies_when="option:wet")

    def post(self, act: str, body: Any = None, sequence: int = 10) -> Any:
        return self.first.post(f"units/{self.unit.uid}/operations/{sequence}/{act}/", body)

    def build(self) -> None:
        """Complete 10 with a value out of its limits that quality let pass; skip 20."""
        due = timezone.now() + timedelta(days=1)
        kept = {"site": make_site(), "type": "torque_driver", "name": "Driver", "calibration_due_at": due}
        tool = Tool.objects.create(code="TD-1", **kept)
        self.first.scan(tool.code)
        assert self.post("start").status_code == 200
        self.second.scan(self.unit.serial)
        supplier = Supplier.objects.create(code="DEMO", name="Demo supplier")
        lot = receive_lot(site=make_site(), part=self.paste, supplier=supplier, number="L1", by=TESTER)
        self.post("consumables", {"lot": str(lot.uid)})
        self.post("values", {"field": "torque", "value": 0.5})
        self.post("values", {"field": "torque", "value": 2.5})
        release = {
            "operation": 10,
            "reason": "clamp is marked",
            "signature": signed_by(make_signer("quality")),
        }
        path = f"units/{self.unit.uid}/gates/values/release/"
        assert self.first.post(path, release).status_code == 201
        assert self.post("complete").status_code == 200
        assert self.post("skip", {"reason": "no cover on this one"}, 20).status_code == 200


def content_of(bench: Bench) -> dict[str, Any]:
    return dict(json.loads(canonical_json(report_content(bench.unit))))


def test_an_operation_shows_people_tools_lots_and_values() -> None:
    bench = Bench()
    bench.build()
    built, skipped = content_of(bench)["operations"]
    assert [row["person"] for row in built["people"]] == ["ann", "bo"]
    assert [(row["code"], row["type"]) for row in built["tools"]] == [("TD-1", "torque_driver")]
    assert [(row["lot"], row["quantity"], row["unit"]) for row in built["consumables"]] == [
        ("L1", "2.000", "g")
    ]
    first, last = built["values"]
    assert (first["value"], first["replaced_at"] is None) == (0.5, False)
    assert (last["name"], last["value"], last["unit"], last["low"], last["high"], last["verdict"]) == (
        *("torque", 2.5, "N.m", 1, 2, "FAIL"),
    )
    assert (skipped["state"], skipped["skipped_because"]) == ("skipped", "no cover on this one")


def test_what_is_skipped_or_not_for_its_order_is_not_open() -> None:
    bench = Bench()
    bench.build()
    content = content_of(bench)
    assert content["open_operations"] == ["40 Step 40"]
    summary = content["summary"]
    assert (summary["operations_complete"], summary["operations_skipped"]) == (1, 1)


def test_a_release_of_a_gate_is_shown_and_counted() -> None:
    bench = Bench()
    bench.build()
    content = content_of(bench)
    (row,) = content["gate_releases"]
    release = GateRelease.objects.get()
    assert (row["gate"], row["operation"], row["reason"]) == ("values", "10 Step 10", "clamp is marked")
    assert (row["role"], row["released_by"]) == ("quality", release.released_by)
    assert (row["used"], row["allowed"], row["signature"]) == (1, 1, str(release.signature.uid))
    assert (content["summary"]["gate_releases"], content["summary"]["gate_passes"]) == (1, 1)


def test_the_pdf_shows_them_too(tmp_path: Path) -> None:
    bench = Bench()
    bench.build()
    report = ask_report(unit=bench.unit, by=TESTER)
    assert make_report(report.pk)
    words = " ".join(pdf_text(supervisor_client(), report, tmp_path).split())
    for said in (
        "by ann, bo",
        "tool TD-1, calibrated until",
        "2.000 g PASTE",
        "Torque of the clamp: 2.5 N.m (1 – 2), FAIL",
        "corrected later",
        "Skipped: no cover on this one",
        "Gates that were released",
        "clamp is marked",
        "1 of 1",
    ):
        assert said in words, words
