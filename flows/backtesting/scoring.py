"""How good what was served would have been, in windows that are the same for every strategy."""

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from components.monitoring.backtests import Score, Tally, mean_quality
from components.monitoring.quality import loss_of, quality_of
from components.monitoring.replaying import Replay
from components.records.watching import Window
from components.settings.project import Project
from flows.backtesting.shelf import Shelf, columns_of
from flows.folders import outbox

# Later than any row.
EVER = datetime(9999, 1, 1, tzinfo=UTC)


def scores(found: Replay, windows: Sequence[Window], shelf: Shelf, project: Project) -> list[Score]:
    """The metric of what the replay served in each window, with every label that ever came."""
    stretches = found.live_since()
    ends = [*(since for since, _ in stretches[1:]), EVER]
    served = []
    for (since, number), end in zip(stretches, ends, strict=True):
        rows = shelf.answered(shelf.models[number], since or shelf.past.begin, end or EVER)
        served.append(rows.frame.select(shelf.timestamp, "label").with_columns(columns_of(rows.outputs)))
    return _scores(pl.concat(served), windows, shelf, project)


def as_it_was(name: str, windows: Sequence[Window], shelf: Shelf, project: Project, *, base: float | None) -> Tally:
    """What really answered, by the ledger, and what the outbox says of its retrainings."""
    entries = [entry for entry in outbox(project.name).history(project.name) if entry.decision.verdict == "retrain"]
    outcomes = [entry.outcome for entry in entries]
    found = _scores(shelf.frame, windows, shelf, project)
    quality = mean_quality(found)
    return Tally(
        name=name,
        retrainings=len(entries),
        promotions=outcomes.count("promote"),
        rejections=outcomes.count("reject"),
        inconclusive=outcomes.count("inconclusive"),
        failed=sum(entry.state == "failed" for entry in entries),
        true=None,
        false=None,
        open=None,
        missed=None,
        lag=None,
        seconds=None,
        cost=None,
        quality=quality,
        gain=None if quality is None or base is None else 0.0 - loss_of(project.evaluation.metric, quality, base),
        scores=tuple(found),
    )


def _scores(frame: pl.DataFrame, windows: Sequence[Window], shelf: Shelf, project: Project) -> list[Score]:
    schema = next(iter(shelf.models.values())).files.schema
    labelled = frame.drop_nulls("label")
    found = []
    for window in windows:
        rows = labelled.filter(pl.col(shelf.timestamp).is_between(window.start, window.end, closed="left"))
        found.append(Score(rows.height, quality_of(rows, schema, project.evaluation.metric) if rows.height else None))
    return found
