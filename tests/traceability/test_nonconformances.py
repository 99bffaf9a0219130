"""A report tells what was found wrong, who decided what and signed it, and what was done."""

import json
from typing import Any

import pytest

from mes.ledger.services import canonical_json
from mes.people.models import Signature
from mes.people.services import prove
from mes.quality.models import Nonconformance
from mes.traceability.content import report_content
from mes.traceability.pdf import render_pdf
from mes.workorders.services import record_repair
from tests.workorders.reworking import PIN, REPAIRER, Kind, Review, Role, signer

pytestmark = pytest.mark.django_db


def content_of(review: Review) -> dict[str, Any]:
    return dict(json.loads(canonical_json(report_content(review.unit))))


def reworked(review: Review) -> Nonconformance:
    """Return a nonconformance that was reworked, its repair on record, agreed by quality too."""
    found = review.open("leak", location="GPU0", operation=review.operation(20))
    review.dispose(found, quality_proof=prove(badge=signer(Role.QUALITY).badge, pin=PIN))
    record_repair(nonconformance=found, action="new hose", by=REPAIRER)
    for sequence in (10, 20):
        review.work(sequence, "REPAIR")
    return found


def test_from_found_to_closed() -> None:
    review = Review()
    review.finish()
    found = reworked(review)
    content = content_of(review)
    (shown,) = content["nonconformances"]
    assert (shown["number"], shown["path"], shown["serial"]) == (found.number, "", review.unit.serial)
    assert (shown["symptom"], shown["location"], shown["state"]) == ("leak", "GPU0", "closed")
    assert (shown["operation"], shown["opened_by"], shown["closed_by"]) == (
        "20 Step 20",
        "finder",
        "repairer",
    )
    (decided,) = content["dispositions"]
    assert (decided["kind"], decided["reason"]) == ("rework", "as agreed")
    assert decided["returns_to"] == "20 Step 20"
    board, quality = decided["signatures"]
    assert (board["signer"], board["meaning"]) == (review.board.username, "rework agreed by Review Board")
    assert quality["meaning"] == "rework agreed by Quality"
    assert board["signed_at"] is not None
    assert Signature.objects.filter(subject=found.stream, subject_digest=board["digest"]).exists()
    (rework,) = content["reworks"]
    assert (rework["route"], rework["state"]) == ("rework R1", "complete")
    done = [(run["name"], run["rework"]) for run in content["operations"] if run["rework"]]
    assert done == [("Rework 10", found.number), ("Rework 20", found.number)]
    (repair,) = content["repairs"]
    assert (repair["action"], repair["repaired_by"], repair["removed"]) == ("new hose", "repairer", None)
    summary = content["summary"]
    counts = summary["nonconformances"], summary["nonconformances_open"], summary["reworks"]
    assert counts == (1, 0, 1)


def test_one_that_is_not_closed_is_an_open_point() -> None:
    review = Review()
    review.finish()
    found = review.open("leak")
    point = f"{found.number} of {review.unit.serial} is"
    assert f"{point} open: leak" in content_of(review)["verdict"]["open_points"]
    review.dispose(found)
    assert f"{point} in rework: leak" in content_of(review)["verdict"]["open_points"]


def test_its_history_is_checked_too() -> None:
    review = Review()
    found = review.open()
    histories = {row["of"]: row for row in content_of(review)["ledger"]["histories"]}
    found.refresh_from_db()
    assert histories[found.number]["head"] == found.head


def test_it_is_printed() -> None:
    review = Review()
    reworked(review)
    review.dispose(review.open("scratch"), Kind.USE_AS_IS)
    text = canonical_json(report_content(review.unit)).encode()
    assert render_pdf(text, digest="0" * 64).startswith(b"%PDF")
