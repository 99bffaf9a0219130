"""Firmware versions are ordered where that is honest, and only there."""

import pytest

from mes.inventory.versions import compare_versions


@pytest.mark.parametrize(
    ("found", "wanted", "order"),
    [
        ("97.00.B9.00.69", "97.00.B9.00.69", "equal"),
        ("97.00.b9.00.69", "97.00.B9.00.69 ", "equal"),
        ("97.00.B9.00.69", "97.00.B9.00.6A", "behind"),
        ("97.10.4A.00.0C", "97.00.B9.00.69", "ahead"),
        ("97.00.10.00.00", "97.00.B9.00.00", "behind"),
        ("25.06-A", "25.06-B", "behind"),
        ("25.08-A", "25.06-B", "ahead"),
        ("25.10", "25.9", "ahead"),
        ("28.46.3048", "40.45.3048", "behind"),
        ("01.04.0026.0000", "01.04.0031.0000", "behind"),
        ("0ACTV_00.01.021", "0ACTV_00.01.022", "behind"),
        ("CPLD000370_REV0700", "CPLD000370_REV0600", "ahead"),
        ("GB200Nvl-25.07-7", "GB200Nvl-25.08-7", "behind"),
        ("0103", "0104", "behind"),
        ("CPLD000377_REV0600", "CPLD000370_REV0600", "different"),
        ("0BCTV_00.01.022", "0ACTV_00.01.022", "different"),
        ("25.08-9", "25.08-B", "different"),
        ("25.06", "25.06-A", "different"),
        ("25.06_A", "25.06-A", "different"),
        ("2.1b", "2.2", "different"),
        ("1A", "1.60", "different"),
        ("GB200Nvl-25.07-7", "25.08-B", "different"),
        ("25.06-rc", "25.07-A", "different"),
        ("1.0", "1.00", "different"),
        ("", "1.0", "different"),
    ],
)
def test_order(found: str, wanted: str, order: str) -> None:
    assert compare_versions(found, wanted) == order


@pytest.mark.parametrize(("one", "other"), [("25.06-A", "25.06-B"), ("97.00.69", "97.00.6A"), ("9", "10")])
def test_order_is_the_same_seen_from_the_other_side(one: str, other: str) -> None:
    assert (compare_versions(one, other), compare_versions(other, one)) == ("behind", "ahead")
