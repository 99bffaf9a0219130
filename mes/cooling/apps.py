"""Application configuration."""

from django.apps import AppConfig


class CoolingConfig(AppConfig):
    """The cooling app."""

    name = "mes.cooling"

    def ready(self) -> None:
        """Count mates as slots are filled, and keep a filled loop closed."""
        from mes.cooling.slots import count_mates, refuse_wet_removal
        from mes.workorders.services import add_install_act, add_removal_check

        add_install_act(count_mates)
        add_removal_check(refuse_wet_removal)
