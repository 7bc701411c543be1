"""What the ledger costs: writing a request, waiting for the disk, moving segments into Delta, reading a year back.

    python tests/benchmarks/ledger.py

Each figure stands beside the same work done in the plainest way: appending a JSON line and flushing it, writing the
rows to Parquet with polars, reading that Parquet. The ratio says what exactly-once, checksums and the join cost.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.data.compaction import compact  # noqa: E402 - the repository's root must be found first
from components.data.ledger import Ledger  # noqa: E402
from components.data.windows import read_window  # noqa: E402
from components.records.watching import Window  # noqa: E402
from components.serving.commits import Commits  # noqa: E402
from tests.components.data.ledgers import SCHEMA, START, asked, told  # noqa: E402

ROUNDS = 5
OFTEN = 100  # one request alone is too short to be timed
YEAR_ROWS = 225_000
COLUMNS = 20
DISK_SECONDS = 2.0
AT_ONCE = (1, 16, 64)


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Best of some rounds, wall time."""
    return min(_once(work) for _ in range(rounds)) * 1000


def microseconds(work: Callable[[], None]) -> float:
    """Best of some rounds, processor time: on a busy machine it is what can be told."""
    best = float("inf")
    for _ in range(4 * ROUNDS):
        begun = time.process_time()
        _often(work)
        best = min(best, (time.process_time() - begun) / OFTEN)
    return best * 1e6


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


def appending() -> dict[str, float]:
    """Microseconds of processor time an append takes: 1 and 1,000 rows, lengths looked at or not, lists or arrays."""
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        ledger = Ledger(Path(name))
        for count in (1, 1_000):
            lists = {f"c{column}": [1.5 * column] * count for column in range(COLUMNS)}
            arrays = {column: np.array(values) for column, values in lists.items()}
            for kind, inputs, is_checked in (
                ("lists, lengths looked at", lists, False),
                ("lists", lists, True),
                ("arrays", arrays, True),
            ):
                batch = asked(count, inputs=inputs)
                write = partial(ledger.record, batch, is_checked=is_checked)
                rows[f"append {count:,} x {COLUMNS}, {kind}"] = microseconds(write)
    return rows


def waiting(at_once: int) -> tuple[float, float, float]:
    """Requests a second that wait for the disk: a sync each, one for all that wait; and that do not wait."""
    batch = asked(1, inputs={f"c{column}": [1.5] for column in range(COLUMNS)})
    with tempfile.TemporaryDirectory() as name:
        alone, shared, without = (
            Ledger(Path(name) / "alone", "disk"),
            Ledger(Path(name) / "shared", "disk", syncs_apart=True),
            Ledger(Path(name) / "without"),
        )

        async def own_sync() -> None:
            alone.record(batch, is_checked=True)

        async def grouped(commits: Commits) -> None:
            shared.record(batch, is_checked=True)
            await commits.done()

        async def unwaited() -> None:
            without.record(batch, is_checked=True)
            await asyncio.sleep(0)

        async def measured() -> tuple[float, float, float]:
            commits = Commits(shared.sync)
            return (
                await _a_second(own_sync, at_once),
                await _a_second(partial(grouped, commits), at_once),
                await _a_second(unwaited, at_once),
            )

        return asyncio.run(measured())


async def _a_second(work: Callable[[], Awaitable[None]], at_once: int) -> float:
    """How often it is done a second by so many that begin again as soon as they are done."""
    until = time.perf_counter() + DISK_SECONDS
    done = 0

    async def again_and_again() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await work()
            done += 1

    await asyncio.gather(*[again_and_again() for _ in range(at_once)])
    return done / DISK_SECONDS


def gathering() -> float:
    """Microseconds a request would pay to wait for others although no disk is waited for: a future and a turn."""
    commits = Commits(lambda: None)

    async def measured() -> float:
        begun = time.process_time()
        for _ in range(OFTEN):
            await asyncio.gather(*[commits.done() for _ in range(64)])
        return (time.process_time() - begun) / OFTEN / 64 * 1e6

    return asyncio.run(measured())


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
    print(f"\n{'append':<48}{'us':>8}")
    for name, micros in appending().items():
        print(f"{name:<48}{micros:>8.1f}")
    print(f"{'gathering requests that wait for no disk':<48}{gathering():>8.1f}")
    print(f"\n{'durability: disk, requests a second':<36}{'a sync each':>14}{'one for all':>14}{'process':>12}")
    for at_once in AT_ONCE:
        each, grouped, unwaited = waiting(at_once)
        print(f"{f'{at_once} at once':<36}{each:>14,.0f}{grouped:>14,.0f}{unwaited:>12,.0f}")


if __name__ == "__main__":
    main()
