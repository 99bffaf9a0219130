"""What Celery runs for cabling. Every task is safe to run twice, late, or never."""

from celery import shared_task

from mes.cabling import polling

EXPIRES_SECONDS = 60


@shared_task
def dispatch() -> None:
    """Send a poll for every unit whose ports are due to be read; beat calls it."""
    polling.plan_polls()
    for poll_id in polling.due_polls():
        poll.apply_async(args=(poll_id,), expires=EXPIRES_SECONDS)


@shared_task
def poll(poll_id: int) -> None:
    """Ask the BMCs of one unit for their ports, if that is due."""
    polling.poll_ports(poll_id)
