"""What a run of the whole loop was: window by window, version by version, what was decided and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from components.records.watching import DecisionVerdict

EventKind = Literal["release", "retraining", "promotion", "rejection"]
VersionState = Literal["live", "replaced", "not promoted"]


@dataclass(frozen=True, slots=True)
class LoopWindow:
    """One monitored window.

    Attributes:
        start: Beginning of the window, event time, UTC.
        end: End of the window, event time, UTC.
        rows: Predictions in it.
        labelled: Predictions whose label came.
        auc_loop: The project's metric of what was served; None if unknown.
        auc_static: The metric of the first version on the same rows, as if nobody had ever retrained; None if unknown.
        drift_share: Share of input columns that drifted, 0 to 1; None if unknown.
        version: Version that was live.
        verdict: What was decided.
        reason: Why, as one sentence with numbers.
        report: Path or URL of Evidently's page about the window; empty if there is none.
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
    """

    version: int
    state: VersionState
    trained_until: datetime | None = None
    live_since: datetime | None = None
    live_until: datetime | None = None
    auc: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LoopEvent:
    """Something that happened to a version.

    Attributes:
        at: When, in event time, UTC.
        kind: A retraining was asked for, its version was promoted or not, or the first one released.
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
