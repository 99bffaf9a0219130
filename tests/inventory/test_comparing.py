"""Trays compared without a database: positions, exchanges, duplicates, and what is not told."""

from dataclasses import replace
from typing import Any

import pytest

from mes.inventory.comparing import Design, Scanned, Told, Tray, Words, compare_trays, digest_of, plain


def scanned(kind: str, serial: str, place: str = "", board: str = "", **names: str) -> Scanned:
    known = {
        "serial": frozenset({plain(serial)}),
        **{kind: frozenset({plain(n)}) for kind, n in names.items()},
    }
    return Scanned(place or serial, kind, serial, f"uid-{serial}", frozenset(), known, board)


def tray(number: int, *inside: Scanned, told: tuple[Told, ...] = (), **more: Any) -> Tray:
    """Return a tray in slot C<number> that reports this slot and itself."""
    words = Words(
        itself=Told("", "itself", "serial", more.get("answers", f"T{number}")),
        slot_number=more.get("says", number),
        tray_index=None,
        parts=told,
        kinds=frozenset(more.get("kinds", {"nic", "gpu", "board", "e1s"})),
    )
    return Tray(
        itself=scanned("compute_tray", f"T{number}", f"C{number}"),
        design=Design(slot_number=number, quantities=more.get("quantities", {})),
        inside=inside,
        words=words,
    )


def nic(serial: str, name: str = "NIC") -> Told:
    return Told("nic", name, "serial", serial)


def gpu(uuid: str, board: str, name: str = "GPU") -> Told:
    return Told("gpu", name, "uuid", board, uuid=uuid)


def found(*trays: Tray) -> list[tuple[str, str]]:
    return [(row.place, row.state) for row in compare_trays(trays) if row.is_difference]


def test_a_tray_in_the_wrong_slot_is_said_with_where_it_seems_to_be() -> None:
    rows = [row for row in compare_trays([tray(1, says=2), tray(2)]) if row.is_difference]
    assert [(row.place, row.state) for row in rows] == [("C1", "wrong_slot")]
    assert "seems to be in C2" in rows[0].detail


def test_a_tray_in_a_slot_that_nothing_was_scanned_into_is_placed_there() -> None:
    (row,) = [row for row in compare_trays([tray(1, says=3)], {1: "C1", 3: "C3"}) if row.is_difference]
    assert "seems to be in C3" in row.detail


def test_two_exchanged_trays_are_said_once() -> None:
    rows = [row for row in compare_trays([tray(1, says=2), tray(2, says=1), tray(3)]) if row.is_difference]
    assert [(row.place, row.state) for row in rows] == [("C1", "wrong_slot")]
    assert "T1 and T2 are exchanged" in rows[0].detail


def test_three_trays_moved_round_are_three_differences() -> None:
    assert len(found(tray(1, says=2), tray(2, says=3), tray(3, says=1))) == 3


def test_two_exchanged_bmc_addresses_are_said_once_whatever_is_inside() -> None:
    first = tray(1, scanned("nic", "N1"), told=(nic("N2"),), answers="T2", says=2)
    second = tray(2, scanned("nic", "N2"), told=(nic("N1"),), answers="T1", says=1)
    assert found(first, second) == [("C1", "wrong_serial")]


def test_one_bmc_that_answers_for_two_trays_is_one_difference() -> None:
    second = tray(2, scanned("nic", "N2"), told=(nic("N1"),), answers="T1", says=1)
    assert found(tray(1, scanned("nic", "N1"), told=(nic("N1"),)), second) == [("C2", "wrong_serial")]


def test_an_unknown_tray_is_one_difference_though_nothing_in_it_fits() -> None:
    inside = (scanned("nic", "N1"), scanned("nic", "N2"))
    other = tray(1, *inside, told=(nic("X1", "A"), nic("X2", "B")), answers="STRANGE", says=9)
    assert found(other) == [("C1", "wrong_serial")]


def test_a_tray_with_another_serial_and_its_own_parts_is_one_difference() -> None:
    assert found(tray(1, scanned("nic", "N1"), told=(nic("N1"),), answers="NEW")) == [("C1", "wrong_serial")]


def test_two_gpus_of_one_board_serial_are_understood() -> None:
    board = scanned("board", "B1", "C1/SC0")
    inside = (board, scanned("gpu", "U1", board="B1"), scanned("gpu", "U2", board="B1"))
    told = (Told("board", "SC0", "serial", "B1"), gpu("u1", "B1", "GPU_0"), gpu("U2", "B1", "GPU_1"))
    assert found(tray(1, *inside, told=told)) == []


def test_one_uuid_is_written_in_many_ways() -> None:
    ways = ("GPU-fed6d03f-83a9-52ba-ee83-db756fcc4630", "FED6D03F83A952BAEE83DB756FCC4630")
    assert {plain(way) for way in ways} == {ways[1]}
    assert plain("GPU-00075") == "GPU-00075"


