"""Whatever moment a batch is killed at, the next start ends it: each row is answered once, and kept once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from components.data.compaction import compact
from components.data.windows import counts
from components.records.models import ModelFiles
from components.registry.opening import open_cached
from components.serving.batch import predict_file
from components.serving.predictor import Predictor
from tests.components.serving import tiny

ROOT = Path(__file__).parents[3]
SEED = 7


def prepared(folder: Path, rows: int) -> pl.DataFrame:
    """The tiny model in a cache, and so many rows to ask it; what comes back."""
    version = folder / "tiny-flights" / "3"
    version.mkdir(parents=True)
    tiny.packed(version, tiny.graph(0.0, version / "model.onnx"), name="tiny-flights")
    frame = pl.DataFrame(
        {
            "temp": [row / 100 if row % 5 else None for row in range(rows)],
            "wind speed": [row % 3 for row in range(rows)],
            "carrier": [("UA", "日本", None)[row % 3] for row in range(rows)],
            "tail": [f"N{row % 1000}" for row in range(rows)],
            "flight id": range(rows),
        },
        schema_overrides={"wind speed": pl.Float64},
    )
    frame.write_parquet(folder / "rows.parquet", row_group_size=rows // 7)
    return frame


def check(found: pl.DataFrame, frame: pl.DataFrame, ledger: Path, unkilled: pl.DataFrame) -> None:
    """Every row once, in order, with the numbers of a run that nobody killed; and so in the ledger."""
    assert found["flight id"].to_list() == frame["flight id"].to_list()
    assert found["probability"].to_list() == unkilled["probability"].to_list()
    assert found["prediction_id"].n_unique() == frame.height
    assert (counts(ledger)["predictions"], counts(ledger)["duplicates"]) == (frame.height, 0)
    kept = pl.scan_delta(DeltaTable(ledger / "predictions")).select("prediction_id", "out_probability", "entity_id")
    both = found.join(kept.collect(), on="prediction_id", how="left")
    assert both["out_probability"].to_list() == found["probability"].to_list()
    assert both["entity_id"].cast(pl.Int64).to_list() == found["flight id"].to_list()


@pytest.mark.slow
@pytest.mark.parametrize("output", ["answers.parquet", "answers.delta"])
def test_a_batch_survives_a_kill_before_any_of_its_steps(output: str, tmp_path: Path):
    """Every rename and every deletion of a run, one after the other; the ledger is compacted in between."""
    frame = prepared(tmp_path, 10_000)
    unkilled = Predictor(tiny_files(tmp_path), max_rows=10_000).run(frame.to_dict(as_series=False))

    command = [sys.executable, "-m", "tests.components.serving.batch_steps", str(tmp_path), output]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["killed"] for one in told] == [True] * (len(told) - 1) + [False]
    assert len(told) > 15  # four parts, each with its answers, its predictions and a note of it
    for one in told:
        place = Path(one["place"])
        found = pl.read_delta(str(place / output)) if output.endswith("delta") else pl.read_parquet(place / output)
        check(found.sort("flight id"), frame, place / "ledger", pl.DataFrame({"probability": unkilled.probability}))


def tiny_files(folder: Path) -> ModelFiles:
    """The tiny model as a version."""
    return open_cached("tiny-flights", 3, folder)


@pytest.mark.slow
def test_a_batch_survives_kills_at_random_moments(tmp_path: Path):
    """A real process, killed again and again with SIGKILL wherever it is, then left alone."""
    frame = prepared(tmp_path, 1_500_000)
    predict_file(tiny_files(tmp_path), tmp_path / "rows.parquet", tmp_path / "unkilled.parquet", ledger=None)
    code = f"""
from pathlib import Path
from components.registry.opening import open_cached
from components.serving import batch
batch.PART_ROWS = 40_000
folder = Path({str(tmp_path)!r})
files = open_cached("tiny-flights", 3, folder)
print("begun", flush=True)
done = batch.predict_file(files, folder / "rows.parquet", folder / "answers.parquet", ledger=folder / "ledger")
print(done.resumed_rows)
"""
    chance, kills = random.Random(SEED), 0
    while kills < 5 and not (tmp_path / "answers.parquet").exists():
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as killed:
            assert killed.stdout.readline() == b"begun\n"
            time.sleep(chance.uniform(0.05, 0.5))
            os.kill(killed.pid, signal.SIGKILL)
        kills += killed.returncode == -signal.SIGKILL
    assert kills >= 3

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0
    compact(tmp_path / "ledger")
    unkilled = pl.read_parquet(tmp_path / "unkilled.parquet")
    check(pl.read_parquet(tmp_path / "answers.parquet"), frame, tmp_path / "ledger", unkilled)
    assert [file.name for file in tmp_path.glob(".*")] == []
    assert [file.name for file in (tmp_path / "ledger").glob(".*")] == []
