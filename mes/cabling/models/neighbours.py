"""The machine's own view: what the ports of a unit report of themselves and of whom they see."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.cabling.models.plans import END_CHARACTERS
from mes.serials.models import Unit


class NeighbourReport(models.Model):
    """What was reported of the ports of one device, or of all, at one time; the latest is current."""

    class Source(models.TextChoices):
        LLDP = "lldp", "LLDP"
        NVLINK = "nvlink", "NVLink"
        REDFISH = "redfish", "Redfish"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="neighbour_reports")
    source = models.CharField(max_length=7, choices=Source.choices)
    device = models.CharField(max_length=END_CHARACTERS, blank=True, help_text="Empty: of the whole unit.")
    taken_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(help_text="When the same was read last.")
    received_at = models.DateTimeField(default=timezone.now)
    reported_by = models.CharField(max_length=150, help_text="Device, person or BMC address.")
    is_current = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "source", "device"],
                name="one_current_neighbour_report",
                condition=Q(is_current=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} of {self.device or self.unit}"


class Neighbour(models.Model):
    """One port as reported: its link, and whom it sees. Empty text means that nothing was told."""

    class Link(models.TextChoices):
        UP = "up"
        DOWN = "down"
        UNKNOWN = "unknown"

    report = models.ForeignKey(NeighbourReport, on_delete=models.CASCADE, related_name="neighbours")
    device = models.CharField(max_length=END_CHARACTERS)
    port = models.CharField(max_length=200)
    link = models.CharField(max_length=7, choices=Link.choices, default=Link.UNKNOWN)
    speed_gbps = models.FloatField(null=True, blank=True)
    remote_device = models.CharField(max_length=200, blank=True)
    remote_port = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "device", "port"], name="neighbour_once_per_report")
        ]

    def __str__(self) -> str:
        return f"{self.device}/{self.port}"


class PortPoll(models.Model):
    """When the BMCs of a unit are asked for their ports next, and what the last time came to."""

    unit = models.OneToOneField(Unit, on_delete=models.PROTECT, related_name="port_poll")
    next_due_at = models.DateTimeField(null=True, blank=True, help_text="Empty: not until asked.")
    asked_by = models.CharField(max_length=150, blank=True)
    polled_at = models.DateTimeField(null=True, blank=True)
    errors = models.JSONField(default=dict, help_text="By device, what kept its BMC from being read.")

    class Meta:
        indexes = [
            models.Index(
                fields=["next_due_at"], name="port_polls_due", condition=Q(next_due_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"ports of {self.unit}"
