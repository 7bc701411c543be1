"""What the ledger costs: writing a request, moving segments into Delta, reading a year back with its labels.

    python tests/benchmarks/ledger.py

Each figure stands beside the same work done in the plainest way: appending a JSON line and flushing it, writing the
rows to Parquet with polars, reading that Parquet. The ratio says what exactly-once, checksums and the join cost.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.data.compaction import compact  # noqa: E402 - the repository's root must be found first
from components.data.ledger import Ledger  # noqa: E402
from components.data.windows import read_window  # noqa: E402
from components.records.watching import Window  # noqa: E402
from tests.components.data.ledgers import SCHEMA, START, asked, told  # noqa: E402

ROUNDS = 5
OFTEN = 100  # one request alone is too short to be timed
YEAR_ROWS = 225_000


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Best of some rounds, wall time."""
    return min(_once(work) for _ in range(rounds)) * 1000


def _once(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def recording(folder: Path) -> tuple[float, float]:
    """One request of 50 rows: ours, and a flushed JSON line."""
    batch = asked(50)
    ledger = Ledger(folder / "record")
    with (folder / "plain.jsonl").open("a") as plain:

        def line() -> None:
            plain.write(json.dumps({"ids": batch.ids, "inputs": batch.inputs, "outputs": batch.outputs}) + "\n")
            plain.flush()

        def record() -> None:
            ledger.record(batch)

        return milliseconds(lambda: _often(record)) / OFTEN, milliseconds(lambda: _often(line)) / OFTEN


def _often(work: Callable[[], None]) -> None:
    for _ in range(OFTEN):
        work()


def year(folder: Path) -> dict[str, tuple[float, float]]:
    """A year of predictions with labels: moved once, read back; and the same rows through one Parquet file."""
    ledger = Ledger(folder / "year")
    for _ in range(YEAR_ROWS // 5_000):
        batch = asked(5_000, inputs={"temp": [1.5] * 5_000, "carrier": ["AA"] * 5_000})
        ledger.record(batch)
        ledger.label(told(batch.ids, [1.0] * 5_000))
    moved = milliseconds(lambda: compact(folder / "year", SCHEMA), rounds=1)
    window = Window(START, START + timedelta(days=365))
    frame = read_window(folder / "year", window, schema=SCHEMA)
    assert frame["label"].sum() == YEAR_ROWS
    parquet = folder / "year.parquet"
    written = milliseconds(lambda: frame.write_parquet(parquet))
    read = milliseconds(lambda: read_window(folder / "year", window, schema=SCHEMA))
    return {
        f"move {YEAR_ROWS:,} rows and labels": (moved, written),
        f"read {YEAR_ROWS:,} rows with labels": (read, milliseconds(lambda: pl.read_parquet(parquet))),
    }


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {"record a request of 50 rows": recording(folder), **year(folder)}
    print(f"{'work':<36}{'ours (ms)':>12}{'plainest (ms)':>16}{'ratio':>8}")
    for name, (ours, plain) in rows.items():
        print(f"{name:<36}{ours:>12.3f}{plain:>16.3f}{ours / plain:>8.1f}")


if __name__ == "__main__":
    main()
