"""Deviations: who opens them, what they let pass at the act, how often and until when, and nothing else."""

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.products.models import Limit, PartRevision
from mes.quality.services import place_hold
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.workorders import deviations
from mes.workorders.models import Deviation, DeviationUse, WorkOrder
from mes.workorders.services import (
    LimitException,
    PartException,
    apply_change,
    install_child,
    open_deviation,
    plan_change,
    revoke_deviation,
    start_operation,
)
from tests.builders import (
    TESTER,
    make_order,
    make_part,
    make_person,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    placed,
    supervisor_client,
)
from tests.workorders.recipes import (
    Role,
    Trays,
    make_signer,
    next_revision,
    next_route,
    proof_by,
    signature_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def trays() -> Trays:
    return Trays()


def permit(trays: Trays, exception: PartException | LimitException, **more: Any) -> Deviation:
    given = {
        "target": trays.unit,
        "quantity": 1,
        "expires_at": timezone.now() + timedelta(days=7),
        "reason": "shortage",
        "proof": proof_by(trays.engineer),
        "by": TESTER,
        **more,
    }
    return open_deviation(exception=exception, **given)


def permit_part(trays: Trays, instead: PartRevision, **more: Any) -> Deviation:
    return permit(trays, PartException(trays.gpu.part, instead), **more)


def permit_power(trays: Trays, low: float | None = 50, high: float | None = None, **more: Any) -> Deviation:
    limit = Limit.objects.get(operation__route=trays.one)
    return permit(trays, LimitException(limit, low, high), **more)


def refusal(act: Any, *args: Any, **given: Any) -> str:
    with pytest.raises(RuleViolation) as caught:
        act(*args, **given)
    return caught.value.code


# --- a part ---


def test_a_part_that_the_slot_does_not_take_is_let_pass_once(trays: Trays) -> None:
    other = make_part("gpu")
    trays.act(10, "start")
    assert trays.install("GPU0", make_unit(other)).json()["code"] == "wrong_part"
    deviation = permit_part(trays, other)
    answer = trays.install("GPU0", make_unit(other))
    assert (answer.status_code, answer.json()["deviation"]) == (201, deviation.number)
    use = DeviationUse.objects.get()
    assert (use.deviation, use.unit, use.installation) == (deviation, trays.unit, placed(trays.unit, "GPU0"))
    deviation.refresh_from_db()
    assert deviation.used == 1
    installed = Event.objects.get(kind="unit.child_installed")
    assert installed.payload["deviation"] == deviation.number
    assert Event.objects.get(kind="deviation.used").payload["slot"] == "GPU0"
    nic = trays.install("NIC0", make_unit(trays.nic)).json()
    assert nic["deviation"] is None
    # What a deviation let in is no wrong child, so that the operation completes.
    assert trays.act(10, "complete").status_code == 200
    assert verify_ledger().intact


def test_a_revision_that_the_bill_of_material_does_not_name(trays: Trays) -> None:
    revision = PartRevision.objects.create(part=trays.gpu.part, revision="Z", released_at=timezone.now())
    given = {"revisions": {trays.gpu.part_id: ["A"]}}
    strict = next_revision(trays.a, "B9", {"GPU0": trays.gpu, "NIC0": trays.nic}, **given)
    unit = make_order(strict, trays.one).order_units.get().unit
    trays.act(10, "start", unit)
    assert trays.install("GPU0", make_unit(revision), unit).json()["code"] == "wrong_revision"
    permit_part(trays, revision, target=unit)
    assert trays.install("GPU0", make_unit(revision), unit).status_code == 201


def test_used_up_it_refuses_as_before_and_is_named(trays: Trays) -> None:
    other = make_part("gpu")
    deviation = permit_part(trays, other)
    trays.act(10, "start")
    trays.install("GPU0", make_unit(other))
    trays.remove("GPU0")
    refused = trays.install("GPU0", make_unit(other)).json()
    assert refused["code"] == "wrong_part"
    assert refused["next"].startswith(f"{deviation.number} is used up")
    deviation.refresh_from_db()
    assert (deviation.used, DeviationUse.objects.count()) == (1, 1)


def test_expired_and_revoked_it_refuses_as_before_and_is_named(trays: Trays) -> None:
    other = make_part("gpu")
    deviation = permit_part(trays, other)
    trays.act(10, "start")
    Deviation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused = trays.install("GPU0", make_unit(other)).json()
    assert refused["next"].startswith(f"{deviation.number} has expired")
    revoke_deviation(deviation=deviation, reason="parts arrived", by=TESTER)
    refused = trays.install("GPU0", make_unit(other)).json()
    assert refused["next"].startswith(f"{deviation.number} was revoked")
    assert refusal(revoke_deviation, deviation=deviation, reason="again", by=TESTER) == "deviation_revoked"


def test_it_is_for_its_unit_or_the_units_of_its_order_alone(trays: Trays) -> None:
    other, stranger = make_part("gpu"), make_order(trays.a, trays.one, 1).order_units.get().unit
    permit_part(trays, other)
    trays.act(10, "start", stranger)
    assert trays.install("GPU0", make_unit(other), stranger).json()["code"] == "wrong_part"
    order = make_order(trays.a, trays.one, 2)
    deviation = permit_part(trays, other, target=order, quantity=2)
    for row in order.order_units.all():
        trays.act(10, "start", row.unit)
        assert trays.install("GPU0", make_unit(other), row.unit).json()["deviation"] == deviation.number


def test_nothing_else_is_loosened(trays: Trays) -> None:
    other = make_part("gpu")
    permit_part(trays, other, quantity=9)
    trays.act(10, "start")
    held = make_unit(other)
    place_hold(unit=held, reason="scratch", by=TESTER)
    assert trays.install("GPU0", held).json()["code"] == "unit_held"
    assert trays.install("NIC0", make_unit(other)).json()["code"] == "wrong_part"
    raw = make_unit(other)
    Unit.objects.filter(pk=raw.pk).update(state=Unit.State.IN_WORK)
    assert trays.install("GPU0", raw).json()["code"] == "unit_not_finished"
    assert trays.install("GPU0", make_unit(make_part("gpu"))).json()["code"] == "wrong_part"
    assert Deviation.objects.get().used == 0


def test_a_scan_names_it(trays: Trays) -> None:
    other = make_part("gpu")
    deviation = permit_part(trays, other)
    trays.builder.scan(trays.unit.serial)
    trays.builder.scan("GPU0")
    answer = trays.builder.scan(make_unit(other).serial).json()
    assert answer["detail"].endswith(f"is in GPU0 under {deviation.number}.")


def test_an_engineering_change_leaves_in_what_a_deviation_let_in(trays: Trays) -> None:
    other = make_part("gpu")
    permit_part(trays, other)
    trays.act(10, "start")
    trays.install("GPU0", make_unit(other))
    trays.install("NIC0", make_unit(trays.nic))
    trays.act(10, "complete")
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC0": trays.nic})
    change = trays.draft(revision, next_route(revision, "2"))
    assert plan_change(change).data["units"][0]["remove"] == []
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    trays.report()
    trays.do(20, 30)


# --- a limit ---


def test_a_measurement_beyond_its_limit_is_judged_by_the_deviation(trays: Trays) -> None:
    trays.build()
    deviation = permit_power(trays)
    run = trays.report(power=80)
    assert run["outcome"] == "PASS"
    permitted = f"{deviation.number} permits at least 50 W."
    assert run["reasons"] == [f"power is 80 W; the limit is at least 100 and at most 1500 W, {permitted}"]
    measured = run["measurements"][0]
    assert (measured["low"], measured["high"], measured["verdict"]) == (50, None, "PASS")
    assert DeviationUse.objects.get().test_run == TestRun.objects.get()
    deviation.refresh_from_db()
    assert deviation.used == 1
    trays.do(20)


def test_a_measurement_beyond_both_fails_and_uses_nothing(trays: Trays) -> None:
    trays.build()
    deviation = permit_power(trays)
    run = trays.report(power=40)
    assert (run["outcome"], deviation.number in run["reasons"][0]) == ("FAIL", True)
    assert Deviation.objects.get().used == 0


def test_a_measurement_within_the_limit_uses_nothing(trays: Trays) -> None:
    trays.build()
    permit_power(trays)
    run = trays.report(power=900)
    assert (run["outcome"], run["reasons"], run["measurements"][0]["low"]) == ("PASS", [], 100)
    assert Deviation.objects.get().used == 0


def test_a_used_up_limit_is_the_limit_again(trays: Trays) -> None:
    trays.build()
    deviation = permit_power(trays)
    trays.report(power=80)
    run = trays.report(power=80)
    assert run["outcome"] == "FAIL"
    assert run["reasons"][0].endswith(f"({deviation.number} is used up).")
    more = permit_power(trays, 60)
    assert trays.report(power=80)["reasons"][0].endswith(f"{more.number} permits at least 60 W.")


def test_what_the_tester_called_a_failure_stays_one(trays: Trays) -> None:
    trays.build()
    permit_power(trays)
    body = {
        "unit": str(trays.unit.uid),
        "procedure": "func",
        "outcome": "FAIL",
        "measurements": [{"name": "power", "value": 80, "unit": "W"}],
    }
    assert trays.tester.post("test-runs/", body).json()["outcome"] == "FAIL"
    assert Deviation.objects.get().used == 0


# --- opening ---


def in_the_past(trays: Trays) -> dict[str, Any]:
    return {"expires_at": timezone.now()}


def for_nothing(trays: Trays) -> dict[str, Any]:
    return {"quantity": 0}


def for_finished(trays: Trays) -> dict[str, Any]:
    Unit.objects.update(state=Unit.State.FINISHED)
    trays.unit.refresh_from_db()
    return {}


def for_closed(trays: Trays) -> dict[str, Any]:
    WorkOrder.objects.update(state="closed")
    return {"target": WorkOrder.objects.get()}


def of_a_draft(trays: Trays) -> dict[str, Any]:
    draft = make_part("gpu", released=False)
    return {"exception": PartException(trays.gpu.part, draft)}


def of_no_slot(trays: Trays) -> dict[str, Any]:
    return {"exception": PartException(make_part("psu").part, trays.gpu)}


def of_a_rack(trays: Trays) -> dict[str, Any]:
    return {"exception": PartException(trays.gpu.part, make_part("rack", level=11))}


def without_bounds(trays: Trays) -> dict[str, Any]:
    return {"exception": LimitException(Limit.objects.get(), None, None)}


def upside_down(trays: Trays) -> dict[str, Any]:
    return {"exception": LimitException(Limit.objects.get(), 9, 1)}


def of_another_route(trays: Trays) -> dict[str, Any]:
    route = next_route(trays.a, "2")
    return {"exception": LimitException(Limit.objects.get(operation__route=route), 1, None)}


def by_an_operator(trays: Trays) -> dict[str, Any]:
    return {"proof": proof_by(make_signer(Role.OPERATOR))}


def with_a_wrong_pin(trays: Trays) -> dict[str, Any]:
    return {"proof": proof_by(trays.quality, "000000")}


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (in_the_past, "deviation_expired"),
        (for_nothing, "deviation_quantity"),
        (for_finished, "deviation_target_closed"),
        (for_closed, "deviation_target_closed"),
        (of_a_draft, "deviation_not_released"),
        (of_no_slot, "deviation_no_slot"),
        (of_a_rack, "deviation_wrong_level"),
        (without_bounds, "deviation_bounds"),
        (upside_down, "deviation_bounds"),
        (of_another_route, "deviation_other_route"),
        (by_an_operator, "role_missing"),
        (with_a_wrong_pin, "pin_wrong"),
    ],
)
def test_what_is_not_opened(trays: Trays, ask: Any, code: str) -> None:
    given = {"exception": PartException(trays.gpu.part, make_part("gpu")), **ask(trays)}
    assert refusal(permit, trays, **given) == code
    assert not Deviation.objects.exists()


