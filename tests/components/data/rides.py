"""Made-up bike rides and a project for them: small, and with every kind of column."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.settings.project import Project

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def rides(rows: int = 400, hours: float = 1.0, seed: int = 0) -> pl.DataFrame:
    """Rides, one every so many hours; whether it was long depends a little on the temperature."""
    draw = np.random.default_rng(seed)
    warm = draw.normal(15, 5, rows)
    return pl.DataFrame(
        {
            "ride": [f"r{number:05}" for number in range(rows)],
            "began": [BEGIN + timedelta(hours=hours * number) for number in range(rows)],
            "station": draw.choice(["north", "south", "river"], rows, p=[0.5, 0.3, 0.2]),
            "warm": warm,
            "riders": draw.integers(1, 4, rows),
            "member": draw.random(rows) < 0.5,
            "minutes": draw.normal(30, 5, rows),
            "long": (draw.random(rows) < 1 / (1 + np.exp(-(warm - 15) / 5))).astype(np.int64),
        }
    )


def project(folder: Path, frame: pl.DataFrame | None = None, **data: Any) -> Project:
    """A project whose source is a Parquet file in the folder, with those rows in it."""
    if frame is not None:
        frame.write_parquet(folder / "rides.parquet")
    settings: dict[str, Any] = {
        "source": {"class_path": "components.data.sources.Parquet", "init_args": {"path": "rides.parquet"}},
        "target": {"column": "long", "kind": "binary"},
        "timestamp": "began",
        "id": "ride",
        "drop": ["minutes"],
        "split": {"test_days": 3, "validation_days": 2, "reference_rows": 100},
    }
    return Project.model_validate(
        {"name": "rides", "data": settings | data, "file": folder / "rides.yaml", "sha256": "0" * 64}
    )
