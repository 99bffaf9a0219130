"""Whether the operations of a route lead from its start to its end: no cycle and no gap."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What of an operation its order depends on: its code, its sequence, and the codes it follows."""

    code: str
    sequence: int
    after: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a route cannot be walked: ``route_gap`` or ``route_cycle``, at which operation, in words."""

    code: str
    operation: str
    detail: str


def route_faults(steps: Iterable[Step]) -> Iterator[Fault]:
    """Yield the gaps and cycles of a route.

    An operation follows those it names, else all of lower sequence. A name that is no operation is a gap, and
    so is a route without operations.
    """
    by_code = {step.code: step for step in steps}
    if not by_code:
        yield Fault("route_gap", "", "a route needs at least one operation")
    for step in by_code.values():
        for code in step.after:
            if code not in by_code:
                yield Fault("route_gap", step.code, f"{step.code} follows '{code}', which is no operation")
    before = {step.code: _before(step, by_code.values()) for step in by_code.values()}
    if cycle := _cycle(before):
        yield Fault("route_cycle", cycle[0], f"operations wait for each other: {' > '.join(cycle)}")


def _before(step: Step, steps: Iterable[Step]) -> list[str]:
    if step.after:
        return [each.code for each in steps if each.code in step.after]
    return [each.code for each in steps if each.sequence < step.sequence]


def _cycle(before: dict[str, list[str]]) -> list[str]:
    """Return operations that wait for each other, the first again at the end, or nothing."""
    left = dict(before)
    while free := [code for code, codes in left.items() if not any(each in left for each in codes)]:
        for code in free:
            del left[code]
    if not left:
        return []
    path = [next(iter(left))]
    while path[-1] not in path[:-1]:
        path.append(next(each for each in left[path[-1]] if each in left))
    return path[path.index(path[-1]) :]
