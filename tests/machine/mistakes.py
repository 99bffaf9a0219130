"""Mistakes as somebody could make them in the product, to see that the machine finds them."""

from collections.abc import Callable
from typing import Any

import pytest

from mes.quality import holds
from mes.racks import services as racks
from mes.workorders import gates, superseding
from mes.workorders.releases import live_releases

Mistake = Callable[[pytest.MonkeyPatch], None]


def forget_the_tests(patch: pytest.MonkeyPatch) -> None:
    """What must be repeated keeps its passed test."""
    patch.setattr(superseding, "supersede_tests", lambda **_: 0)


def forget_the_other_hold(patch: pytest.MonkeyPatch) -> None:
    """One released hold frees a unit that another one still stops."""
    _change(patch, holds, "unit.hold_released", lambda changes: {**changes, "held": False})


def forget_to_count_down(patch: pytest.MonkeyPatch) -> None:
    """What is taken out is still counted."""
    one_more = "live_children"
    _change(patch, racks, "unit.child_removed", lambda changes: {**changes, one_more: changes[one_more] + 1})


def forget_the_order(patch: pytest.MonkeyPatch) -> None:
    """A finished unit that goes back to work is still counted as finished."""
    patch.setattr(superseding, "note_reopened", lambda order_unit, by: None)


def forget_to_use_up(patch: pytest.MonkeyPatch) -> None:
    """A released gate lets a unit pass as often as it likes."""

    def first(*, unit: Any, operation: Any, gate: str, holds: str) -> Any:
        return live_releases(unit=unit, operation=operation).filter(gate=gate, holds=holds).first()

    patch.setattr(gates, "use_release", first)


def _change(
    patch: pytest.MonkeyPatch, module: Any, kind: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Let a module write other values with the events of one kind."""
    advance = module.advance

    def mistaken(row: Any, name: str, **given: Any) -> Any:
        return advance(row, name, **(change(given) if name == kind else given))

    patch.setattr(module, "advance", mistaken)


MISTAKES: tuple[Mistake, ...] = (
    forget_the_tests,
    forget_the_other_hold,
    forget_to_count_down,
    forget_the_order,
    forget_to_use_up,
)
