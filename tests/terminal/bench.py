"""A step that asks for everything: instruction, values, tool, consumable, two people; and who may release."""

import struct
import zlib
from datetime import timedelta
from typing import Any

from django.utils import timezone

from mes.attachments.models import Attachment
from mes.attachments.services import store_attachment
from mes.people.models import Qualification
from mes.products.models import Instruction, Operation, RetestRule
from mes.serials.models import Supplier
from mes.serials.services import receive_lot
from mes.stations.models import Device, Tool
from mes.stations.services import enroll_device, register_tool
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_person,
    make_route,
    make_signer,
    make_site,
    make_station,
    make_unit,
    numbers,
    ordered_unit,
    release,
)
from tests.terminal.floor import Floor


def png(width: int = 240, height: int = 160) -> bytes:
    """Return a picture: a dark frame on light ground."""
    edge = 24
    rows = b"".join(
        b"\0"
        + bytes(
            60 if not (edge <= x < width - edge and edge <= y < height - edge) else 220 for x in range(width)
        )
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


FIELDS: tuple[dict[str, Any], ...] = (
    {
        "name": "torque",
        "kind": "number",
        "prompt": "Torque of the cold plate screws",
        "unit": "N.m",
        "low": 1.0,
        "high": 2.0,
    },
    {
        "name": "paste_pattern",
        "kind": "choice",
        "prompt": "Pattern of the paste",
        "choices": ["cross", "five dots"],
    },
    {"name": "clip", "kind": "serial", "prompt": "Serial of the retention clip", "required": False},
    {"name": "photo", "kind": "photo", "prompt": "Photo of the paste"},
    {"name": "checked", "kind": "signature", "prompt": "Checked by a second person"},
)


class Bench(Floor):
    """A tray of two GPUs at a step that asks for everything, a terminal there, and the people it needs.

    ``qualified`` says whether the operator may start; the tool's calibration is due in ``tool_days``.
    """

    def __init__(
        self,
        *,
        must_read: bool = True,
        qualified: bool = True,
        optional: bool = False,
        tool_days: float = 30,
    ) -> None:
        self.site = make_site()
        self.must_read, self.qualified, self.optional = must_read, qualified, optional
        self.person = make_person(badge=f"BADGE-{next(numbers)}", first_name="Demo", last_name="Operator")
        self.other = make_person(badge=f"BADGE-{next(numbers)}", first_name="Demo", last_name="Helper")
        self.lead = make_signer("supervisor", "quality", badge=f"BADGE-{next(numbers)}")
        self.badge = self.person.badge
        self.paste = make_part("thermal_paste", level=1).part
        self.paste.tracking = "lot"
        self.paste.save()
        self.picture = self._picture()
        self.instruction = self._instruction()
        self.gpu = make_part("gpu")
        tray = make_assembly("tray", level=10, takes={"GPU0": self.gpu, "GPU1": self.gpu})
        self.route = make_route(tray, ask=self._ask)
        self.unit = ordered_unit(tray, self.route)
        self.gpus = [make_unit(self.gpu, f"GPU{next(numbers):05}") for _ in range(2)]
        self.station = make_station("BUILD", code=f"ST-{next(numbers)}")
        self.tool = self._tool(tool_days)
        supplier, _ = Supplier.objects.get_or_create(code="DEMO", defaults={"name": "Demo supplier"})
        self.lot = receive_lot(
            site=self.site, part=self.paste, supplier=supplier, number=f"LOT-{next(numbers)}", by=TESTER
        )
        self.device, self.token = enroll_device(
            name=f"terminal-{next(numbers)}", kind=Device.Kind.TERMINAL, station=self.station, by=TESTER
        )

    def _picture(self) -> Attachment:
        return store_attachment(
            site=self.site, name="paste.png", content_type="image/png", content=png(), by=TESTER
        )

    def _instruction(self) -> Instruction:
        made = Instruction.objects.create(
            code=f"WI-{next(numbers)}", version="2", title="Fit the cold plate", must_be_read=self.must_read
        )
        made.steps.create(
            name="paste", order=1, text="Put a cross of paste on each GPU.", picture=self.picture
        )
        made.steps.create(name="torque", order=2, text="Tighten the screws crosswise, in two rounds.")
        release(made)
        return made

    def _tool(self, days: float) -> Tool:
        tool = register_tool(
            site=self.site,
            code=f"TD-{next(numbers)}",
            type="torque_driver",
            name="torque driver 1 to 5 N.m",
            by=TESTER,
            calibration_due_at=timezone.now() + timedelta(days=days),
        )
        Tool.objects.filter(pk=tool.pk).update(station=self.station, here_since=timezone.now())
        return tool

    def _ask(self, made: dict[int, Operation]) -> None:
        operation = made[10]
        operation.instruction, operation.instruction_code = "Fit both GPUs.", self.instruction.code
        operation.people, operation.optional = 2, self.optional
        operation.save()
        for order, asked in enumerate(FIELDS):
            operation.data_fields.create(order=order, **asked)
        operation.tools.create(type="torque_driver")
        operation.consumables.create(part=self.paste, quantity="2.5", unit="g")
        if not self.qualified:
            skill = Qualification.objects.create(code=f"Q-{next(numbers)}", name="cold plates")
            operation.qualifications.create(qualification=skill)
        RetestRule.objects.create(
            route=operation.route, name="wet break", trigger="wet_break", repeats=[10, 20]
        )
