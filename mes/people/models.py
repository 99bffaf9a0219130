"""The people of the factory."""

from typing import ClassVar, Self

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models.functions import Upper

from mes.ledger.models import Stream
from mes.ledger.services import Actor


class User(Stream, AbstractUser):
    """A person: signs on at devices by badge, and in the browser by user name and password."""

    badge = models.CharField(max_length=60, blank=True, help_text="The code on the badge, as scanned.")

    objects: ClassVar[UserManager[Self]] = UserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Upper("badge"),
                name="badge_once",
                condition=~models.Q(badge=""),
                violation_error_message="In use.",
            )
        ]

    def actor(self, operator: str = "") -> Actor:
        """Return this person acting without a device."""
        return Actor(person=self.username)
