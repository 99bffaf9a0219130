"""After so many reworks quality must agree, by a second signature of another person."""

from typing import Any

import pytest

from mes.errors import RuleViolation
from mes.people.services import prove
from mes.quality.models import Disposition
from mes.quality.services import open_nonconformance
from mes.stations.services import grant_role
from tests.builders import TESTER, make_scanner, make_site
from tests.workorders.reworking import FINDER, PIN, Review, Role, Source, signed, signer

pytestmark = pytest.mark.django_db


def limit_of(review: Review, symptom: str, **more: Any) -> dict[str, Any] | None:
    """Return the facts of the refusal when one more rework is decided on, or None."""
    found = review.open(symptom, **more)
    try:
        review.dispose(found)
    except RuleViolation as refusal:
        assert refusal.code == "rework_limit"
        assert "quality" in refusal.release
        return refusal.facts
    return None


def test_the_third_repair_of_one_kind_needs_quality() -> None:
    review = Review(rework_limits={"per_symptom": 2})
    for symptom in ("leak", "bent_pin", "leak"):
        review.rework(symptom)
    assert limit_of(review, "Leak") == {"scope": "per_symptom", "maximum": 2, "so_far": 2}
    assert Disposition.objects.count() == 3
    assert limit_of(review, "bent_pin") is None


def test_in_all() -> None:
    review = Review(rework_limits={"in_all": 1})
    review.rework("leak")
    assert limit_of(review, "bent_pin") == {"scope": "in_all", "maximum": 1, "so_far": 1}


def test_per_operation_that_found_it() -> None:
    review = Review(rework_limits={"per_operation": 1})
    found = review.open("leak", operation=review.operation(20))
    review.dispose(found)
    review.work(10, "REPAIR")
    review.work(20, "REPAIR")
    assert limit_of(review, "scratch", operation=review.operation(30)) is None
    review.work(10, "REPAIR")
    review.work(20, "REPAIR")
    facts = limit_of(review, "bent_pin", operation=review.operation(20))
    assert facts == {"scope": "per_operation", "maximum": 1, "so_far": 1}
    assert limit_of(review, "bent_pin") is None


def test_quality_agrees_by_a_second_signature() -> None:
    review = Review(rework_limits={"in_all": 0})
    found, quality = review.open(), signer(Role.QUALITY)
    disposition = review.dispose(found, quality_proof=prove(badge=quality.badge, pin=PIN))
    assert disposition.quality_signature is not None
    assert disposition.quality_signature.signer == quality.username
    assert disposition.quality_signature.meaning == "rework agreed by Quality"


@pytest.mark.parametrize(
    ("who", "code"), [("board", "own_work"), ("finder", "own_work"), ("supervisor", "role_missing")]
)
def test_who_may_not_be_the_second(who: str, code: str) -> None:
    review = Review(rework_limits={"in_all": 0})
    finder = signer(Role.QUALITY, username="finder")
    grant_role(person=review.board, role=Role.QUALITY, site=make_site(), by=TESTER)
    second = {"board": review.board, "finder": finder, "supervisor": signer(Role.SUPERVISOR)}[who]
    found = open_nonconformance(unit=review.unit, symptom="leak", source=Source.HAND, by=FINDER)
    with pytest.raises(RuleViolation) as refusal:
        review.dispose(found, quality_proof=prove(badge=second.badge, pin=PIN))
    assert refusal.value.code == code
    assert Disposition.objects.count() == 0


def test_over_rest() -> None:
    review = Review(rework_limits={"per_symptom": 0})
    path = f"nonconformances/{review.open().number}/disposition/"
    body: dict[str, Any] = {"kind": "rework", "reason": "again", "rework_route": "R1", "returns_to": "op20"}
    body |= {"signature": signed(review.board)}
    scanner = make_scanner()
    refusal = scanner.post(path, body).json()
    assert (refusal["code"], refusal["so_far"], refusal["maximum"]) == ("rework_limit", 0, 0)
    answer = scanner.post(path, {**body, "quality_signature": signed(signer(Role.QUALITY))})
    assert answer.status_code == 201
