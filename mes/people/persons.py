"""Find people, and ask whether they may."""

from django.core.exceptions import PermissionDenied

from mes.people.models import User


def find_by_badge(badge: str) -> User | None:
    """Return the active person who wears this badge, in either case of letters."""
    if not badge:
        return None
    return User.objects.filter(badge__iexact=badge, is_active=True).first()


def lock_person(username: str) -> User | None:
    """Return a person by user name, read anew and locked, to record an act in their history."""
    return User.objects.select_for_update(of=("self",)).filter(username=username).first()


def require_permission(user: object, permission: str, *, operator: object = None) -> None:
    """Raise PermissionDenied unless the caller is a person with a permission, e.g. quality.change_hold."""
    if operator:
        raise PermissionDenied("This takes the permission of who is signed on; name no other operator.")
    if not isinstance(user, User) or not user.has_perm(permission):
        raise PermissionDenied(f"You need the permission {permission}.")
