"""What Celery runs for inventory."""

from celery import shared_task

from mes.inventory import services


@shared_task
def collect(collection_id: int) -> None:
    """Read the BMCs of a collection; safe to run twice."""
    services.collect(collection_id)


@shared_task
def collect_due() -> None:
    """Do what is waiting, so that a lost message loses no collection."""
    services.collect_due()
