"""Runs a program of the product with times shortened or one of its mechanisms broken; for tests alone.

    python -m tests.burnin.child PATCH,PATCH... celery worker ...
    python -m tests.burnin.child - manage burnin_loop

The product has no switch for any of this: the patches are put in from outside, here.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import django

SHORT_LEASE_SECONDS = 1.2


def patch(module: Any, name: str, value: Any) -> None:
    assert hasattr(module, name), f"{module.__name__} has no {name} any more"
    setattr(module, name, value)


def short_lease() -> None:
    """Let a dead worker's run be taken up sooner than any real time-out would need."""
    from mes.burnin import tick

    patch(tick, "lease_seconds", lambda profile: SHORT_LEASE_SECONDS)


def endless_lease() -> None:
    """Let a run belong to the worker that claimed it for ever, as with a plain lock."""
    from mes.burnin import tick

    patch(tick, "lease_seconds", lambda profile: 86_400.0)


def no_fence() -> None:
    """Let a tick commit whatever happened to the run meanwhile."""
    from mes.burnin import tick
    from mes.burnin.models import BurnInRun

    patch(tick, "fenced", lambda run: BurnInRun.objects.filter(pk=run.pk))


def no_claim() -> None:
    """Let every tick believe that its run is due and free."""
    from mes.burnin import tick
    from mes.burnin.models import BurnInRun

    patch(tick, "claimable", lambda: BurnInRun.objects.exclude(state__in=BurnInRun.ENDED))


def chained() -> None:
    """Let each tick send the next one, so that the run lives in the broker's messages alone."""
    from mes.burnin import advancing, tasks, tick

    step = advancing.advance

    def advance(run_id: int) -> None:
        step(run_id)
        tasks.advance.apply_async(args=(run_id,), countdown=0.2)

    patch(advancing, "advance", advance)
    patch(tick, "due_runs", list)


def patient() -> None:
    """Let no answer be so urgent that slower trays are not waited for."""
    from mes.burnin import tick

    patch(tick, "is_urgent", lambda reading, limits: False)


def no_reconnect() -> None:
    """Let the loop end with the first error of the database."""
    from mes.burnin import loop

    patch(loop, "DATABASE_GONE", ())


PATCHES: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (short_lease, endless_lease, no_fence, no_claim, chained, patient, no_reconnect)
}


def main() -> None:
    names, program, *arguments = sys.argv[1:]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    for name in names.split(","):
        if name != "-":
            PATCHES[name]()
    if program == "celery":
        from celery.__main__ import main as celery

        sys.argv = ["celery", "-A", "config", *arguments]
        celery()
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(["manage.py", *arguments])


if __name__ == "__main__":
    main()
