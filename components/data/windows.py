"""Reads the ledger's tables: predictions of a stretch of event time, with the newest label of each.

Only what `components.data.compaction` has moved is seen here. Whether the numbers are good is not decided here.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from components.data.batches import COMMON_TYPES, INPUT, OUTPUT, known_types
from components.data.compaction import table_path
from components.data.ledger import CANARY, CHAMPION, LABELS, PREDICTIONS, SHADOW, segment_folder
from components.data.segments import DAMAGED_SUFFIX
from components.errors import DataError, LedgerError
from components.records.rows import Schema
from components.records.watching import Window

# Of two labels of one prediction the last in this order counts.
LABEL_ORDER = ["received_at", "segment", "position"]
# Of polars' hashes, which are unsigned and of 64 bits.
LARGEST_HASH = 2**64 - 1
# The label's type in a table, as the target has it there.
LABEL_TYPES: dict[str, Any] = {"binary": pl.Int64, "regression": pl.Float64, "multiclass": pl.String}


def read_window(folder: Path, window: Window, *, schema: Schema) -> pl.DataFrame:
    """The champion's predictions whose event time lies in the window, each with its newest label.

    Args:
        folder: The project's ledger folder.
        window: Stretch of event time, UTC; the end is not part of it.
        schema: Names and types of the columns.

    Returns:
        One row a prediction, oldest first: the raw features, the timestamp and the id under the names the schema has
        for them, then `prediction` (of a multiclass target: the index of the class), `probability` (null unless
        binary; `probabilities` beside it for a multiclass target), `label` (null where missing; of a multiclass target:
        the name of the class), `labelled_at` (when its first label was received, null without one), `is_contradicted`
        (labels came that are not all the same), `version`, `prediction_id`, `request_id`, `received_at` and
        `latency_ms`.

    Raises:
        LedgerError: If the tables cannot be read with this schema.
        DataError: If the window has no zone.
    """
    rows = _joined(folder, schema, window.start, window.end)
    return collect_rows(folder, rows.select(_raw(schema, is_strict=False) + _answers(schema)))


def read_answers(folder: Path, window: Window, *, schema: Schema) -> pl.DataFrame:
    """The same rows as `read_window` gives, without the raw features: the timestamp, the answers and the labels.

    A year of them is read in one go where a look at each window would scan the table fifty times.

    Raises:
        LedgerError: If the tables cannot be read with this schema.
        DataError: If the window has no zone.
    """
    rows = _joined(folder, schema, window.start, window.end)
    return collect_rows(folder, rows.select(pl.col("event_time").alias(schema.timestamp), *_answers(schema)))


def draw_inputs(folder: Path, window: Window, *, schema: Schema, most: int) -> tuple[int, pl.DataFrame]:
    """How many predictions the champion made in the window, and the inputs of at most so many of them.

    Drawn by the hash of their ids, so that they are the same ones in whatever order the table's files hold them, and
    most of a large window is never in memory.

    Args:
        folder: The project's ledger folder.
        window: Stretch of event time, UTC; the end is not part of it.
        schema: Names and types of the columns.
        most: Rows that are wanted.

    Raises:
        LedgerError: If the tables cannot be read with this schema.
        DataError: If the window has no zone.
    """
    rows = _answered_in(folder, schema, window.start, window.end)
    count = int(collect_rows(folder, rows.select(pl.len())).item())
    drawn = rows.select(pl.col("prediction_id").hash(seed=0).alias("drawn"), *_raw(schema, is_strict=False))
    # A tenth and a hundred more than wanted, because a hash hits a share and not a number.
    if count > 1.1 * most + 100:
        drawn = drawn.filter(pl.col("drawn") <= int((1.1 * most + 100) / count * LARGEST_HASH))
    return count, collect_rows(folder, drawn).sort("drawn").head(most).drop("drawn")


def labelled_rows(
    folder: Path, schema: Schema, *, until: datetime, since: datetime | None = None, target: str, out: Path
) -> Path | None:
    """All labelled live rows as a Parquet file that looks like the training table: what a retraining adds to it.

    A row that a canary answered is as true as any other; a shadow's is the champion's once more, and left out.

    Args:
        folder: The project's ledger folder.
        schema: Names and types of the columns.
        until: Only rows with an event time before this, UTC.
        since: Only rows with an event time from this on, UTC; None for all.
        target: Name the label gets.
        out: The Parquet file to write; an old one is replaced in one step.

    Returns:
        The file, or None if there is no such row; then nothing was written.

    Raises:
        LedgerError: If the tables cannot be read with this schema.
        DataError: If a time has no zone.
    """
    rows = _joined(folder, schema, since, until, (CHAMPION, CANARY)).filter(pl.col("label").is_not_null())
    frame = collect_rows(folder, rows.select([*_raw(schema), label_of(schema).alias(target)]))
    if frame.is_empty():
        return None
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    frame.write_parquet(unfinished)
    unfinished.replace(out)
    return out


def counts(folder: Path) -> dict[str, int]:
    """What the ledger's tables hold.

    Returns:
        `predictions`: rows that were answered. `shadows`: rows that a shadow scored beside them, which count nowhere
        else. `labels`: label messages, repeated ones included. `joined`: predictions that have a label.
        `orphan_labels`: labelled ids without a prediction. `duplicates`: rows whose prediction id stands there already,
        0 unless exactly-once is broken. `damaged_segments`: files in which something was lost.
    """
    predictions, labels = scan_table(folder, PREDICTIONS), scan_table(folder, LABELS)
    rows = predictions.select("prediction_id", is_shadow=pl.col("variant") == SHADOW).collect()
    ids = rows.filter(~pl.col("is_shadow")).select("prediction_id")
    labelled = newest_labels(labels).filter(pl.col("label").is_not_null()).select("prediction_id").collect()
    known = ids.unique()
    joined = labelled.join(known, on="prediction_id", how="semi").height
    return {
        "predictions": ids.height,
        "shadows": rows.height - ids.height,
        "labels": labels.select(pl.len()).collect().item(),
        "joined": joined,
        "orphan_labels": labelled.height - joined,
        "duplicates": ids.height - known.height,
        "damaged_segments": len(list(segment_folder(folder).glob(f"*{DAMAGED_SUFFIX}"))),
    }


def _joined(
    folder: Path, schema: Schema, start: datetime | None, end: datetime, variants: tuple[str, ...] = (CHAMPION,)
) -> pl.LazyFrame:
    """These variants' predictions from `start` to before `end`, with what is known of their labels, oldest first."""
    rows = _answered_in(folder, schema, start, end, variants)
    labels = _labels_of(rows.select("prediction_id"), scan_table(folder, LABELS))
    return rows.join(labels, on="prediction_id", how="left").sort("event_time", "prediction_id")


