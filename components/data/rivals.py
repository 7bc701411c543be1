"""Reads what champion and challenger answered since a moment, side by side, with the newest label of each row.

Steps of a rollout are wall time, so rows are chosen by when they were received, unlike the windows of
`components.data.windows`. Whether one is better than the other is not decided here.
"""

from datetime import datetime
from pathlib import Path

import polars as pl

from components.data.batches import OUTPUT, known_types
from components.data.ledger import CHAMPION, LABELS, PREDICTIONS
from components.data.windows import (
    collect_rows,
    label_of,
    newest_labels,
    prediction_of,
    scan_table,
    with_columns_of,
)
from components.errors import DataError
from components.records.models import Challenger
from components.records.rows import Schema


def read_rivals(
    folder: Path, challenger: Challenger, *, since: datetime, schema: Schema, labelled_only: bool = False
) -> pl.DataFrame:
    """Every row that either side answered since then; a shadow's rows have the prediction ids of the champion's.

    Args:
        folder: The project's ledger folder.
        challenger: The version, how it is asked, and the champion that it is compared with.
        since: Rows received from this on, wall time, UTC.
        schema: Names and types of the columns.
        labelled_only: Leave out the rows without a label, which are most of them where labels come late.

    Returns:
        One row a prediction, in the order in which they were received: `is_challenger`, `prediction_id`, `request_id`,
        `received_at`, `latency_ms`, `prediction` (of a multiclass target: the index of the class), `probability` (null
        unless binary; `probabilities` beside it for a multiclass target) and `label`, null where none has come.

    Raises:
        LedgerError: If the tables cannot be read with this schema.
        DataError: If the moment has no zone.
    """
    if since.tzinfo is None:
        raise DataError(f"the ledger's times are UTC, but {since} has no zone; give it one, such as {since}+00:00")
    rows = with_columns_of(scan_table(folder, PREDICTIONS), known_types(PREDICTIONS, schema))
    number, rival = challenger.version.version, pl.col("version") == (challenger.champion or 0)
    if challenger.champion is None:
        rival = pl.col("version") != number
    of_challenger = (pl.col("variant") == challenger.variant) & (pl.col("version") == number)
    rows = rows.filter(pl.col("received_at") >= since, of_challenger | ((pl.col("variant") == CHAMPION) & rival))
    labels = newest_labels(scan_table(folder, LABELS)).select("prediction_id", "label")
    classes = [pl.col(OUTPUT + "probabilities").alias("probabilities")] if schema.target_kind == "multiclass" else []
    answers = rows.join(labels, on="prediction_id", how="left").select(
        of_challenger.alias("is_challenger"),
        *(pl.col(name) for name in ("prediction_id", "request_id", "received_at", "latency_ms")),
        prediction_of(schema).alias("prediction"),
        pl.col(OUTPUT + "probability").cast(pl.Float64).alias("probability"),
        *classes,
        label_of(schema).alias("label"),
    )
    if labelled_only:
        answers = answers.filter(pl.col("label").is_not_null())
    return collect_rows(folder, answers.sort("received_at", "prediction_id", "is_challenger"))
