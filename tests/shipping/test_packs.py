"""Packing rules come by packs, like every definition."""

from pathlib import Path

import pytest

from mes.definitions.services import BadPack, load_pack
from mes.shipping.models import PackingRule
from tests.definitions.packs import GOOD, written

pytestmark = pytest.mark.django_db

RULE = """packing_rules:
  - {part: RACK, version: "1", expected_kg: 1360, tolerance_percent: 3, shock_indicators: 2, release: true}
"""


def test_a_packing_rule_is_loaded_and_released(tmp_path: Path) -> None:
    load_pack(written(tmp_path, GOOD + RULE))
    rule = PackingRule.objects.get()
    assert rule.is_released and rule.expected_kg == 1360 and rule.shock_indicators == 2


def test_a_rule_without_tolerance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadPack, match="tolerance_percent must be greater than 0"):
        load_pack(written(tmp_path, GOOD + RULE.replace("tolerance_percent: 3", "tolerance_percent: 0")))
