"""How good a model is, and what follows from it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Outcome = Literal["promote", "reject", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a verdict or a decision, with the numbers it looked at.

    Attributes:
        name: Which rule.
        passed: Whether it held.
        detail: What was wanted and what was found, as one sentence with the values.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Scorecard:
    """How good one model is on one set of rows.

    Attributes:
        metrics: Metric name to value; latency, size and cost stand among them.
        rows: Number of rows scored.
        table_sha256: Content hash of those rows: scores with different hashes are never compared.
        intervals: Metric name to the lower and upper end of its bootstrap interval.
        slices: Declared slice (`origin=EWR`) to metric name to value; only slices with enough rows.
        found_slices: The worst slices that nobody declared, worst first, in the same form.
        gaps: Declared group column to name of the gap to its size: the largest difference between two groups.
        margins: Name of a simple comparator to the gain over it in the deciding metric; positive: the model is better.
        behaviours: The behaviour tests of the project file, each with its numbers.
        plots: PNG files, one a picture.
        page: The scorecard as one HTML page; None if none was made.
    """

    metrics: dict[str, float]
    rows: int
    table_sha256: str
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    slices: dict[str, dict[str, float]] = field(default_factory=dict)
    found_slices: dict[str, dict[str, float]] = field(default_factory=dict)
    gaps: dict[str, dict[str, float]] = field(default_factory=dict)
    margins: dict[str, float] = field(default_factory=dict)
    behaviours: tuple[Rule, ...] = ()
    plots: tuple[Path, ...] = ()
    page: Path | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer: may the candidate replace the champion?

    Attributes:
        outcome: `promote`, `reject` or `inconclusive`.
        reason: One sentence with the numbers it rests on.
        metric: Name of the metric that decided.
        candidate: Candidate's value.
        champion: Champion's value on the same rows; None when there is no champion yet.
        difference_low: Lower end of the interval of candidate minus champion (positive is better).
        difference_high: Upper end of that interval.
        rows: Number of rows both were scored on.
        table_sha256: Content hash of those rows.
        rules: Every rule that was looked at.
        rows_to_settle: How many more labelled rows would settle an inconclusive contest, if what was seen is true;
            None if it is settled, or if no number of rows would do.
    """

    outcome: Outcome
    reason: str
    metric: str
    candidate: float
    champion: float | None
    difference_low: float | None
    difference_high: float | None
    rows: int
    table_sha256: str
    rules: tuple[Rule, ...] = ()
    rows_to_settle: int | None = None

    @property
    def promote(self) -> bool:
        """Whether the candidate takes the alias."""
        return self.outcome == "promote"
