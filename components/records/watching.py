"""What was seen in a stretch of live traffic, and what was decided."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from components.records.scores import Rule

DecisionVerdict = Literal["retrain", "keep", "ask"]
# What made a decision say `retrain`, most telling first.
TriggerName = Literal["quality", "expected_quality", "drift", "weighted_drift", "age", "schedule"]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of event time: from `start` (inclusive) to `end` (exclusive), both UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d}..{self.end:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What was measured of one input column in one window.

    Attributes:
        name: The column.
        kind: What it holds: `number`, `category`, or `text` (long texts, of which the length is compared).
        size: Effect size of its move against the reference, 0 or more; None if it could not be measured.
        threshold: From which effect size on it counts as moved.
        p_value: Chance of a move as large without any change, 0 to 1; None if it could not be measured.
        has_drifted: Moved by at least the threshold, and not by chance (false discoveries over all columns controlled).
        importance: Its share of what moves the answer, 0 to 1; the columns' shares add up to 1. None if unknown.
        missing: Share of missing values in the window.
        reference_missing: The same in the reference.
        unseen: Share of the window's values that are categories never seen in training; None for numbers.
        outside: Share of values outside of the range seen in training, or of the declared bounds; None for categories.
        broken: Why a person must look at it, as one sentence with numbers; empty if nobody must.
    """

    name: str
    kind: Literal["number", "category", "text"]
    size: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    has_drifted: bool = False
    importance: float | None = None
    missing: float = 0.0
    reference_missing: float = 0.0
    unseen: float | None = None
    outside: float | None = None
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Requests:
    """What the endpoint was asked since an earlier look, whatever the event times of the rows.

    Attributes:
        asked: Requests for predictions.
        failed: Of these, those answered with a 5xx.
        counted: Both since the endpoint's start, from which the next look goes on.
    """

    asked: int
    failed: int
    counted: tuple[int, int]


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
        trained_until: Event time of the newest row that the version learned from; None if unknown.
        columns: Each input column; empty with too few rows.
        weighted_drift: Share of the importance that the drifted columns have, 0 to 1; None if unknown.
        reference: What the inputs were compared with: `training`, `previous` or `same-season`.
        breaks: Schema checks that the window fails, one sentence each.
        quality_low: Lower end of the 95 % interval of `quality`; None where that is.
        quality_high: Upper end.
        expected_quality: The metric as the version's own probabilities let expect it without labels, on the scale of
            `reference_quality` (that value, moved by what is expected to differ from the training rows); None
            where the metric or the target does not allow it.
        expected_low: Lower end of its 95 % interval.
        expected_high: Upper end.
        calibration_error: Average gap between how sure the version was and how often it was right; None if unknown.
        label_coverage: Share of rows with a label, 0 to 1; None without rows.
        label_delay_hours: Median hours from a prediction to its label; None without labels.
        label_conflicts: Predictions for which labels came that contradict each other; the newest counts.
        p50_ms: Median latency of the window's requests; None without any.
        p99_ms: Latency that 1 % of them exceeded.
        requests: Requests that the endpoint counted since the window before was measured; None if it does not say.
        failed_requests: Of these, those answered with a 5xx.
        counted: The endpoint's own counts of both since its start, from which the next window's are taken.
        serving_cost: Price of answering the window's rows, in the project's currency; None without a price.
        training_cost: Price of the version's training; None without one.
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
    trained_until: datetime | None = None
    columns: tuple[ColumnFacts, ...] = ()
    weighted_drift: float | None = None
    reference: str = "training"
    breaks: tuple[str, ...] = ()
    quality_low: float | None = None
    quality_high: float | None = None
    expected_quality: float | None = None
    expected_low: float | None = None
    expected_high: float | None = None
    calibration_error: float | None = None
    label_coverage: float | None = None
    label_delay_hours: float | None = None
    label_conflicts: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    requests: int | None = None
    failed_requests: int | None = None
    counted: tuple[int, int] | None = None
    serving_cost: float | None = None
    training_cost: float | None = None


@dataclass(frozen=True, slots=True)
class Retraining:
    """One retraining that was asked for, as far as `decide` must know it.

    Attributes:
        decision_id: The decision that asked for it.
        window: The window that was decided on.
        outcome: What came of it, such as `promote`; None while that is open.
        gain: How much better the candidate was than the champion on the judge's rows; None if unknown.
        cost: Price of its training; None if unknown.
    """

    decision_id: str
    window: Window
    outcome: str | None = None
    gain: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All that `decide` may look at besides the policy.

    Attributes:
        project: Name of the project.
        metric: Name of the project's metric.
        facts: Measured windows, oldest first; the last one is decided on.
        retrainings: Those that were asked for, in any order.
    """

    project: str
    metric: str
    facts: tuple[WindowFacts, ...]
    retrainings: tuple[Retraining, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a window, also when nothing does.

    Attributes:
        id: Idempotency key, made from project, policy, window and version: deciding twice gives the same id.
        project: Name of the project.
        window: The window that was looked at.
        version: The version that was live.
        verdict: `retrain`, `keep`, or `ask` (a person: data are broken).
        reason: One sentence with the numbers.
        rules: Every rule that was looked at.
        facts: The measured facts it rests on.
        policy: Digest of the policy that decided; empty in decisions from before there was one.
        trigger: What made it say `retrain`; None if it did not.
    """

    id: str
    project: str
    window: Window
    version: int | None
    verdict: DecisionVerdict
    reason: str
    rules: tuple[Rule, ...]
    facts: WindowFacts
    policy: str = ""
    trigger: TriggerName | None = None
