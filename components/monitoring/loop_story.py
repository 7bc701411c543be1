"""What the loop did: window by window, version by version, what was decided and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from components.records.watching import DecisionVerdict

EventKind = Literal["release", "retraining", "promotion", "rejection", "rollout", "rollback"]
VersionState = Literal["live", "replaced", "not promoted", "rolled back", "challenger", "not judged"]


@dataclass(frozen=True, slots=True)
class LoopWindow:
    """One monitored window.

    Attributes:
        start: Beginning of the window, event time, UTC.
        end: End of the window, event time, UTC.
        rows: Predictions in it.
        labelled: Predictions whose label came.
        auc_loop: The project's metric of what was served, on all labels that are in now; None if unknown.
        auc_static: The metric of the first version on the same rows, as if nobody had ever retrained; None if unknown.
        drift_share: Share of input columns that drifted, 0 to 1; None if unknown.
        version: Version that was live.
        verdict: What was decided.
        reason: Why, as one sentence with numbers.
        report: Path or URL of Evidently's page about the window; empty if there is none.
        low: Lower end of the 95 % interval of `auc_loop`; None if unknown.
        high: Upper end.
        then: The metric as it was known when the window was decided on, with the labels of that time; None if unknown.
        labelled_then: Predictions whose label had come by then; None if unknown.
        expected: The metric as the version's own probabilities let expect it, without labels; None if unknown.
        expected_low: Lower end of its 95 % interval.
        expected_high: Upper end.
        reference: The metric of the version when it was registered.
        weighted_drift: Share of the importance that the drifted columns have, 0 to 1.
        delay_hours: Median hours from a prediction to its label.
        conflicts: Predictions with labels that contradict each other.
        calibration_error: Average gap between how sure the version was and how often it was right.
        p50_ms: Median latency of the requests.
        p99_ms: Latency that 1 % of them exceeded.
        requests: Requests that the endpoint counted.
        failed: Of these, those answered with a 5xx.
        serving_cost: Price of answering the rows, in the project's currency.
        training_cost: Price of training the version, in the first window that it answered.
        outcome: What came of the decision, as one sentence; empty if nothing has (yet).
    """

    start: datetime
    end: datetime
    rows: int
    labelled: int
    auc_loop: float | None
    auc_static: float | None
    drift_share: float | None
    version: int | None
    verdict: DecisionVerdict
    reason: str
    report: str = ""
    low: float | None = None
    high: float | None = None
    then: float | None = None
    labelled_then: int | None = None
    expected: float | None = None
    expected_low: float | None = None
    expected_high: float | None = None
    reference: float | None = None
    weighted_drift: float | None = None
    delay_hours: float | None = None
    conflicts: int = 0
    calibration_error: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    requests: int | None = None
    failed: int | None = None
    serving_cost: float | None = None
    training_cost: float | None = None
    outcome: str = ""

    @property
    def coverage(self) -> float | None:
        """Share of the rows whose label is in now, 0 to 1; None without rows."""
        return self.labelled / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class LoopMonth:
    """One calendar month.

    Attributes:
        month: Such as `2013-05`.
        rows: Labelled predictions in it.
        auc_loop: The metric of what was served.
        auc_static: The metric of the first version on the same rows.
    """

    month: str
    rows: int
    auc_loop: float | None
    auc_static: float | None


@dataclass(frozen=True, slots=True)
class LoopVersion:
    """One version that was made.

    Attributes:
        version: Its number.
        state: `live`, `replaced` by a later one, or `not promoted` by the judge.
        trained_until: Event time up to which its data reached, UTC.
        live_since: Event time since which it answered, UTC; None if it never did.
        live_until: Event time until which it answered, UTC; None if it still does, or never did.
        auc: The metric at registration.
        reason: Why it was trained.
        lives: Each stretch in which it answered, oldest first, where there may be several; the last end is None if it
            still does.
        verdict: What the judge said, as one sentence; empty if it was not judged.
    """

    version: int
    state: VersionState
    trained_until: datetime | None = None
    live_since: datetime | None = None
    live_until: datetime | None = None
    auc: float | None = None
    reason: str = ""
    lives: tuple[tuple[datetime, datetime | None], ...] = ()
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class LoopEvent:
    """Something that happened to a version.

    Attributes:
        at: When, UTC.
        kind: A retraining was asked for, its version was promoted or not, began or ended a rollout, was rolled back
            to, or is the first one.
        version: Which version; None for a retraining that has none yet.
        detail: One sentence with the numbers, such as the verdict's reason.
    """

    at: datetime
    kind: EventKind
    version: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LoopStory:
    """The whole run.

    Attributes:
        project: Name of the project.
        windows: Oldest first.
        months: Oldest first.
        versions: By number.
        events: Oldest first.
        totals: Summary of the run by name; `auc_loop` and `auc_static`, where they are given, make the headline.
        addresses: Address of each server by what it is, such as `MLflow`.
        metric: Name of the metric.
        lower_is_better: Its direction.
        drift_limit: Drift share from which a window is breached, 0 to 1; None to draw no line.
        weighted_limit: The same for the drift weighted by importance.
        notes: What could not be looked at, one sentence each.
        left_out: Older windows that are not shown.
    """

    project: str
    windows: tuple[LoopWindow, ...]
    months: tuple[LoopMonth, ...] = ()
    versions: tuple[LoopVersion, ...] = ()
    events: tuple[LoopEvent, ...] = ()
    totals: Mapping[str, Any] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    metric: str = "roc_auc"
    lower_is_better: bool = False
    drift_limit: float | None = None
    weighted_limit: float | None = None
    notes: tuple[str, ...] = ()
    left_out: int = 0
