"""The door of analysis: yield, Pareto and retests, read from the records that gate the route.

See first_pass.py for the definitions. Nothing here writes.
"""

from mes.analysis.first_pass import Yield, first_attempts, first_pass, most_repeated, rework, rolled
from mes.analysis.pareto import Cause, Of, pareto
from mes.analysis.scope import By, Scope, last_days

__all__ = [
    "By",
    "Cause",
    "Of",
    "Scope",
    "Yield",
    "first_attempts",
    "first_pass",
    "last_days",
    "most_repeated",
    "pareto",
    "rework",
    "rolled",
]
