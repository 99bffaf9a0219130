"""The door of people."""

from mes.people.models import User


def find_by_badge(badge: str) -> User | None:
    """Return the active person who wears this badge, in either case of letters."""
    if not badge:
        return None
    return User.objects.filter(badge__iexact=badge, is_active=True).first()
