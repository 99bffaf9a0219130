"""Bringing runs on: what a Celery task and the loop without a broker both call."""

from mes.burnin import intents, tick

MOST_STEPS = 4


def advance(run_id: int) -> None:
    """Bring one run on as far as it is due, and tell the trays at once what that decided.

    Safe to call twice, late, or from many places together.
    """
    for _ in range(MOST_STEPS):
        if not tick.advance_run(run_id):
            return
        intents.deliver_due()
