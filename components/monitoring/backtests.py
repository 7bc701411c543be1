"""A backtest: what several strategies would have done with the same past, side by side.

Pure. The quality of a strategy is the mean over the same windows for all of them, weighted by their labelled rows, with
every label that ever came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.monitoring.quality import loss_of
from components.monitoring.replaying import Replay, ReplayedWindow
from components.records.jsonable import to_jsonable
from components.records.watching import Window


@dataclass(frozen=True, slots=True)
class Score:
    """The metric of what a strategy served in one window, and the labelled rows it was measured on; None: undefined."""

    rows: int
    quality: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """A strategy in figures.

    Attributes:
        name: The strategy.
        retrainings: How many it asked for; None of what nobody counted.
        promotions: Candidates that the judge let through.
        rejections: Candidates that it kept back as worse, or unfit.
        inconclusive: Candidates that were not clearly better.
        failed: Retrainings that ended without a candidate.
        true: Triggers whose candidate was better beyond doubt afterwards; None where nothing was replayed.
        false: Triggers whose candidate was not.
        open: Triggers of which nobody can say.
        missed: Stretches in which a retraining was worth it and none came.
        lag: Mean windows from the beginning of a stretch to its trigger; None without any.
        seconds: Wall seconds of all trainings.
        cost: Their price.
        quality: Mean over the windows; None if no window has one.
        gain: How much better than `never`, whatever the metric's direction.
        scores: Of each window.
    """

    name: str
    retrainings: int
    promotions: int
    rejections: int
    inconclusive: int
    failed: int
    true: int | None
    false: int | None
    open: int | None
    missed: int | None
    lag: float | None
    seconds: float | None
    cost: float | None
    quality: float | None
    gain: float | None
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What several strategies would have done with the same past.

    Attributes:
        project: Name of the project.
        metric: The metric of all qualities.
        lower_is_better: Its direction.
        origin: Where the rows come from, in words.
        begin: Beginning of the replay (UTC).
        end: Event time of the newest row.
        label_delay_hours: How long after a row its label counts as known.
        windows: The windows in which qualities are compared, oldest first.
        tallies: One a strategy; the first is `never`.
        replays: What each policy decided, window by window; `never` and `every window` among them.
        policies: Names of the policies that were given, among the replays.
        seconds: Wall seconds of the whole backtest.
    """

    project: str
    metric: str
    lower_is_better: bool
    origin: str
    begin: datetime
    end: datetime
    label_delay_hours: float
    windows: tuple[Window, ...]
    tallies: tuple[Tally, ...]
    replays: tuple[Replay, ...]
    policies: tuple[str, ...]
    seconds: float = 0.0

    def replay(self, name: str) -> Replay:
        """The replay of that name; KeyError if there is none."""
        return {one.name: one for one in self.replays}[name]


def tally(found: Replay, scores: Sequence[Score], metric: str, *, base: float | None) -> Tally:
    """A replay in figures.

    Args:
        found: The replay.
        scores: What it served, window by window.
        metric: Name of the metric.
        base: Quality of `never`, over which the gain is told; None if it has none.
    """
    quality = mean_quality(scores)
    return Tally(
        name=found.name,
        retrainings=len(found.trials),
        promotions=found.outcomes("promote"),
        rejections=found.outcomes("reject"),
        inconclusive=found.outcomes("inconclusive"),
        failed=found.outcomes("failed"),
        true=found.truths("true"),
        false=found.truths("false"),
        open=found.truths("open"),
        missed=found.missed,
        lag=found.mean_lag,
        seconds=sum(trial.seconds for trial in found.trials),
        cost=sum(trial.cost for trial in found.trials),
        quality=quality,
        gain=None if quality is None or base is None else 0.0 - loss_of(metric, quality, base),
        scores=tuple(scores),
    )


def as_json(found: Backtest) -> dict[str, Any]:
    """The backtest as what `json.dumps` accepts: its figures, and of each window what was decided and what came of it.

    The facts that a decision rests on are left out: they fill megabytes, and the reason tells the ones that counted.
    """
    facts: dict[str, Any] = {
        name: to_jsonable(getattr(found, name)) for name in found.__dataclass_fields__ if name != "replays"
    }
    return facts | {"replays": {one.name: [_window(window) for window in one.windows] for one in found.replays}}


def _window(one: ReplayedWindow) -> dict[str, Any]:
    return {
        "window": to_jsonable(one.window),
        "live": one.live,
        "verdict": one.decision.verdict,
        "trigger": one.decision.trigger,
        "reason": one.decision.reason,
        "trial": to_jsonable(one.trial),
        "hindsight": to_jsonable(one.hindsight),
        "truth": one.truth,
    }


def mean_quality(scores: Sequence[Score]) -> float | None:
    """The mean over the windows that have a quality, weighted by their labelled rows; None without any."""
    known = [(score.rows, score.quality) for score in scores if score.quality is not None]
    rows = sum(weight for weight, _ in known)
    return sum(weight * quality for weight, quality in known) / rows if rows else None
