"""Arrival at the customer's: how the crates came, what was in them, and whether the customer accepts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.shipping.comparing import Verdict, compare
from mes.shipping.contents import pack_list
from mes.shipping.indicators import (
    keep_photos,
    live_indicators,
    require_photos,
    require_photos_of_site,
)
from mes.shipping.models import Crate, CratePhoto, Indicator, PackedUnit, Receipt, Shipment
from mes.shipping.rules import requirement_for
from mes.shipping.shipments import require_reason, require_state
from mes.stations.services import require_sign_on

ARRIVAL = CratePhoto.Moment.ARRIVAL


@dataclass(slots=True)
class Arrived:
    """How a crate came: its condition, its pictures, and how each indicator stands, by serial."""

    condition: str = Crate.Condition.GOOD
    note: str = ""
    indicators: Mapping[str, str] = field(default_factory=dict)
    photos: Sequence[Attachment] = ()
    indicator_photos: Mapping[str, Attachment] = field(default_factory=dict)


@transaction.atomic
def arrive_shipment(
    *, shipment: Shipment, crates: Mapping[str, Arrived], by: Actor, at: datetime | None = None
) -> Shipment:
    """Note that a shipment arrived, and how: each crate, by its number, with every indicator read.

    A crate that is missing has nothing to read. Refuses with ``device_not_signed_on``, the shipment's state,
    ``arrival_time_wrong``, ``crate_unread``, ``crate_not_in_shipment``, ``indicator_unread``,
    ``indicator_not_on_crate``, ``photos_missing`` or ``wrong_site``.
    """
    require_sign_on(by)
    shipment = locked(shipment)
    require_state(shipment, "noted as arrived")
    at = at or timezone.now()
    _require_time(shipment, at)
    known = {crate.number.upper(): crate for crate in shipment.live_crates.all()}
    given = {number.upper(): arrived for number, arrived in crates.items()}
    _require_all(
        known,
        given,
        missing=(
            "crate_unread",
            "Nothing is said of crate {}.",
            "Say how each crate came; one that did not is missing.",
        ),
        strange=("crate_not_in_shipment", "Crate {} is not of this shipment.", "Scan its label again."),
    )
    for number, arrived in given.items():
        _note_crate(shipment, known[number], arrived, by)
    payload = {"at": at, "crates": {known[number].number: _facts(each) for number, each in given.items()}}
    changes: dict[str, Any] = {"state": Shipment.State.ARRIVED, "arrived_at": at, "arrived_by": by.person}
    record(advance(shipment, "shipment.arrived", by=by, payload=payload, **changes))
    return shipment


def _facts(arrived: Arrived) -> dict[str, Any]:
    photos = [photo.sha256 for photo in arrived.photos]
    return {"condition": arrived.condition, "indicators": dict(arrived.indicators), "photos": photos}


def _require_time(shipment: Shipment, at: datetime) -> None:
    if at > timezone.now() or (shipment.departed_at is not None and at < shipment.departed_at):
        raise RuleViolation(
            "arrival_time_wrong",
            f"{shipment.number} cannot have arrived at {timezone.localtime(at):%Y-%m-%d %H:%M}.",
            rule="a shipment arrives after it departed, and not in the future",
            next_step="Give the time at which it arrived, or leave it out for now.",
        )


def _require_all(
    known: Mapping[str, object],
    given: Mapping[str, object],
    *,
    missing: tuple[str, str, str],
    strange: tuple[str, str, str],
) -> None:
    for names, (code, detail, next_step) in (
        (sorted(known.keys() - given.keys()), missing),
        (sorted(given.keys() - known.keys()), strange),
    ):
        if names:
            raise RuleViolation(
                code,
                detail.format(", ".join(names[:6])),
                rule="everything that departed is looked at as it arrives",
                next_step=next_step,
                names=names,
            )


def _note_crate(shipment: Shipment, crate: Crate, arrived: Arrived, by: Actor) -> None:
    keep_photos(shipment, crate, list(arrived.photos), ARRIVAL, by)
    require_photos_of_site(shipment, list(arrived.indicator_photos.values()))
    if arrived.condition != Crate.Condition.MISSING:
        _read_indicators(crate, arrived, by)
        rows = PackedUnit.objects.filter(crate=crate, departed_at__isnull=False)
        units = [row.unit for row in rows.select_related("unit__part_revision__part")]
        require_photos(crate, ARRIVAL, requirement_for(units).arrival_photos)
    crate = locked(crate)
    said = {"condition": arrived.condition, "condition_note": arrived.note}
    record(advance(crate, "crate.arrived", by=by, payload={**_facts(arrived), "note": arrived.note}, **said))


def _read_indicators(crate: Crate, arrived: Arrived, by: Actor) -> None:
    on_crate = {each.serial.upper(): each for each in live_indicators([crate])}
    read = {serial.upper(): state for serial, state in arrived.indicators.items()}
    photos = {serial.upper(): photo for serial, photo in arrived.indicator_photos.items()}
    _require_all(
        on_crate,
        read,
        missing=(
            "indicator_unread",
            "Nothing is said of indicator {}.",
            "Read every indicator: ok, tripped or missing.",
        ),
        strange=(
            "indicator_not_on_crate",
            "Indicator {} did not depart on this crate.",
            "Read its serial again.",
        ),
    )
    now = timezone.now()
    for serial, state in read.items():
        Indicator.objects.filter(pk=on_crate[serial].pk).update(
            arrival=state,
            arrival_read_at=now,
            arrival_read_by=by.person,
            arrival_photo=photos.get(serial),
        )


@transaction.atomic
def receive_shipment(*, shipment: Shipment, found: list[dict[str, Any]], source: str, by: Actor) -> Receipt:
    """Compare what the receiver found with the pack list as it departed, and keep both.

    ``found`` as ``comparing.compare`` takes it. It may be done again; the last receipt counts. Refuses with
    ``device_not_signed_on`` or the shipment's state.
    """
    require_sign_on(by)
    shipment = locked(shipment)
    require_state(shipment, "compared")
    shipped = [unit for crate in pack_list(shipment)["crates"] for unit in crate["units"]]
    comparison = compare(shipped, found)
    counts = {str(verdict): comparison.count(verdict) for verdict in Verdict}
    receipt = Receipt.objects.create(
        shipment=shipment,
        received_by=by.person,
        source=source,
        found=found,
        lines=comparison.as_json(),
        **counts,
    )
    payload = {"receipt": receipt.pk, "source": source, **counts}
    record(advance(shipment, "shipment.received", by=by, payload=payload))
    return receipt


@transaction.atomic
def accept_shipment(*, shipment: Shipment, by: Actor, reason: str = "") -> Shipment:
    """Note that the customer accepts what arrived; if something is not as it departed, with a reason.

    Refuses with ``device_not_signed_on``, the shipment's state, ``not_received`` before the comparison, or
    ``reason_missing``.
    """
    require_sign_on(by)
    shipment = locked(shipment)
    require_state(shipment, "accepted")
    receipt = shipment.receipts.order_by("-pk").first()
    if receipt is None:
        raise RuleViolation(
            "not_received",
            f"What arrived with {shipment.number} was not compared with what departed.",
            rule="what is accepted was compared",
            next_step="Scan what was received.",
        )
    troubles = troubles_of(shipment, receipt)
    if troubles and not reason.strip():
        raise RuleViolation(
            "reason_missing",
            f"{shipment.number} did not arrive as it departed: {'; '.join(troubles)[:300]}.",
            rule="what is not as it departed is accepted for a reason",
            next_step="Say why it is accepted, or dispute it.",
            troubles=troubles,
        )
    return _settle(shipment, Shipment.State.ACCEPTED, reason, by, receipt=receipt.pk, despite=troubles)


@transaction.atomic
def dispute_shipment(*, shipment: Shipment, reason: str, by: Actor) -> Shipment:
    """Note that the customer does not accept what arrived, and why.

    Refuses with ``device_not_signed_on``, ``reason_missing`` or the shipment's state.
    """
    require_sign_on(by)
    require_reason(reason)
    shipment = locked(shipment)
    require_state(shipment, "disputed")
    receipt = shipment.receipts.order_by("-pk").first()
    return _settle(shipment, Shipment.State.DISPUTED, reason, by, despite=troubles_of(shipment, receipt))


def troubles_of(shipment: Shipment, receipt: Receipt | None) -> list[str]:
    """Return in words what is not as it departed: differences, indicators that tripped, damaged crates."""
    troubles = []
    if receipt is not None and not receipt.agrees:
        counts = {name: getattr(receipt, name) for name in ("missing", "extra", "different")}
        troubles.append(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    for each in live_indicators(shipment.live_crates.all()):
        if each.arrival in {Indicator.State.TRIPPED, Indicator.State.MISSING}:
            troubles.append(f"{each} on {each.crate} {each.arrival}")
    harmed = shipment.live_crates.filter(condition__in=[Crate.Condition.DAMAGED, Crate.Condition.MISSING])
    return troubles + [f"crate {crate} {crate.condition}" for crate in harmed]


def _settle(shipment: Shipment, state: Shipment.State, reason: str, by: Actor, **facts: Any) -> Shipment:
    changes: dict[str, Any] = {
        "state": state,
        "settled_at": timezone.now(),
        "settled_by": by.person,
        "settled_because": reason,
    }
    record(advance(shipment, f"shipment.{state}", by=by, payload={"reason": reason, **facts}, **changes))
    return shipment
