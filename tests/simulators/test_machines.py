"""What is physically there in the demo's rack, and what it sends to the API."""

from pathlib import Path

import pytest

from mes.attachments.services import store_attachment
from mes.definitions.services import load_pack
from mes.products.models import PartRevision
from mes.simulators.crating import picture
from mes.simulators.finding import numbered
from mes.simulators.machines import CROSSED, physical_links, planned_ends
from tests.builders import TESTER, make_site, make_unit
from tests.test_house import ROOT

pytestmark = pytest.mark.django_db


def test_only_the_far_ends_of_two_cables_are_crossed() -> None:
    load_pack(Path(ROOT) / "fixtures" / "nvl72")
    rack = make_unit(PartRevision.objects.get(part__number="RK-1001"))
    ends, seen = planned_ends(rack), physical_links(rack)
    wrong = {label for label, (here, there) in ends.items() if seen[here] != there}
    assert len(ends) == 170
    assert wrong == set(CROSSED)
    one, two = (ends[label] for label in CROSSED)
    assert (seen[one[0]], seen[two[1]]) == (two[1], one[0])


def test_pictures_of_the_sides_are_different_files() -> None:
    site = make_site()
    kept = [
        store_attachment(
            site=site, name=f"{side}.png", content_type="image/png", content=picture(side), by=TESTER
        )
        for side in range(4)
    ]
    assert len({each.sha256 for each in kept}) == 4


def test_components_are_counted_as_baselines_count_them() -> None:
    assert [numbered(slot) for slot in ("PSU1", "PSU6", "PMC")] == ["PSU 1", "PSU 6", "PMC"]