def test_a_gpu_on_another_board_than_scanned_is_a_difference() -> None:
    boards = (scanned("board", "B1"), scanned("board", "B2"))
    gpus = (scanned("gpu", "U1", board="B1"), scanned("gpu", "U2", board="B2"))
    told = (Told("board", "0", "serial", "B1"), Told("board", "1", "serial", "B2"))
    words = (*told, gpu("U1", "B2", "GPU_0"), gpu("U2", "B2", "GPU_1"))
    assert found(tray(1, *boards, *gpus, told=words)) == [("U1", "wrong_slot")]


def test_a_gpu_of_another_module_than_recorded_is_a_difference() -> None:
    one = scanned("gpu", "U1", module="1")
    assert found(tray(1, one, told=(replace(gpu("U1", "B", "GPU_1"), number="1"),))) == []
    assert found(tray(1, one, told=(replace(gpu("U1", "B", "GPU_0"), number="0"),))) == [("U1", "wrong_slot")]


def test_what_is_not_told_is_no_difference() -> None:
    inside = (scanned("busbar", "BB1"), scanned("e1s", "D1"), scanned("e1s", "D2"))
    told = (Told("e1s", "SSD_0", "serial", "D1"), Told("e1s", "SSD_1"))
    states = {row.place: row.state for row in compare_trays([tray(1, *inside, told=told)])}
    assert states == {"C1": "match", "BB1": "not_told", "D1": "match", "D2": "not_told"}


@pytest.mark.parametrize(
    ("told", "differences"),
    [
        ((nic("N1", "A"), nic("N2", "B")), []),
        ((nic("N1", "A"), nic("N1", "B"), nic("N2", "C")), []),
        ((nic("N2", "A"), nic("N1", "B")), []),
        ((nic("N1", "A"),), [("N2", "missing")]),
        ((nic("N1", "A"), nic("X", "B")), [("N2", "wrong_serial")]),
        ((nic("N1", "A"), nic("N2", "B"), nic("X", "C")), [("C1", "unexpected")]),
        ((), [("N1", "missing"), ("N2", "missing")]),
    ],
)
def test_two_nics(told: tuple[Told, ...], differences: list[tuple[str, str]]) -> None:
    assert found(tray(1, scanned("nic", "N1"), scanned("nic", "N2"), told=told)) == differences


def test_a_kind_that_design_does_not_track_is_not_expected_to_be_scanned() -> None:
    assert found(tray(1, told=(nic("N1"),))) == []
    assert found(tray(1, told=(nic("N1"),), quantities={"nic": 1})) == [("C1", "unexpected")]


def test_a_nic_found_by_its_mac_with_another_serial_has_a_wrong_serial() -> None:
    one = scanned("nic", "N1", mac="02:00:00:00:00:0A")
    told = replace(nic("N9"), mac="0200.0000.000a")
    assert found(tray(1, one, told=(told,))) == [("N1", "wrong_serial")]
    assert found(tray(1, one, told=(replace(told, serial="n1"),))) == []


def test_the_digest_is_of_what_is_told_in_any_order() -> None:
    first = tray(1, told=(nic("N1"), nic("N2")))
    assert digest_of([first]) == digest_of([tray(1, told=(nic("N2"), nic("N1")))])
    assert digest_of([first]) != digest_of([tray(1, told=(nic("N1"), nic("N3")))])


@pytest.mark.parametrize("told", [(), (nic("", "A"), nic("", "B"), gpu("", "", "GPU_0"))])
def test_a_tray_that_answers_and_tells_nothing_is_one_difference(told: tuple[Told, ...]) -> None:
    inside = (scanned("nic", "N1"), scanned("nic", "N2"), scanned("gpu", "U1"), scanned("tpm", "TP1"))
    rows = compare_trays([tray(1, *inside, told=told, answers=""), tray(2)])
    assert [(row.place, row.state) for row in rows if row.is_difference] == [("C1", "silent")]
    assert {row.state for row in rows if row.place not in {"C1", "C2"}} == {"not_told"}
    assert found(tray(1, *inside, told=told, answers="", kinds=())) == [("C1", "silent")]


def test_a_tray_that_tells_its_own_serial_and_none_of_its_parts_is_silent_too() -> None:
    inside = (scanned("nic", "N1"), scanned("nic", "N2"), scanned("tpm", "TP1"))
    assert found(tray(1, *inside, told=(nic("", "A"), nic("", "B")))) == [("C1", "silent")]
    assert found(tray(1, *inside, told=(nic("N1", "A"), nic("", "B")))) == []
    assert found(tray(1, *inside, told=(nic("N1", "A"), nic("", "B")), answers="")) == []


def test_one_part_that_is_not_told_beside_the_serial_of_its_tray_is_no_difference() -> None:
    assert found(tray(1, scanned("bmc", "B1"), told=(Told("bmc", "BMC_0"),), kinds={"bmc"})) == []
    assert found(tray(1, scanned("nic", "N1"), kinds=())) == []
