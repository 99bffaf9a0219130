"""How the demo packs a finished rack and lets it depart: crate, indicators, photos, weights, bill."""

import struct
import zlib

from mes.simulators.floor import FloorDevice
from mes.simulators.story import Factory, Job, Proof

TARE_KG, NET_KG = 180, 1358
INDICATORS = (("shock", 25), ("shock", 25), ("tilt", 25), ("tilt", 25))
SIDES = ("front", "rear", "left", "right")


def pack(job: Job) -> None:
    """Pack the rack into a crate; it is not closed before its indicators are on and its photos are taken."""
    factory, scanner = job.factory, job.tester
    bill = {"carrier": "Demo carrier", "mode": "road", "bol_number": f"DEMO-BOL-{factory.run}"}
    ship_to = {"customer": "Demo customer", "ship_to": "Demo customer, hall 1", "hazards": []}
    shipment = scanner.post("shipments/", {**bill, **ship_to})
    size = {"length_mm": 1400, "width_mm": 800, "height_mm": 2500}
    crate = scanner.post(f"shipments/{shipment['number']}/crates/", size)["number"]
    scanner.post(f"crates/{crate}/units/", {"serial": job.unit["serial"]})
    weights = {"tare_kg": TARE_KG, "net_kg": NET_KG, "gross_kg": TARE_KG + NET_KG}
    scanner.post(f"crates/{crate}/close/", weights, refused="indicator_missing")
    for number, (kind, rating) in enumerate(INDICATORS, 1):
        serial = f"DEMO-{kind.upper()}-{factory.run}-{number}"
        scanner.post(f"crates/{crate}/indicators/", {"kind": kind, "serial": serial, "rating": rating})
    scanner.post(f"crates/{crate}/photos/", {"photos": _photos(factory, scanner)})
    scanner.post(f"crates/{crate}/close/", weights)
    weight = f"{TARE_KG + NET_KG} kg"
    factory.report(f"  {job.unit['serial']} is in crate {crate}, {weight}, of {shipment['number']}")
    factory.shipments[job.unit["uid"]] = shipment["number"]


def _photos(factory: Factory, scanner: FloorDevice) -> list[str]:
    return [
        scanner.upload(f"crate-{side}-{factory.run}.png", picture(number))["uid"]
        for number, side in enumerate(SIDES)
    ]


def picture(shade: int) -> bytes:
    """Return a small grey PNG, which stands for a photo; each shade is a file of its own."""
    rows = b"".join(b"\0" + bytes([60 + 40 * shade] * 16) for _ in range(16))
    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def depart(factory: Factory, unit: dict[str, str]) -> None:
    """Let the shipment of a rack depart."""
    number = factory.shipments[unit["uid"]]
    factory.supervisor.post(f"shipments/{number}/depart/")


PROOFS: dict[str, Proof] = {"crate": pack}
