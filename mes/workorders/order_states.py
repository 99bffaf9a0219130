"""The state machine of orders: from which states each act is possible."""

from mes.errors import RuleViolation
from mes.workorders.models import WorkOrder

State = WorkOrder.State

FROM: dict[str, tuple[State, ...]] = {
    "redrafted": (State.DRAFT,),
    "released": (State.DRAFT,),
    "changed": (State.DRAFT, State.RELEASED, State.RUNNING, State.HELD, State.COMPLETE),
    "given child orders": (State.DRAFT, State.RELEASED, State.RUNNING),
    "split": (State.DRAFT, State.RELEASED, State.RUNNING),
    "joined": (State.RELEASED, State.RUNNING),
    "worked on": (State.RELEASED, State.RUNNING),
    "held": (State.RELEASED, State.RUNNING),
    "resumed": (State.HELD,),
    "shipped from": (State.RELEASED, State.RUNNING, State.COMPLETE, State.CLOSED, State.CANCELLED),
    "closed": (State.COMPLETE,),
    "cancelled": (State.DRAFT, State.RELEASED, State.RUNNING, State.HELD),
}

WAY_ON: dict[str, tuple[str, str]] = {
    State.DRAFT: ("A supervisor releases the order.", "Ask a supervisor to release it."),
    State.RELEASED: ("Nobody; it was released before.", "Build its units."),
    State.RUNNING: ("Nobody; its units are being built.", "Finish its units, or cancel it."),
    State.HELD: ("A supervisor resumes the order with a reason.", "Ask a supervisor to resume it."),
    State.COMPLETE: ("Nobody; all its units are done.", "Ship its units and close it."),
    State.CLOSED: ("Nobody; a closed order is done.", "Draft a new order."),
    State.CANCELLED: ("Nobody; a cancelled order is done.", "Draft a new order."),
}


def require_state(order: WorkOrder, act: str) -> None:
    """Refuse with ``order_`` and the order's state, e.g. ``order_held``, unless it can be ``act`` now."""
    if order.state in FROM[act]:
        return
    release, next_step = WAY_ON[order.state]
    possible = " or ".join(FROM[act])
    raise RuleViolation(
        f"order_{order.state}",
        f"Order {order.number} is {order.state}; it cannot be {act}.",
        rule=f"an order is {act} while it is {possible}",
        release=release,
        next_step=next_step,
        order=order.number,
    )


def state_after(order: WorkOrder, done: int, quantity: int) -> State:
    """Return the state of an order of whose ``quantity`` units ``done`` are finished, scrapped or cancelled.

    The last one completes it; one that is opened again brings even a closed order back to work. A held order
    stays held.
    """
    state = State(order.state)
    if done == quantity:
        return State.COMPLETE if state in {State.RELEASED, State.RUNNING} else state
    return State.RUNNING if state in {State.COMPLETE, State.CLOSED, State.CANCELLED} else state
