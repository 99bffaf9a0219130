"""Application configuration."""

from django.apps import AppConfig


class ShippingConfig(AppConfig):
    """The shipping app."""

    name = "mes.shipping"

    def ready(self) -> None:
        """Keep here what is still in a crate, or not at its firmware, however it is to leave."""
        from mes.shipping.departing import require_free_to_leave
        from mes.workorders.services import add_ship_check

        add_ship_check(require_free_to_leave)
