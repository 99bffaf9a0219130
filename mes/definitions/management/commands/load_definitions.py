"""Load definitions: `manage.py load_definitions PATH [--dry-run] [--by USERNAME]`; exits 1 on a bad pack."""

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mes.definitions.services import BadPack, Change, Sign, compare_pack, load_pack
from mes.people.models import User


class Command(BaseCommand):
    """Load a definition pack, or show what loading it would change."""

    help = "Load parts, revisions, routes, limits, baselines and profiles from YAML or JSON; all or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="a pack file, or a folder of them")
        parser.add_argument("--dry-run", action="store_true", help="show the difference and write nothing")
        parser.add_argument(
            "--by", default="", help="user name of the person in whose history it is recorded"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        person, dry_run = _find_person(options["by"]), options["dry_run"]
        try:
            changes = compare_pack(options["path"]) if dry_run else load_pack(options["path"], by=person)
        except BadPack as error:
            for problem in error.problems:
                self.stderr.write(str(problem))
            count = len(error.problems)
            raise CommandError(f"{count} problem{'s'[: count != 1]}; nothing was written") from error
        for change in changes:
            if change.sign != Sign.UNCHANGED:
                self.stdout.write(str(change))
        self.stdout.write(summarize(changes, dry_run=dry_run))


def summarize(changes: list[Change], *, dry_run: bool) -> str:
    """Return what happened, or would happen, in one line."""
    counts = Counter(change.sign for change in changes)
    parts = [f"{counts[sign]} {sign.name.lower()}" for sign in Sign]
    released = sum(change.releases for change in changes)
    lead, end = ("dry run", "; nothing was written") if dry_run else ("loaded", "")
    return f"{lead}: {', '.join(parts)}, {released} released{end}"


def _find_person(username: str) -> User | None:
    if not username:
        return None
    try:
        return User.objects.get(username=username)
    except User.DoesNotExist as error:
        raise CommandError(f"there is no user {username}") from error
