"""Roles: what a person may decide at a site or at one line of it."""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.models import User
from mes.people.services import Proof
from mes.stations.models import Line, RoleAssignment, Site, needs_pin, pin_required

Role = RoleAssignment.Role


@transaction.atomic
def grant_role(
    *, person: User, role: RoleAssignment.Role, site: Site, by: Actor, line: Line | None = None
) -> RoleAssignment:
    """Give a person a role at a site, or at one line of it. Refuses with ``wrong_site``, ``role_held``."""
    if line is not None and line.site_id != site.pk:
        raise RuleViolation(
            "wrong_site",
            f"Line {line} is not at {site}.",
            rule="a line belongs to one site",
            next_step="Choose a line of the site.",
        )
    person = locked(person)
    if RoleAssignment.objects.live().filter(person=person, role=role, site=site, line=line).exists():
        raise RuleViolation(
            "role_held",
            f"{person} is {_spoken(role)} at {line or site} already.",
            rule="a role is granted once",
            next_step="Nothing more to do.",
        )
    assignment = RoleAssignment.objects.create(
        person=person, role=role, site=site, line=line, granted_by=by.person
    )
    record(advance(person, "role.granted", by=by, payload=_facts(assignment)))
    return assignment


@transaction.atomic
def end_role(*, assignment: RoleAssignment, reason: str, by: Actor) -> RoleAssignment:
    """End a role, with a reason. Refuses with ``role_ended``."""
    ended = RoleAssignment.objects.live().filter(pk=assignment.pk)
    if not ended.update(ended_at=timezone.now(), ended_by=by.person):
        raise RuleViolation(
            "role_ended",
            "This role was ended before.",
            rule="a role is ended once",
            next_step="Nothing more to do.",
        )
    assignment.refresh_from_db()
    payload = {**_facts(assignment), "reason": reason}
    record(advance(locked(assignment.person), "role.ended", by=by, payload=payload))
    return assignment


def _facts(assignment: RoleAssignment) -> dict[str, str]:
    line = assignment.line
    return {"role": assignment.role, "site": assignment.site.code, "line": line.code if line else ""}


def require_role(
    *, person: str, roles: Iterable[RoleAssignment.Role], site: Site, line: Line | None = None
) -> str:
    """Return the first of these roles that a person holds. Refuses with ``role_missing``, naming who may.

    A role at the site counts for all its lines, a role at a line only there.
    """
    wanted = list(roles)
    held = set(
        RoleAssignment.objects.live()
        .at(site, line)
        .filter(person__username=person, role__in=wanted)
        .values_list("role", flat=True)
    )
    found = next((role for role in wanted if role in held), None)
    if found is not None:
        return str(found)
    who = " or ".join(_spoken(role) for role in wanted)
    raise RuleViolation(
        "role_missing",
        f"{person or 'Nobody'} is not {who} at {line or site}.",
        rule="who decides has the role for it",
        release=f"This takes the role {who} at {line or site}.",
        next_step=f"Call somebody with the role {who}.",
        roles=[str(role) for role in wanted],
        site=site.code,
        line=line.code if line else "",
    )


def require_pin(*, person: User, site: Site, proof: Proof | None = None) -> None:
    """Refuse with ``pin_required`` when a badge alone is too little at a site; a proof must hold."""
    if proof is not None:
        proof.require()
    elif needs_pin(person, site):
        raise pin_required(person)


def _spoken(role: str) -> str:
    return str(role).replace("_", " ")
