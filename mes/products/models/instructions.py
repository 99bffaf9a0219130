"""Work instructions, and who has read them."""

from django.db import models
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.people.models import User
from mes.products.models.parts import Released


class Instruction(Released):
    """A work instruction in one version; operations name its code and show the latest released version."""

    code = models.CharField(max_length=40)
    version = models.CharField(max_length=20)
    title = models.CharField(max_length=120)
    must_be_read = models.BooleanField(
        default=True, help_text="Whether each person confirms this version before the first start."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["code", "version"], name="instruction_version_once")]

    def __str__(self) -> str:
        return f"{self.code} version {self.version}"


class InstructionStep(models.Model):
    """One step of an instruction, with its picture."""

    instruction = models.ForeignKey(Instruction, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=60)
    order = models.PositiveSmallIntegerField()
    text = models.TextField()
    picture = models.ForeignKey(Attachment, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["order"]
        constraints = [models.UniqueConstraint(fields=["instruction", "name"], name="instruction_step_once")]

    def __str__(self) -> str:
        return self.name


class InstructionReading(models.Model):
    """That a person has read and understood a version of an instruction."""

    instruction = models.ForeignKey(Instruction, on_delete=models.PROTECT, related_name="readings")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    read_at = models.DateTimeField(default=timezone.now)
    station = models.CharField(max_length=60, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instruction", "person"], name="instruction_read_once")
        ]

    def __str__(self) -> str:
        return f"{self.instruction} by {self.person}"
