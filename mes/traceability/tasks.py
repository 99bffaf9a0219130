"""The report work that runs in the background."""

from celery import shared_task

from mes.traceability import services


@shared_task
def make_report(report_id: int) -> None:
    """Make one report right after it was asked for."""
    services.make_report(report_id)


@shared_task
def make_reports() -> None:
    """Make what is waiting, so that a lost message loses no report."""
    services.make_due_reports()
