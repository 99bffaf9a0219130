"""The one exception a rule raises when it refuses an act."""

from typing import Any

NOBODY = "Nobody; the rule must be met."


class RuleViolation(Exception):  # noqa: N818 - a violated rule is the word of the floor, not a program error
    """A shop-floor act was refused by a rule.

    ``code`` is stable snake_case and part of the API; ``rule`` names the rule that fired; ``release`` says
    who may release it; ``next_step`` tells the operator what to do now; ``facts``
    hold what the rule looked at.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        rule: str,
        next_step: str,
        release: str = NOBODY,
        status: int = 422,
        **facts: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.rule = rule
        self.release = release
        self.next_step = next_step
        self.status = status
        self.facts = facts