def _answered_in(
    folder: Path, schema: Schema, start: datetime | None, end: datetime, variants: tuple[str, ...] = (CHAMPION,)
) -> pl.LazyFrame:
    """These variants' predictions from `start` to before `end`, in no order."""
    for time in (start, end):
        if time is not None and time.tzinfo is None:
            raise DataError(f"the ledger's times are UTC, but {time} has no zone; give it one, such as {time}+00:00")
    rows = with_columns_of(scan_table(folder, PREDICTIONS), known_types(PREDICTIONS, schema))
    rows = rows.filter(pl.col("variant").is_in(variants), pl.col("event_time") < end)
    return rows if start is None else rows.filter(pl.col("event_time") >= start)


def newest_labels(labels: pl.LazyFrame) -> pl.LazyFrame:
    """The label that came last for each id."""
    return labels.sort(LABEL_ORDER).unique("prediction_id", keep="last")


def _labels_of(ids: pl.LazyFrame, labels: pl.LazyFrame) -> pl.LazyFrame:
    """The newest label of each of these predictions, when its first one came, and whether there were different ones.

    Only the labels of these predictions are put in order, not those of the whole ledger: one day of a week of a million
    rows is read with 350 MB at most and not with 560.
    """
    return (
        labels.join(ids, on="prediction_id", how="semi")
        .group_by("prediction_id")
        .agg(
            pl.col("label").sort_by(LABEL_ORDER).last(),
            labelled_at=pl.col("received_at").filter(pl.col("label").is_not_null()).min(),
            is_contradicted=pl.col("label").min() != pl.col("label").max(),
        )
    )


