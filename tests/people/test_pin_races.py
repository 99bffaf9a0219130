"""Guesses sent at the same moment share the same five tries, on real PostgreSQL."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection, connections
from django.utils import timezone

from mes.people import pins, proofs
from mes.people.models import PinGuard
from mes.people.services import prove, set_pin
from tests.builders import TESTER, make_person

THREADS, GUESSES = 20, 3
SECONDS_TO_COMPARE = 0.05

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]


def guesses_compared(badge: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Send wrong PINs from many threads at once; return how many were compared, each a guess at the PIN."""
    compared: Counter[str] = Counter()

    def slow_compare(pin: str, _kept: str) -> bool:
        compared[pin] += 1
        time.sleep(SECONDS_TO_COMPARE)
        return False

    monkeypatch.setattr(proofs, "check_password", slow_compare)
    barrier = threading.Barrier(THREADS)

    def guess(number: int) -> None:
        barrier.wait()
        for tries in range(GUESSES):
            prove(badge=badge, pin=f"{number:04}{tries}", device="d1")
        connections.close_all()

    run_together([lambda number=number: guess(number) for number in range(THREADS)])  # type: ignore[misc]
    return compared.total()


def run_together(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def take_try_naively(name: str, device: str) -> pins.Try:
    """Read the count, then write it: what the product must not do."""
    guard, _ = PinGuard.objects.get_or_create(badge=name, device=device)
    if guard.failures >= pins.TRIES_IN_A_ROW:
        return pins.Try(locked_until=timezone.now())
    guard.failures += 1
    guard.save()
    return pins.Try()


def test_parallel_guesses_get_no_more_than_five(monkeypatch: pytest.MonkeyPatch) -> None:
    person = set_pin(person=make_person(), pin="482915", by=TESTER)
    assert guesses_compared(person.badge, monkeypatch) == pins.TRIES_IN_A_ROW


def test_counting_by_reading_first_would_let_more_through(monkeypatch: pytest.MonkeyPatch) -> None:
    person = set_pin(person=make_person(), pin="482915", by=TESTER)
    monkeypatch.setattr(proofs, "take_try", take_try_naively)
    assert guesses_compared(person.badge, monkeypatch) > pins.TRIES_IN_A_ROW
