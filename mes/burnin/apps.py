"""Application configuration."""

from django.apps import AppConfig


class BurninConfig(AppConfig):
    """The burnin app."""

    name = "mes.burnin"

    def ready(self) -> None:
        """Keep trays in a rack under stress."""
        from mes.burnin.swapping import refuse_hot_removal
        from mes.workorders.services import add_removal_check

        add_removal_check(refuse_hot_removal)
