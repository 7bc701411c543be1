"""Small made ledgers: a schema, and requests as the service would record them."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from components.data.compaction import compact
from components.data.ledger import LabelBatch, Ledger, PredictionBatch, new_ids
from components.records.rows import Column, Schema

ROOT = Path(__file__).parents[3]
START = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = Schema(
    features=(Column("temp", "number"), Column("carrier", "category")),
    target="late",
    target_kind="binary",
    timestamp="departure",
    id="flight",
)


def micros(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def asked(rows: int = 2, /, *, at: datetime = START, **changes: Any) -> PredictionBatch:
    """One request, its rows an hour apart from `at` on."""
    ids = new_ids(rows)
    facts: dict[str, Any] = {
        "request_id": "asked",
        "model": "flight-delays",
        "version": 1,
        "config_sha256": "c" * 64,
        "received_at": micros(at),
        "latency_ms": 1.5,
        "ids": ids,
        "timestamps": [micros(at + timedelta(hours=row)) for row in range(rows)],
        "entity_ids": [f"flight {row}" for row in range(rows)],
        "inputs": {"temp": [float(row) for row in range(rows)], "carrier": ["AA"] * rows},
        "outputs": {"prediction": [1] * rows, "probability": [0.75] * rows},
    }
    return PredictionBatch(**(facts | changes))


def told(ids: list[str], labels: list[Any], *, received_at: int = 1) -> LabelBatch:
    """One request that brings labels."""
    return LabelBatch(request_id="labels", received_at=received_at, ids=ids, labels=labels)


def run_python(program: str, *arguments: object) -> str:
    """What a program prints that runs in a process of its own, from the repository's root."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answered_by_both(folder: Path, rows: int, *sides: tuple[int, str, bool]) -> None:
    """Requests of one row that several versions answered, with labels, compacted.

    Args:
        folder: The ledger.
        rows: How many.
        sides: Version, variant, and whether it sees what the label will be.
    """
    generator = np.random.default_rng(3)
    ledger = Ledger(folder)
    for _ in range(rows):
        late, ids = int(generator.random() < 0.4), new_ids(1)
        for version, variant, sees in sides:
            chance = float(np.clip(generator.normal(0.7 if late and sees else 0.3, 0.1), 0.01, 0.99))
            outputs = {"prediction": [int(chance > 0.5)], "probability": [chance]}
            given: dict[str, Any] = {"inputs": {}} if variant == "shadow" else {}
            facts = {"ids": ids, "request_id": ids[0], "version": version, "variant": variant, "outputs": outputs}
            ledger.record(asked(1, received_at=micros(datetime.now(UTC)), **facts, **given))
        ledger.label(told(ids, [late]))
    ledger.close()
    compact(folder, SCHEMA)
