"""Shock and tilt indicators, and photos, of crates: as they depart and as they arrive."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.shipping.models import Crate, CratePhoto, Indicator, Shipment
from mes.shipping.rules import Requirement
from mes.shipping.shipments import require_addressable, require_reason, require_state
from mes.stations.services import require_sign_on

Kind, State = Indicator.Kind, Indicator.State


@transaction.atomic
def apply_indicator(
    *,
    crate: Crate,
    kind: str,
    serial: str,
    rating: Decimal,
    by: Actor,
    state: str = State.OK,
    photo: Attachment | None = None,
) -> Indicator:
    """Put an indicator on a crate; ``rating`` is in g for shock, in degrees for tilt.

    Refuses with ``device_not_signed_on``, ``indicator_tripped`` for one that is no longer as new,
    ``indicator_exists``, ``number_not_addressable``, ``wrong_site`` for the photo, ``crate_withdrawn`` or the
    shipment's state.
    """
    require_sign_on(by)
    shipment, crate = _lock(crate)
    require_photos_of_site(shipment, [photo] if photo else [])
    require_addressable(serial)
    if state != State.OK:
        raise _tripped(f"{kind} {serial}", crate)
    if Indicator.objects.filter(serial__iexact=serial).exists():
        raise RuleViolation(
            "indicator_exists",
            f"The indicator {serial} was used before.",
            rule="an indicator is used once",
            next_step="Take a new one.",
        )
    indicator = Indicator.objects.create(
        crate=crate,
        kind=kind,
        serial=serial,
        rating=rating,
        departure_read_by=by.person,
        departure_photo=photo,
    )
    payload = {"kind": kind, "serial": serial, "rating": rating}
    record(advance(crate, "crate.indicator_applied", by=by, payload=payload))
    return indicator


@transaction.atomic
def read_indicator(
    *, indicator: Indicator, state: str, by: Actor, photo: Attachment | None = None
) -> Indicator:
    """Note how an indicator stands before the crate departs; a tripped one keeps the crate here.

    What has tripped stays so. Refuses with ``device_not_signed_on``, ``indicator_removed``,
    ``indicator_tripped``, ``wrong_site`` or the shipment's state.
    """
    require_sign_on(by)
    shipment, crate = _lock(indicator.crate)
    indicator = _live(indicator)
    require_photos_of_site(shipment, [photo] if photo else [])
    if indicator.departure == State.TRIPPED and state != State.TRIPPED:
        raise _tripped(str(indicator), crate)
    indicator.departure, indicator.departure_read_by = state, by.person
    indicator.departure_read_at = timezone.now()
    indicator.departure_photo = photo or indicator.departure_photo
    indicator.save(update_fields=["departure", "departure_read_at", "departure_read_by", "departure_photo"])
    payload = {"kind": indicator.kind, "serial": indicator.serial, "state": state}
    record(advance(crate, "crate.indicator_read", by=by, payload=payload))
    return indicator


@transaction.atomic
def remove_indicator(*, indicator: Indicator, reason: str, by: Actor) -> Indicator:
    """Take an indicator off a crate, e.g. one that tripped, once it is known why; it stays on record.

    Refuses with ``device_not_signed_on``, ``reason_missing``, ``indicator_removed`` or the shipment's state.
    """
    require_sign_on(by)
    require_reason(reason)
    _, crate = _lock(indicator.crate)
    indicator = _live(indicator)
    removed = {"removed_at": timezone.now(), "removed_by": by.person, "removed_because": reason}
    Indicator.objects.filter(pk=indicator.pk).update(**removed)
    payload = {"serial": indicator.serial, "state": indicator.departure, "reason": reason}
    record(advance(crate, "crate.indicator_removed", by=by, payload=payload))
    indicator.refresh_from_db()
    return indicator


@transaction.atomic
def add_photos(*, crate: Crate, photos: Iterable[Attachment], by: Actor) -> int:
    """Keep pictures of a crate: as it departs, later as it arrives; return how many.

    Refuses with ``device_not_signed_on``, ``wrong_site`` or the shipment's state.
    """
    require_sign_on(by)
    shipment = locked(crate.shipment)
    require_state(shipment, "pictured")
    crate, photos = locked(crate), list(photos)
    is_here = shipment.state in Shipment.IN_FACTORY
    moment = CratePhoto.Moment.DEPARTURE if is_here else CratePhoto.Moment.ARRIVAL
    keep_photos(shipment, crate, photos, moment, by)
    payload = {"photos": [photo.sha256 for photo in photos], "moment": moment}
    record(advance(crate, "crate.photos_added", by=by, payload=payload))
    return CratePhoto.objects.filter(crate=crate, moment=moment).count()


def keep_photos(shipment: Shipment, crate: Crate, photos: list[Attachment], moment: str, by: Actor) -> None:
    """Keep pictures of a crate, each once. Refuses with ``wrong_site``; the caller records it."""
    require_photos_of_site(shipment, photos)
    CratePhoto.objects.bulk_create(
        (
            CratePhoto(crate=crate, attachment=photo, moment=moment, added_by=by.person)
            for photo in dict.fromkeys(photos)
        ),
        ignore_conflicts=True,
    )


def live_indicators(crates: Iterable[Crate]) -> list[Indicator]:
    """Return the indicators that are on crates."""
    rows = Indicator.objects.filter(crate__in=list(crates), removed_at__isnull=True)
    return list(rows.select_related("crate"))


def require_indicators(crate: Crate, needs: Requirement, indicators: list[Indicator]) -> None:
    """Refuse with ``indicator_tripped`` or ``indicator_missing`` unless a crate carries what it must."""
    tripped = next((each for each in indicators if each.departure == State.TRIPPED), None)
    if tripped is not None:
        raise _tripped(str(tripped), crate)
    counted = Counter(each.kind for each in indicators if each.departure == State.OK)
    for kind, least in ((Kind.SHOCK, needs.shock_indicators), (Kind.TILT, needs.tilt_indicators)):
        if counted[kind] < least:
            raise RuleViolation(
                "indicator_missing",
                f"Crate {crate} has {counted[kind]} {kind} indicator(s); it needs {least}.",
                rule="what happens on the way shows on the crate",
                next_step=f"Put a {kind} indicator on it and scan its serial.",
                crate=crate.number,
                kind=str(kind),
            )


def require_photos(crate: Crate, moment: str, least: int) -> int:
    """Return how many photos a crate has of a moment. Refuses with ``photos_missing``."""
    count = CratePhoto.objects.filter(crate=crate, moment=moment).count()
    if count < least:
        raise RuleViolation(
            "photos_missing",
            f"Crate {crate} has {count} photo(s) of its {moment}; it needs {least}.",
            rule="photos show how a crate left and how it arrived",
            next_step="Take the photos and add them.",
            crate=crate.number,
            needed=least,
        )
    return count


def _lock(crate: Crate) -> tuple[Shipment, Crate]:
    shipment = locked(crate.shipment)
    require_state(shipment, "packed")
    crate = locked(crate)
    require_not_withdrawn(crate)
    return shipment, crate


def require_not_withdrawn(crate: Crate) -> None:
    """Refuse with ``crate_withdrawn``."""
    if crate.state == Crate.State.WITHDRAWN:
        raise RuleViolation(
            "crate_withdrawn",
            f"Crate {crate} was taken out of its shipment.",
            rule="a crate that was withdrawn is used no more",
            next_step="Add another crate, with another number.",
            crate=crate.number,
        )


def _live(indicator: Indicator) -> Indicator:
    indicator = Indicator.objects.get(pk=indicator.pk)
    if indicator.removed_at is not None:
        raise RuleViolation(
            "indicator_removed",
            f"{indicator} was taken off its crate.",
            rule="what was taken off is on record as it was",
            next_step="Put a new one on.",
        )
    return indicator


def _tripped(indicator: str, crate: Crate) -> RuleViolation:
    return RuleViolation(
        "indicator_tripped",
        f"{indicator} on crate {crate} has tripped.",
        rule="a crate departs with indicators as new",
        next_step="Find out what happened and look at what is in it; then take it off and put a new one on.",
        crate=crate.number,
    )


def require_photos_of_site(shipment: Shipment, photos: list[Attachment]) -> None:
    """Refuse with ``wrong_site``."""
    foreign = next((photo for photo in photos if photo.site_id != shipment.site_id), None)
    if foreign is not None:
        raise RuleViolation(
            "wrong_site",
            f"The picture {foreign.name} belongs to another site than shipment {shipment.number}.",
            rule="what is on record of a shipment is of its site",
            next_step="Upload the picture at this site.",
        )
