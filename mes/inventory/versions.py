"""Firmware versions in order, where there is an honest one. Pure."""

import re
from enum import StrEnum

HEX = re.compile(r"[0-9A-F]+")
NUMBERED = re.compile(r"([A-Z]+)([0-9]+)")
FIELDS = re.compile(r"[._-]")


class Order(StrEnum):
    """How a version stands to the one wanted."""

    EQUAL = "equal"
    BEHIND = "behind"
    AHEAD = "ahead"
    DIFFERENT = "different"


def compare_versions(found: str, wanted: str) -> Order:
    """Return how ``found`` stands to ``wanted``; DIFFERENT when nothing says which of them is newer.

    They are ordered only when they have the same shape: the same separators (``.``, ``-``, ``_``), equal
    words, and numbers where the other has numbers. Numbers are decimal, or hexadecimal where both have the
    same number of digits (97.00.B9.00.69); a single character is a digit or a letter, never both (25.06-A);
    a number behind letters orders in the last field only (CPLD000370_REV0600), for elsewhere it is a name.
    """
    mine, theirs = found.strip().upper(), wanted.strip().upper()
    if mine == theirs:
        return Order.EQUAL
    if FIELDS.findall(mine) != FIELDS.findall(theirs):
        return Order.DIFFERENT
    return _first_difference(FIELDS.split(mine), FIELDS.split(theirs))


def _first_difference(mine: list[str], theirs: list[str]) -> Order:
    last = len(mine) - 1
    for place, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        if one == other:
            continue
        order = _order(one, other, is_last=place == last)
        if order is not Order.EQUAL:
            return order if _same_shapes(mine[place + 1 :], theirs[place + 1 :]) else Order.DIFFERENT
    return Order.DIFFERENT  # written differently, and yet neither is newer


def _same_shapes(mine: list[str], theirs: list[str]) -> bool:
    last = len(mine) - 1
    pairs = enumerate(zip(mine, theirs, strict=True))
    return all(
        one == other or _order(one, other, is_last=place == last) is not Order.DIFFERENT
        for place, (one, other) in pairs
    )


def _order(one: str, other: str, *, is_last: bool) -> Order:
    if one.isdecimal() and other.isdecimal():
        return _by(int(one), int(other))
    if len(one) == len(other) == 1:
        return _by(ord(one), ord(other)) if one.isalpha() and other.isalpha() else Order.DIFFERENT
    if len(one) == len(other) and HEX.fullmatch(one) and HEX.fullmatch(other):
        return _by(int(one, 16), int(other, 16))
    mine, theirs = NUMBERED.fullmatch(one), NUMBERED.fullmatch(other)
    if is_last and mine and theirs and mine[1] == theirs[1]:
        return _by(int(mine[2]), int(theirs[2]))
    return Order.DIFFERENT


def _by(one: int, other: int) -> Order:
    if one == other:
        return Order.EQUAL
    return Order.BEHIND if one < other else Order.AHEAD