def scan_table(folder: Path, kind: str) -> pl.LazyFrame:
    """The table, with at least the columns that every table of the kind has; empty when there is none yet."""
    wanted = COMMON_TYPES[kind] | ({"label": pl.Float64} if kind == LABELS else {})
    try:
        rows = pl.scan_delta(DeltaTable(table_path(folder, kind)))
    except TableNotFoundError:
        return pl.LazyFrame(schema=wanted)
    return with_columns_of(rows, wanted)


def with_columns_of(rows: pl.LazyFrame, wanted: dict[str, Any]) -> pl.LazyFrame:
    """The rows, with every wanted column: one that no row has had a value for yet does not stand in the table."""
    have = rows.collect_schema().names()
    return rows.with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in wanted.items() if name not in have
    )


def _raw(schema: Schema, *, is_strict: bool = True) -> list[pl.Expr]:
    """The columns as the application sent them, with one spelling of missing: null.

    What is no number where the schema wants one, because the column was a category once, is refused if strict, else
    missing: a model must not learn from such rows, and a monitor must not end at them.
    """
    features = [
        pl.col(INPUT + column.name).cast(pl.Float64, strict=is_strict).fill_nan(None).alias(column.name)
        if column.kind == "number"
        else pl.col(INPUT + column.name).cast(pl.String).replace("", None).alias(column.name)
        for column in schema.features
    ]
    entity = [pl.col("entity_id").alias(schema.id)] if schema.id else []
    return [*features, pl.col("event_time").alias(schema.timestamp), *entity]


def _answers(schema: Schema) -> list[pl.Expr]:
    classes = [pl.col(OUTPUT + "probabilities").alias("probabilities")] if schema.target_kind == "multiclass" else []
    return [
        prediction_of(schema).alias("prediction"),
        pl.col(OUTPUT + "probability").cast(pl.Float64).alias("probability"),
        *classes,
        label_of(schema).alias("label"),
        pl.col("labelled_at"),
        pl.col("is_contradicted").fill_null(False),
        *(pl.col(name) for name in ("version", "prediction_id", "request_id", "received_at", "latency_ms")),
    ]


def prediction_of(schema: Schema) -> pl.Expr:
    """0 or 1, the value, or the index of the class: a model speaks of classes by index, the ledger by name."""
    prediction = pl.col(OUTPUT + "prediction")
    if schema.target_kind == "regression":
        return prediction.cast(pl.Float64)
    if schema.target_kind == "binary":
        return prediction.cast(pl.Int64)
    index = {name: number for number, name in enumerate(schema.classes)}
    return prediction.cast(pl.String).replace_strict(index, default=None, return_dtype=pl.Int64)


def label_of(schema: Schema) -> pl.Expr:
    """The label in the target's type; of a multiclass target the name of the class."""
    label = pl.col("label")
    if schema.target_kind == "multiclass":
        return label.cast(pl.String)
    return label.cast(pl.Float64).fill_nan(None).cast(LABEL_TYPES[schema.target_kind])


def collect_rows(folder: Path, rows: pl.LazyFrame) -> pl.DataFrame:
    """The rows, read now, a part after the other; LedgerError if the tables are not what the schema says."""
    try:
        return rows.collect(engine="streaming")
    except pl.exceptions.PolarsError as err:
        raise LedgerError(
            f"the ledger {folder} must hold what the model's schema says, but reading it failed: {err}; "
            "look whether a column changed its kind in the project file, or restore the folder from a backup"
        ) from err
