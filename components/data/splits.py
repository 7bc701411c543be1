"""Divides a table version by time: learn on the old, choose on the newer, score on the newest.

Split by time, not by chance: yesterday's rows in the test part would be answered by today's in training. The holdout
alone is drawn by a hash, and no version learns from it, so that old and new versions can be compared on the same rows.
"""

import logging
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from components.data.holdouts import kept_back
from components.data.schema import infer_schema
from components.data.tables import content_sha256, read_table
from components.errors import NotEnoughRows
from components.records.rows import Part, Schema, Split, TableVersion
from components.settings.project import Project

log = logging.getLogger(__name__)


def split(
    table: TableVersion,
    schema: Schema,
    project: Project,
    folder: Path,
    *,
    test_days: float | None = None,
    validation_days: float | None = None,
    length: timedelta | None = None,
    half_life: timedelta | None = None,
) -> Split:
    """The table's rows as Parquet parts, and the schema as the training rows show it.

    Args:
        table: The table version.
        schema: What a row looks like; other columns are left out of the parts.
        project: The project, for the days of each part and the size of the reference.
        folder: Folder for the parts; those of an earlier try are replaced.
        test_days: Other length of the test part than the project's, in days of event time.
        validation_days: Other length of the validation part.
        length: Rows older than this, counted from the newest row of the table, are left out: those of the training part
            and of the holdout alike, since a model is not blamed for what it was told to forget.
        half_life: Age at which a training row counts half: the reference is drawn by these weights, so that it stays a
            picture of what the model learned.

    Returns:
        The parts. Rows that `data.split.holdout_share` keeps back are in none of train, validation, test and reference;
        those from before the test part are the holdout, which is None where the share is 0.

    Raises:
        NotEnoughRows: If a part is empty, or the training part knows one class only.
    """
    settings = project.data.split
    frame = _newest(in_order(read_table(table), schema), table, schema, length)
    test_from = table.last - timedelta(days=test_days or settings.test_days)
    validation_from = test_from - timedelta(days=validation_days or settings.validation_days)
    when = pl.col(schema.timestamp)
    away = kept_back(frame, schema, settings.holdout_share)
    free = frame.filter(~away)
    parts = {
        "train": free.filter(when <= validation_from),
        "validation": free.filter((when > validation_from) & (when <= test_from)),
        "test": free.filter(when > test_from),
    }
    if settings.holdout_share:
        parts["holdout"] = frame.filter(away).filter(when <= test_from)
    _refuse_empty(parts, table, schema, length)
    shares = _shares(parts["train"], schema, half_life)
    parts["reference"] = sample(parts["train"], settings.reference_rows, project.training.seed, shares)
    folder.mkdir(parents=True, exist_ok=True)
    written = {name: write_part(part, folder / f"{name}.parquet", schema.timestamp) for name, part in parts.items()}
    learned = infer_schema(parts["train"], project.data)
    log.info("table split %s", " ".join(f"{name}={part.rows}" for name, part in written.items()))
    return Split(**written, schema=learned, table=table)


def in_order(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The schema's columns, by event time; rows of one moment stand in an order that does not depend on the files."""
    names = [column.name for column in schema.features]
    beside = [schema.timestamp, *([schema.id] if schema.id else []), schema.target]
    ordered = frame.select(*beside, *names)
    return ordered.sort(beside[:2]) if schema.id else ordered.sort(schema.timestamp, *names, schema.target)


def sample(frame: pl.DataFrame, rows: int, seed: int, weights: pl.Series | None = None) -> pl.DataFrame:
    """At most that many rows, drawn without replacement, in their order; the same ones for the same frame and seed.

    Args:
        frame: The rows.
        rows: How many at most.
        seed: Seed of the draw.
        weights: How much each row counts, none negative; None: all alike.
    """
    if frame.height <= rows:
        return frame
    generator = np.random.default_rng(seed)
    if weights is None:
        return frame[np.sort(generator.choice(frame.height, rows, replace=False))]
    # The rows whose exponential clocks ring first: drawing one by one would not know what to do once weights run out.
    clocks = generator.exponential(size=frame.height) / np.maximum(weights.to_numpy(), np.finfo(np.float64).tiny)
    return frame[np.sort(np.argsort(clocks, kind="stable")[:rows])]


def write_part(frame: pl.DataFrame, path: Path, timestamp: str) -> Part:
    """The rows as a Parquet file, and the record of it; the frame must not be empty."""
    frame.write_parquet(path)
    first, last = frame[timestamp].min(), frame[timestamp].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return Part(path, frame.height, content_sha256(frame), first, last)


def _newest(frame: pl.DataFrame, table: TableVersion, schema: Schema, length: timedelta | None) -> pl.DataFrame:
    return frame if length is None else frame.filter(pl.col(schema.timestamp) > table.last - length)


def _shares(train: pl.DataFrame, schema: Schema, half_life: timedelta | None) -> pl.Series | None:
    """How much each training row counts, as `components.training.recency` has it."""
    if half_life is None:
        return None
    when = pl.col(schema.timestamp)
    ages = (when.max() - when).dt.total_seconds(fractional=True) / half_life.total_seconds()
    return train.select(pl.lit(0.5).pow(ages)).to_series()


def _refuse_empty(
    parts: dict[str, pl.DataFrame], table: TableVersion, schema: Schema, length: timedelta | None
) -> None:
    counts = ", ".join(f"{name} {part.height:,}" for name, part in parts.items())
    if any(part.is_empty() for part in parts.values()):
        raise NotEnoughRows(
            f"{table.path} version {table.version}: every part must hold rows, but the {table.rows:,} rows from "
            f"{table.first:%Y-%m-%d} to {table.last:%Y-%m-%d} divide into {counts}; "
            "ingest a longer time, or shorten data.split.test_days and validation_days"
            + (f", or lengthen monitoring.retrain.length ({length.days} days)" if length else "")
            + (", or raise holdout_share" if "holdout" in parts else "")
        )
    classes = parts["train"][schema.target].unique()
    if schema.target_kind != "regression" and classes.len() < 2:
        raise NotEnoughRows(
            f"{table.path} version {table.version}: the training part must hold two classes of {schema.target!r} or "
            f"more, but all of its {parts['train'].height:,} rows are {classes.first()!r}; ingest a longer time"
        )
