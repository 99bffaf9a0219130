"""Pack samples without a broker: `manage.py burnin_compact`."""

from typing import Any

from django.core.management.base import BaseCommand

from mes.burnin.compaction import compact_due


class Command(BaseCommand):
    """Compact the samples of the windows that are over."""

    help = "Pack the samples older than the current ten minutes; as often as you like."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{compact_due()} polls packed")