def test_the_database_keeps_the_count(trays: Trays) -> None:
    permit_part(trays, make_part("gpu"))
    with pytest.raises(DatabaseError), transaction.atomic():
        Deviation.objects.update(used=2)


# --- over REST ---


def test_over_rest(trays: Trays) -> None:
    other, client = make_part("gpu"), supervisor_client()
    body = {
        "unit": str(trays.unit.uid),
        "part": trays.gpu.part.number,
        "instead": other.part.number,
        "instead_revision": "A",
        "quantity": 2,
        "expires_at": "2099-01-01T00:00:00Z",
        "reason": "shortage",
        "signature": signature_of(trays.quality),
    }
    made = client.post("/api/v1/deviations/", body, format="json")
    assert made.status_code == 201, made.json()
    number = made.json()["number"]
    assert (number, made.json()["signed_by"]) == ("DEV-0001", trays.quality.username)
    trays.act(10, "start")
    trays.install("GPU0", make_unit(other))
    found = client.get("/api/v1/deviations/", {"unit__uid": str(trays.unit.uid)}).json()["results"]
    assert (found[0]["used"], found[0]["uses"][0]["slot"]) == (1, "GPU0")
    assert client.get("/api/v1/deviations/", {"kind": "limit"}).json()["results"] == []
    revoked = client.post(f"/api/v1/deviations/{number}/revoke/", {"reason": "parts arrived"}, format="json")
    assert revoked.json()["revoked_at"]


