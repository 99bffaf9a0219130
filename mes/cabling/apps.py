"""Application configuration."""

from django.apps import AppConfig


class CablingConfig(AppConfig):
    """The cabling app."""

    name = "mes.cabling"

    def ready(self) -> None:
        """Teach the scanners what ports, cables and their commands mean."""
        from mes.cabling.scans import cable_scanned, check_command, cut_command, verify_command
        from mes.workorders.services import add_command, add_meaning

        add_meaning(cable_scanned)
        add_command("CABLES", verify_command)
        add_command("CHECK", check_command)
        add_command("CUT", cut_command)
