"""What was seen in a stretch of live traffic, and what was decided."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from components.records.scores import Rule

DecisionVerdict = Literal["retrain", "keep", "ask"]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of event time: from `start` (inclusive) to `end` (exclusive), both UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d}..{self.end:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """What was measured in one window, all that `decide` may look at.

    Attributes:
        window: The stretch of event time.
        version: Version that answered most of the window's rows; the drift is measured against its reference.
        rows: Predictions in the window.
        labelled_rows: Predictions whose label has arrived.
        drifted_columns: Input columns whose distribution moved by more than the effect size allowed.
        drift_share: Share of input columns that drifted, 0 to 1; None with too few rows.
        prediction_drifted: Whether the distribution of the prediction moved; None with too few rows.
        broken_columns: Columns that are broken rather than moved: missing far more often than in training, or empty.
        quality: The project's metric on the labelled rows; None with too few.
        reference_quality: The same metric on the version's own test part; None if unknown.
        report: Where the report stands, as a path or URL; empty when none was made.
        version_live_since: Event time since which that version is live; None if unknown.
    """

    window: Window
    version: int | None
    rows: int
    labelled_rows: int
    drifted_columns: tuple[str, ...] = ()
    drift_share: float | None = None
    prediction_drifted: bool | None = None
    broken_columns: tuple[str, ...] = ()
    quality: float | None = None
    reference_quality: float | None = None
    report: str = ""
    version_live_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a window, also when nothing does.

    Attributes:
        id: Idempotency key, made from project, window and version: deciding twice gives the same id.
        project: Name of the project.
        window: The window that was looked at.
        version: The version that was live.
        verdict: `retrain`, `keep`, or `ask` (a person: data are broken).
        reason: One sentence with the numbers.
        rules: Every rule that was looked at.
        facts: The measured facts it rests on.
    """

    id: str
    project: str
    window: Window
    version: int | None
    verdict: DecisionVerdict
    reason: str
    rules: tuple[Rule, ...]
    facts: WindowFacts
