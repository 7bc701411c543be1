"""A tiny made table, as a split on disk: the answer can be learned from one number and one category."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from components.records.rows import Column, Part, Schema, Split, TableVersion
from components.settings.base import PluginSettings
from components.settings.project import TrainingSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = ("early", "late", "on time")


def tiny_schema(kind="binary") -> Schema:
    """Two numbers and a category."""
    features = (Column("temp", "number"), Column("origin", "category"), Column("wind", "number"))
    return Schema(features, "answer", kind, "when", classes=CLASSES if kind == "multiclass" else ())


def tiny_rows(rows: int, kind="binary", seed=0) -> pl.DataFrame:
    """Rows whose answer follows from temp and origin, a tenth of the temperatures and of the origins missing."""
    random = np.random.default_rng(seed)
    temp, origin = random.normal(10, 5, rows), random.choice(["EWR", "JFK", "LGA"], rows)
    value = (temp - 10) / 5 + np.where(origin == "JFK", 1.5, -0.5)
    answers = {
        "binary": (value > 0).astype(np.int64),
        "multiclass": np.array(CLASSES)[np.digitize(value, [-0.7, 0.7])],
        "regression": 1000 + 200 * value,
    }
    missing = random.random((2, rows)) < 0.1
    return pl.DataFrame(
        {
            "temp": pl.Series(np.where(missing[0], np.nan, temp)).fill_nan(None),
            "origin": [None if gone else str(name) for gone, name in zip(missing[1], origin, strict=True)],
            "wind": random.exponential(3, rows),
            "answer": answers[kind],
        }
    )


def tiny_split(folder: Path, kind="binary", rows=1200) -> Split:
    """The rows as parts on disk."""
    parts = {}
    for seed, name in enumerate(["train", "validation", "test", "reference"]):
        frame = tiny_rows(rows if name == "train" else 400, kind, seed)
        frame.write_parquet(folder / f"{name}.parquet")
        parts[name] = Part(folder / f"{name}.parquet", frame.height, str(seed) * 64, NOW, NOW)
    return Split(**parts, schema=tiny_schema(kind), table=TableVersion(folder, 0, rows, "f" * 64, NOW, NOW))


def tiny_settings(**changes) -> TrainingSettings:
    """Settings that learn the tiny table within seconds."""
    model = PluginSettings(
        class_path="components.training.models.TabularNet", init_args={"hidden_units": 16, "members": 2, "dropout": 0.1}
    )
    return TrainingSettings(
        **{"model": model, "max_epochs": 12, "batch_rows": 64, "learning_rate": 1e-2, "patience": 12, **changes}
    )
