"""What orders are expected to do: their states and counts, and the units that leave them."""

from tests.machine.model import GONE, Model, Nonconformance, Order, Refused, Row, Unit, refuse

__all__ = ["GONE"]

FROM = {
    "split": {"draft", "released", "running"},
    "joined": {"released", "running"},
    "worked on": {"released", "running"},
    "held": {"released", "running"},
    "resumed": {"held"},
    "shipped from": {"released", "running", "complete", "closed", "cancelled"},
    "closed": {"complete"},
    "cancelled": {"draft", "released", "running", "held"},
}


def require_state(order: Order, act: str) -> None:
    refuse(order.state not in FROM[act], f"order_{order.state}")


def settle(order: Order) -> None:
    """The last unit completes an order; one that is opened again brings it back to work."""
    if order.done == order.quantity:
        order.state = "complete" if order.state in {"released", "running"} else order.state
    elif order.state in {"complete", "closed", "cancelled"}:
        order.state = "running"


def count(model: Model, name: str, outcome: str) -> None:
    row = model.require_row(name)
    if row.outcome == outcome:
        return
    order = model.orders[row.order]
    for each, by in ((row.outcome, -1), (outcome, 1)):
        if each in order.counts:
            order.counts[each] += by
    row.outcome = outcome
    settle(order)


def scrap(model: Model, name: str) -> None:
    unit = model.units[name]
    _require_bare(model, unit)
    unit.state = "scrapped"
    if unit.row is not None:
        row = unit.row
        abandon_rework(model, name)
        count(model, name, "scrapped")
        row.live = False


def return_to_supplier(model: Model, name: str) -> None:
    unit = model.units[name]
    _require_bare(model, unit)
    refuse(bool(unit.rows), "not_from_supplier")
    unit.state = "returned"


def _require_bare(model: Model, unit: Unit) -> None:
    model.require_here(unit.name)
    refuse(bool(unit.inside) or unit.place is not None, "unit_in_use")


def end_reworks(unit: Unit, state: str) -> None:
    for rework in unit.reworks:
        if rework.state == "running":
            rework.state = state


def abandon_rework(model: Model, name: str) -> None:
    end_reworks(model.units[name], "abandoned")
    for found in model.open_on(name):
        if found.state == "rework":
            close(model, found)


def close(model: Model, found: Nonconformance) -> None:
    found.state = "closed"
    release_holds_of(model, found)


def release_holds_of(model: Model, found: Nonconformance) -> None:
    for hold in model.holds:
        if hold.nonconformance is found:
            hold.live = False


def hold_order(model: Model, number: str) -> None:
    order = model.orders[number]
    require_state(order, "held")
    order.before, order.state = order.state, "held"


def resume_order(model: Model, number: str) -> None:
    order = model.orders[number]
    require_state(order, "resumed")
    order.state, order.before = order.before, ""
    settle(order)


def close_order(model: Model, number: str, reason: str) -> None:
    order = model.orders[number]
    require_state(order, "closed")
    left = [
        unit
        for unit in model.units.values()
        if unit.row and unit.row.order == number and unit.state == "finished" and unit.place is None
    ]
    refuse(bool(left) and not reason, "units_not_shipped")
    order.state = "closed"


def open_units(model: Model, number: str) -> list[Unit]:
    return [
        unit
        for unit in model.units.values()
        if unit.row and unit.row.order == number and unit.row.outcome == "open"
    ]


def orders_to_join(model: Model, order: Order) -> list[str]:
    return [
        each.number
        for each in model.orders.values()
        if each is not order
        and (each.part, each.revision) == (order.part, order.revision)
        and each.state in FROM["joined"]
    ]


def fates_of(model: Model, unit: Unit, order: Order) -> list[str]:
    """What may become of a unit in progress if its order is cancelled."""
    in_use = bool(unit.inside) or unit.place is not None
    fates = [] if in_use else ["scrap"]
    fates += [] if in_use or unit.is_busy or unit.rework else ["return_to_stock"]
    return fates + [f"move:{number}" for number in orders_to_join(model, order)]


def cancel_order(model: Model, number: str, fates: dict[str, str]) -> None:
    order = model.orders[number]
    require_state(order, "cancelled")
    units = open_units(model, number)
    asked = [unit for unit in units if unit.state != "planned"]
    names = {unit.name for unit in asked}
    refuse(bool(fates.keys() - names), "unit_not_in_order")
    refuse(bool(names - fates.keys()), "units_undecided")
    for unit in asked:
        refuse(fates[unit.name] not in fates_of(model, unit, order), "fate_not_allowed")
    order.state = "cancelled"
    for unit in units:
        _leave(model, order, unit, fates.get(unit.name, "cancel"))


def _leave(model: Model, order: Order, unit: Unit, fate: str) -> None:
    row = model.require_row(unit.name)
    row.live = False
    order.counts["scrapped" if fate == "scrap" else "cancelled"] += 1
    if fate.startswith("move:"):
        row.outcome = "moved"
        _join(unit, model.orders[fate.removeprefix("move:")])
        return
    row.outcome = "scrapped" if fate == "scrap" else "cancelled"
    if fate != "cancel":
        abandon_rework(model, unit.name)
    unit.state = {"scrap": "scrapped", "cancel": "cancelled", "return_to_stock": "in_stock"}[fate]


def _join(unit: Unit, order: Order) -> None:
    unit.rows = [row for row in unit.rows if row.order != order.number] + [Row(order.number)]
    order.quantity += 1
    order.state = "running"


def split_order(model: Model, number: str, new: str, quantity: int) -> None:
    order = model.orders[number]
    planned = [unit for unit in open_units(model, number) if unit.state == "planned"]
    require_state(order, "split")
    refuse(not 0 < quantity < order.quantity, "split_leaves_nothing")
    refuse(len(planned) < quantity, "units_to_split")
    if new in model.orders:
        raise Refused("order_exists")
    model.orders[new] = Order(new, order.part, order.revision, quantity)
    for unit in planned[-quantity:]:
        row = model.require_row(unit.name)
        row.outcome, row.live = "moved", False
        unit.rows.append(Row(new))
    order.quantity -= quantity
    settle(order)
