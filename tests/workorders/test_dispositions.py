"""The review board decides about a nonconformance, signed by somebody who neither found nor built it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.people.models import Signature, SignedWork, User
from mes.people.services import prove, set_pin
from mes.products.models import Route
from mes.quality.models import Disposition, Nonconformance
from mes.quality.services import place_hold
from mes.racks.models import Installation
from mes.serials.models import Supplier, Unit
from mes.stations.services import grant_role
from mes.workorders.models import OperationRun, Rework
from tests.builders import (
    TESTER,
    Scanner,
    make_part,
    make_person,
    make_route,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    supervisor_client,
)
from tests.racks.test_races import race
from tests.workorders.reworking import PIN, Kind, Review, Role, make_rework_route, signed, signer

pytestmark = pytest.mark.django_db


@pytest.fixture
def review() -> Review:
    return Review()


def refused(act: Any) -> str:
    """Return the code of a refusal, and see that nothing was half-done."""
    before = Disposition.objects.count(), Rework.objects.count(), Signature.objects.count()
    with pytest.raises(RuleViolation) as refusal:
        act()
    assert (Disposition.objects.count(), Rework.objects.count(), Signature.objects.count()) == before
    return refusal.value.code


def test_use_as_is_closes_and_releases_its_own_hold_only(review: Review) -> None:
    found = review.open()
    place_hold(unit=review.unit, reason="another reason", by=TESTER)
    disposition = review.dispose(found, Kind.USE_AS_IS)
    found.refresh_from_db()
    assert found.state == Nonconformance.State.CLOSED
    assert found.holds.get().released_at is not None
    assert review.fresh().held
    assert disposition.signature.signer == review.board.username
    assert disposition.signature.meaning == "use_as_is agreed by Review Board"
    performers = SignedWork.objects.filter(signature=disposition.signature)
    assert set(performers.values_list("performer", flat=True)) == {"finder"}
    event = Event.objects.get(kind="nonconformance.disposed")
    assert event.payload["signed_by"] == event.actor == found.closed_by == review.board.username
    assert verify_ledger().intact


def test_without_signature(review: Review) -> None:
    found = review.open()
    assert refused(lambda: review.dispose(found, Kind.USE_AS_IS, proof=None)) == "signature_required"
    assert review.fresh().held


def test_with_a_wrong_pin(review: Review) -> None:
    proof = prove(badge=review.board.badge, pin="00000")
    assert refused(lambda: review.dispose(review.open(), proof=proof)) == "pin_wrong"


def test_without_the_role(review: Review) -> None:
    proof = prove(badge=signer(Role.SUPERVISOR).badge, pin=PIN)
    assert refused(lambda: review.dispose(review.open(), proof=proof)) == "role_missing"


def test_by_the_finder(review: Review) -> None:
    found = review.open()
    finder = signer(username="finder")
    proof = prove(badge=finder.badge, pin=PIN)
    assert refused(lambda: review.dispose(found, Kind.USE_AS_IS, proof=proof)) == "own_work"


def test_by_who_built_it(review: Review) -> None:
    review.build()
    builder = User.objects.get(username=OperationRun.objects.get().completed_by)
    set_pin(person=builder, pin=PIN, by=TESTER)
    grant_role(person=builder, role=Role.REVIEW_BOARD, site=make_site(), by=TESTER)
    found = review.open()
    own = prove(badge=builder.badge, pin=PIN)
    assert refused(lambda: review.dispose(found, Kind.USE_AS_IS, proof=own)) == "own_work"
    review.dispose(found, Kind.USE_AS_IS)


def test_twice_and_on_a_closed_one(review: Review) -> None:
    found = review.open()
    review.dispose(found)
    assert refused(lambda: review.dispose(found)) == "already_disposed"
    closed = review.open("scratch", unit=make_unit(review.gpu))
    review.dispose(closed, Kind.USE_AS_IS)
    assert refused(lambda: review.dispose(closed, Kind.SCRAP)) == "nonconformance_closed"


def test_rework_by_a_wrong_route(review: Review) -> None:
    found, other = review.open(), make_part("other", level=10)
    foreign = make_rework_route(make_route(other))
    draft = Route.objects.create(part=review.tray.part, version="R2", name="draft", kind=Route.Kind.REWORK)
    empty = make_rework_route(review.route, operations=(), version="R3")
    for route in (None, review.route, foreign, draft, empty):
        assert refused(lambda route=route: review.dispose(found, rework_route=route)) == "wrong_route"


def test_rework_that_returns_nowhere(review: Review) -> None:
    found, elsewhere = review.open(), review.rework_route.operations.first()
    for operation in (None, elsewhere):
        assert refused(lambda op=operation: review.dispose(found, returns_to=op)) == "no_operation"


def test_rework_of_what_no_order_builds(review: Review) -> None:
    found = review.open(unit=make_unit(review.tray))
    assert refused(lambda: review.dispose(found)) == "no_work_order"


def test_scrap_of_what_is_installed(review: Review) -> None:
    review.build()
    found = review.open(unit=Installation.objects.live().get().child)
    assert refused(lambda: review.dispose(found, Kind.SCRAP)) == "unit_in_use"
    found.refresh_from_db()
    assert (found.state, found.unit.held) == (Nonconformance.State.OPEN, True)


def test_scrap_closes(review: Review) -> None:
    found = review.open()
    review.dispose(found, Kind.SCRAP)
    found.refresh_from_db()
    assert (found.state, review.fresh().state) == (Nonconformance.State.CLOSED, Unit.State.SCRAPPED)


def test_scrap_ends_the_rework_it_is_in(review: Review) -> None:
    leak = review.open("leak")
    review.dispose(leak)
    review.dispose(review.open("cracked"), Kind.SCRAP)
    leak.refresh_from_db()
    assert (leak.state, Rework.objects.get().state) == (Nonconformance.State.CLOSED, Rework.State.ABANDONED)


def test_of_two_found_on_one_unit_each_is_decided(review: Review) -> None:
    leak, crack = review.open("leak"), review.open("cracked")
    review.dispose(leak, Kind.SCRAP)
    crack.refresh_from_db()
    assert crack.state == Nonconformance.State.OPEN
    assert refused(lambda: review.dispose(crack)) == "unit_scrapped"
    review.dispose(crack, Kind.SCRAP)


def test_only_what_a_supplier_delivered_is_returned(review: Review) -> None:
    supplier = Supplier.objects.create(code="DEMO", name="Demo supplier")
    assert refused(lambda: review.dispose(review.open(), Kind.RETURN_TO_SUPPLIER)) == "not_from_supplier"
    unknown = review.open(unit=make_unit(review.gpu))
    assert refused(lambda: review.dispose(unknown, Kind.RETURN_TO_SUPPLIER)) == "not_from_supplier"
    gpu = make_unit(review.gpu, supplier=supplier)
    review.dispose(review.open(unit=gpu), Kind.RETURN_TO_SUPPLIER)
    gpu.refresh_from_db()
    assert (gpu.state, gpu.held) == (Unit.State.RETURNED, False)
    assert Event.objects.get(kind="unit.returned").payload["supplier"] == "DEMO"
    assert refused(lambda: review.open(unit=gpu)) == "unit_returned"


def test_suspect_counterfeit_is_never_returned(review: Review) -> None:
    supplier = Supplier.objects.create(code="DEMO", name="Demo supplier")
    gpu = make_unit(review.gpu, supplier=supplier)
    suspected, scratched = review.open("Suspect counterfeit", unit=gpu), review.open("scratch", unit=gpu)
    for found in (suspected, scratched):
        act = lambda found=found: review.dispose(found, Kind.RETURN_TO_SUPPLIER)  # noqa: E731
        assert refused(act) == "suspect_not_returned"
    review.dispose(suspected, Kind.USE_AS_IS)
    review.dispose(scratched, Kind.RETURN_TO_SUPPLIER)


def test_two_decisions_at_once(review: Review) -> None:
    body = {"kind": "use_as_is", "reason": "cosmetic", "signature": signed(review.board)}
    found, scanner = review.open(), make_scanner()
    path = f"nonconformances/{found.number}/disposition/"
    assert scanner.post(path, body, key="k").status_code == 201
    assert scanner.post(path, body, key="k").headers["Idempotent-Replayed"] == "true"
    assert scanner.post(path, body).json()["code"] == "nonconformance_closed"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_rival_decisions() -> None:
    review = Review()
    found = review.open()
    boards = [signer() for _ in range(10)]
    proofs = [prove(badge=board.badge, pin=PIN) for board in boards]
    kinds = [Kind.USE_AS_IS, Kind.SCRAP, Kind.REWORK, Kind.REPAIR]
    calls: list[Callable[[], object]] = [
        partial(review.dispose, found, kinds[number % 4], proof=proofs[number % 10]) for number in range(40)
    ]
    ends = race(calls)
    assert ends["won"] == 1
    assert ends["already_disposed"] + ends["nonconformance_closed"] == 39
    assert Disposition.objects.count() == Signature.objects.count() == 1
    assert verify_ledger().intact


def dispose_by(client: Scanner, found: Nonconformance, **body: Any) -> Any:
    given = {"kind": "rework", "reason": "replace hose", "rework_route": "R1", "returns_to": "op20", **body}
    return client.post(f"nonconformances/{found.number}/disposition/", given)


def test_over_rest_with_badge_and_pin(review: Review) -> None:
    found, scanner = review.open(), make_scanner()
    assert dispose_by(scanner, found).json()["code"] == "signature_required"
    wrong = {"badge": review.board.badge, "pin": "00000"}
    assert dispose_by(scanner, found, signature=wrong).json()["code"] == "pin_wrong"
    assert dispose_by(scanner, found, rework_route="?", signature=signed(review.board)).json()["code"] == (
        "wrong_route"
    )
    answer = dispose_by(scanner, found, signature=signed(review.board))
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert (shown["rework_route"], shown["returns_to"]) == ("R1", "op20")
    assert shown["signature"]["signer"] == review.board.username
    assert PIN not in str(list(Event.objects.values_list("payload_text", flat=True)))


def test_over_rest_by_who_may(review: Review) -> None:
    found = review.open()
    elsewhere = make_scanner(make_station(site=make_site("S2")))
    assert dispose_by(elsewhere, found, signature=signed(review.board)).status_code == 404
    path = f"/api/v1/nonconformances/{found.number}/disposition/"
    client = supervisor_client()
    body = {"kind": "use_as_is", "reason": "cosmetic", "signature": signed(review.board)}
    assert client.post(path, {**body, "kind": "melt"}, format="json").status_code == 400
    assert client.post(path, body, format="json").status_code == 201
    nobody = APIClient()
    nobody.force_login(make_person())
    assert nobody.post(path, body, format="json").status_code == 403