def test_a_limit_over_rest_from_a_device(trays: Trays) -> None:
    body = {
        "order": trays.order.number,
        "procedure": "func",
        "measurement": "power",
        "low": 50,
        "quantity": 2,
        "expires_at": "2099-01-01T00:00:00Z",
        "reason": "new supply",
        "signature": signature_of(trays.engineer),
    }
    made = trays.builder.post("deviations/", body)
    assert (made.status_code, made.json()["low"], made.json()["order"]) == (201, 50, trays.order.number)


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": "none"},
        {"unit": None},
        {"procedure": "func"},
        {"instead_revision": "none"},
        {"part": None, "procedure": "func", "measurement": "none"},
    ],
)
def test_bad_input_over_rest(trays: Trays, wrong: dict[str, Any]) -> None:
    body = {
        "unit": str(trays.unit.uid),
        "part": trays.gpu.part.number,
        "instead_revision": "A",
        "quantity": 1,
        "expires_at": "2099-01-01T00:00:00Z",
        "reason": "shortage",
        "signature": signature_of(trays.engineer),
        **wrong,
    }
    given = {name: value for name, value in body.items() if value is not None}
    assert supervisor_client().post("/api/v1/deviations/", given, format="json").status_code == 400


def test_strangers_open_and_revoke_nothing(trays: Trays) -> None:
    deviation = permit_part(trays, make_part("gpu"))
    client = supervisor_client()
    client.force_login(make_person())
    assert client.post("/api/v1/deviations/", {}, format="json").status_code == 403
    url = f"/api/v1/deviations/{deviation.number}/revoke/"
    assert client.post(url, {"reason": "r"}, format="json").status_code == 403


