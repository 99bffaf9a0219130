"""Files that records refer to: photos, certificates, pictures of instructions."""

import uuid

from django.db import models
from django.utils import timezone

from mes.stations.models import Site


def path_of(attachment: "Attachment", _name: str) -> str:
    """Return where the file lies: under its digest, so that the same file is kept once."""
    return f"attachments/{attachment.sha256[:2]}/{attachment.sha256}"


class Attachment(models.Model):
    """A file, known by its SHA-256; never changed, never deleted."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    content_type = models.CharField(max_length=60)
    size = models.PositiveIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    file = models.FileField(upload_to=path_of)
    uploaded_at = models.DateTimeField(default=timezone.now)
    uploaded_by = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "sha256", "name"], name="attachment_once")]

    def __str__(self) -> str:
        return self.name
