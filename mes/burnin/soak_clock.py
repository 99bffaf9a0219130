"""What a swap leaves of the soak time, by the policy of the profile."""

from mes.burnin.models import BurnInProfile, BurnInRun

SoakClock = BurnInProfile.SoakClock


def continued_seconds(run: BurnInRun) -> float:
    """Return the credit in seconds that a tray which replaces another in a run begins with.

    Under ``continue`` that is what the tray that has soaked least is credited with, but no more than leaves
    ``swap_min_hours`` to soak; else, and without such a minimum, 0: no tray passes that has not soaked.
    """
    profile = run.profile
    if profile.swap_policy != SoakClock.CONTINUE or not profile.swap_min_hours:
        return 0.0
    most = profile.required_seconds - profile.swap_min_hours * 3600
    return max(0.0, min(run.credited_seconds, most))
