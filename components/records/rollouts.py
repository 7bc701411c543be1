"""What follows for a challenger, or for the champion in its probation, from what was seen of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from components.records.models import Challenger
from components.records.scores import Rule

StepOutcome = Literal["hold", "next", "promote", "abort", "keep", "roll_back"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a challenger now, also when nothing does; in a probation, what becomes of the champion.

    Attributes:
        outcome: `hold`: it stays at its step; `next`: it takes the next one; `promote`: it becomes champion; `abort`:
            it is challenger no more. In a probation, `hold`: it goes on; `keep`: it ends and the champion stays;
            `roll_back`: the version before the champion comes back.
        reason: One sentence with the numbers.
        challenger: The version at the step that was looked at.
        at: When it was looked at (UTC).
        rules: Every rule that was looked at.
        following: The version at its next step; None unless the outcome is `next`.
    """

    outcome: StepOutcome
    reason: str
    challenger: Challenger
    at: datetime
    rules: tuple[Rule, ...]
    following: Challenger | None = None

    @property
    def missing(self) -> tuple[Rule, ...]:
        """The rules that do not hold: what is missing for the next step, or what ends it."""
        return tuple(rule for rule in self.rules if not rule.passed)
