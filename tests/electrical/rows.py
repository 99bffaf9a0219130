"""A row of everything that electrical safety lists, for tests over all lists."""

from mes.electrical.services import finish_hipot
from mes.ledger.services import Actor
from tests.electrical.builders import Bay, high_voltage


def add_rows() -> None:
    """Plan, begin and finish a hipot."""
    bay = Bay(hipot_circuits=["busbar to frame"])
    session = bay.begin()
    by = Actor(person=bay.second.username)
    finish_hipot(session=session, readings=high_voltage(), discharged=True, by=by)