def test_list_costs_the_same_however_long(trays: Trays) -> None:
    client, counts = supervisor_client(), []
    for _ in range(2):
        for _ in range(3):
            permit_part(trays, make_part("gpu"))
            permit_power(trays)
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/api/v1/deviations/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- rivals ---

RIVALS, QUANTITY = 20, 7


def rivals_install(trays: Trays) -> Counter[str]:
    """Let the units of an order need its deviation at the same moment; count how each ended."""
    other, station = make_part("gpu"), make_station("BUILD")
    order = make_order(trays.a, trays.one, RIVALS)
    permit_part(trays, other, target=order, quantity=QUANTITY)
    pairs = [(row, make_unit(other)) for row in order.order_units.select_related("unit")]
    for row, _ in pairs:
        start_operation(unit=row.unit, sequence=10, station=station, by=TESTER)
    ends: Counter[str] = Counter()
    barrier = threading.Barrier(RIVALS)

    def install(unit: Unit, child: Unit) -> None:
        barrier.wait()
        try:
            deviations_install(unit, child)
            ends["won"] += 1
        except RuleViolation as refused:
            ends[refused.code] += 1
        except DatabaseError:
            ends["broke"] += 1
        connections.close_all()

    threads = [threading.Thread(target=install, args=(row.unit, child)) for row, child in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def deviations_install(unit: Unit, child: Unit) -> None:
    install_child(unit=unit, slot_name="GPU0", child=child, station=make_station("BUILD"), by=TESTER)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
class TestRivals:
    def test_never_use_it_more_often_than_permitted(self) -> None:
        assert rivals_install(Trays()) == {"won": QUANTITY, "wrong_part": RIVALS - QUANTITY}
        assert Deviation.objects.get().used == DeviationUse.objects.count() == QUANTITY
        assert verify_ledger().intact

    def test_would_without_the_condition(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Control: a count that is read, then written, lets rivals past the quantity or breaks."""

        def claim(deviation: Deviation) -> bool:
            deviation.refresh_from_db()
            if deviation.used >= deviation.quantity:
                return False
            Deviation.objects.filter(pk=deviation.pk).update(used=deviation.used + 1)
            return True

        monkeypatch.setattr(deviations, "_claim", claim)
        rivals_install(Trays())
        assert DeviationUse.objects.count() > QUANTITY


def test_site_of_a_deviation_is_that_of_its_unit(trays: Trays) -> None:
    deviation = permit_part(trays, make_part("gpu"))
    assert deviation.site == make_site()
    elsewhere = make_station("BUILD", site=make_site("S2"))
    assert make_scanner(elsewhere).get("deviations/").json()["results"] == []
