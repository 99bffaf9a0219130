"""Who proves to be present: by badge and PIN, or by password; and how few guesses there are."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.people.models import PinGuard, User
from mes.people.services import Proof, prove, prove_password, set_pin
from tests.builders import TESTER, make_person

pytestmark = pytest.mark.django_db

PIN, WRONG = "482915", "000000"


def make_signer(username: str = "", badge: str = "") -> User:
    return set_pin(person=make_person(username, badge), pin=PIN, by=TESTER)


def refused(act: Callable[[], object]) -> RuleViolation:
    with pytest.raises(RuleViolation) as refusal:
        act()
    return refusal.value


def code_of(proof: Proof) -> str:
    return proof.refusal.code if proof.refusal else ""


def guess(badge: str, times: int, device: str = "d1") -> list[str]:
    return [code_of(prove(badge=badge, pin=WRONG, device=device)) for _ in range(times)]


def test_the_right_pin_proves_who_is_present() -> None:
    person = make_signer()
    proof = prove(badge=person.badge.lower(), pin=PIN, device="d1")
    assert (proof.require(), proof.method, proof.device) == (person, "pin", "d1")


@pytest.mark.parametrize("pin", ["123", "1" * 13, "12a4", "１２３４", "", " 1234", "1234\n"])
def test_a_pin_is_four_to_twelve_digits(pin: str) -> None:
    person = make_person()
    assert refused(lambda: set_pin(person=person, pin=pin, by=TESTER)).code == "pin_format"
    assert not User.objects.get(pk=person.pk).pin_hash


def test_a_pin_is_in_no_record() -> None:
    person = make_signer()
    [event] = Event.objects.filter(stream=person.stream)
    assert (event.kind, event.actor, event.payload) == ("person.pin_set", "tester", {})
    assert PIN not in str(User.objects.values().get(pk=person.pk))


def test_a_badge_nobody_wears_a_person_without_pin_and_one_switched_off() -> None:
    plain, off = make_person(), make_signer()
    User.objects.filter(pk=off.pk).update(is_active=False)
    assert code_of(prove(badge="NOBODY", pin=PIN)) == "unknown_badge"
    assert code_of(prove(badge=plain.badge, pin=PIN)) == "pin_not_set"
    assert code_of(prove(badge=off.badge, pin=PIN)) == "unknown_badge"
    refusal = refused(prove(badge=plain.badge, pin=PIN).require)
    assert refusal.rule and refusal.next_step and refusal.release


def test_five_wrong_in_a_row_lock_that_badge_at_that_device_only() -> None:
    person, other = make_signer(), make_signer()
    assert guess(person.badge, 6) == ["pin_wrong"] * 5 + ["pin_locked"]
    assert code_of(prove(badge=person.badge, pin=PIN, device="d1")) == "pin_locked"
    assert code_of(prove(badge=person.badge.lower(), pin=PIN, device="d1")) == "pin_locked"
    assert code_of(prove(badge=person.badge, pin=PIN, device="d2")) == ""
    assert code_of(prove(badge=other.badge, pin=PIN, device="d1")) == ""
    [event] = Event.objects.filter(kind="person.locked")
    assert (event.stream, event.device) == (person.stream, "d1")


def test_a_right_pin_starts_the_count_anew() -> None:
    person = make_signer()
    for _ in range(3):
        assert guess(person.badge, 4) == ["pin_wrong"] * 4
        assert code_of(prove(badge=person.badge, pin=PIN, device="d1")) == ""


def test_the_lock_ends_after_fifteen_minutes() -> None:
    person = make_signer()
    guess(person.badge, 5)
    until = PinGuard.objects.get().locked_until
    assert until is not None
    assert timedelta(minutes=14) < until - timezone.now() <= timedelta(minutes=15)
    PinGuard.objects.update(locked_until=timezone.now())
    assert guess(person.badge, 6) == ["pin_wrong"] * 5 + ["pin_locked"]


def test_a_new_pin_unlocks() -> None:
    person = make_signer()
    guess(person.badge, 5)
    set_pin(person=person, pin="7777", by=TESTER)
    assert code_of(prove(badge=person.badge, pin="7777", device="d1")) == ""


def test_a_password_proves_who_is_at_a_page_and_is_guessed_five_times() -> None:
    person = make_person(password="a long enough sentence")
    assert prove_password(user=person, password="a long enough sentence").require() == person
    codes = [code_of(prove_password(user=person, password="x")) for _ in range(6)]
    assert codes == ["password_wrong"] * 5 + ["password_locked"]
    assert code_of(prove_password(user=person, password="a long enough sentence")) == "password_locked"


def test_whoever_has_no_password_proves_nothing_by_one() -> None:
    assert code_of(prove_password(user=make_person(), password="")) == "password_wrong"


@pytest.mark.django_db(transaction=True)
def test_a_proof_is_made_before_the_act_never_inside_it() -> None:
    from django.db import transaction

    person = make_signer()
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        prove(badge=person.badge, pin=PIN)
    assert connection.in_atomic_block is False
