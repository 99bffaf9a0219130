"""What Celery runs for burn-in. Every task is safe to run twice, late, or never."""

from celery import shared_task

from mes.burnin import advancing, compaction, intents, tick
from mes.burnin import archive as archives

EXPIRES_SECONDS = 10


@shared_task
def dispatch() -> None:
    """Send a tick for every run that is due, and a delivery if intents wait; beat calls it every second."""
    for run_id in tick.due_runs():
        advance.apply_async(args=(run_id,), expires=EXPIRES_SECONDS)
    if intents.are_due():
        deliver.apply_async(expires=EXPIRES_SECONDS)


@shared_task
def advance(run_id: int) -> None:
    """Bring one run on as far as it is due."""
    advancing.advance(run_id)


@shared_task
def deliver() -> None:
    """Send the intents that are due to the trays."""
    intents.deliver_due()


@shared_task
def compact() -> None:
    """Pack the samples of the windows that are over."""
    compaction.compact_due()


@shared_task
def archive() -> None:
    """Archive the samples of the runs that ended ``BURNIN_ARCHIVE_DAYS`` ago."""
    archives.archive_due()
