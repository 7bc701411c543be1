"""What labels say of windows now: more of them may have come since a window was measured and decided on.

The decision keeps what was known then. Nothing follows from these numbers; they are for people (`loop_page`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from components.monitoring.intervals import interval
from components.monitoring.quality import answered
from components.records.rows import Schema
from components.records.watching import Window

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the labels of a window say.

    Attributes:
        rows: Predictions.
        labelled: Predictions whose label is in.
        quality: The metric; None with too few labels, or where it is not defined.
        low: Lower end of its 95 % interval; None where that is unknown.
        high: Upper end.
        delay_hours: Median hours from a prediction to its first label; None without labels.
        conflicts: Predictions with labels that contradict each other.
    """

    rows: int
    labelled: int
    quality: float | None = None
    low: float | None = None
    high: float | None = None
    delay_hours: float | None = None
    conflicts: int = 0


def truths(
    frame: pl.DataFrame, windows: Sequence[Window], schema: Schema, metric: str, *, min_labelled_rows: int
) -> dict[Window, Truth]:
    """What the labels say of each window.

    Args:
        frame: Answers as `components.data.windows.read_answers` gives them, of a stretch that holds all windows.
        windows: Stretches of event time; they may overlap.
        schema: Name of the timestamp, kind of the target.
        metric: The project's metric.
        min_labelled_rows: Fewer labels say nothing about quality.

    Raises:
        ProjectFileError: If there is no such metric.
    """
    moment = pl.col(schema.timestamp)
    return {
        window: _truth(
            frame.filter((moment >= window.start) & (moment < window.end)), schema, metric, min_labelled_rows
        )
        for window in windows
    }


def _truth(rows: pl.DataFrame, schema: Schema, metric: str, min_labelled_rows: int) -> Truth:
    labelled = rows.filter(pl.col("label").is_not_null())
    found = answered(labelled, schema) if labelled.height >= max(min_labelled_rows, 1) else None
    quality = None if found is None else found.value(metric)
    ends = None if found is None or quality is None else interval(found, metric, quality)
    low, high = ends or (None, None)
    waited = labelled.select((pl.col("labelled_at") - pl.col("received_at")).clip(lower_bound=timedelta()).median())
    delay = waited.item()
    return Truth(
        rows=rows.height,
        labelled=labelled.height,
        quality=quality,
        low=low,
        high=high,
        delay_hours=None if delay is None else delay / HOUR,
        conflicts=int(rows["is_contradicted"].fill_null(False).sum()),
    )
