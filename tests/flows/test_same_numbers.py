"""One artefact: mlflow.pyfunc, the endpoint, the batch flow, the export and the bare graph give the same numbers."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import mlflow
import msgspec
import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pytest

from components.data.compaction import compact
from components.data.feeds import feeds
from components.data.windows import counts
from components.records.models import ModelFiles
from components.records.rows import Column
from components.registry import fetching, versions
from flows.demo.application import Batch
from tests.flows.harness import Harness
from tests.flows.small import NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

Row = dict[str, Any]

# Of a probability in float32.
TOLERANCE = 1e-5
EXTREMES = (None, 1e300, -1e300, 5e-324, 0.0, -0.0, 1e-300)
STRANGE = (None, "never seen", "日本語 ✈ ñ", "e\u0301", " EWR", "x" * 500)
# Far from the windows that other tests of the session measure.
BEFORE = datetime(2012, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def files(live: Harness) -> ModelFiles:
    """The champion's files."""
    champion = versions.champion(NAME)
    assert champion is not None
    return fetching.fetch(champion, live.environment.cache())


@pytest.fixture(scope="module")
def rows(files: ModelFiles, batches: list[Batch]) -> list[Row]:
    """Real rows, and each column in turn missing, unseen, extreme, tiny or unicode; then all columns at once."""
    real = [dict(row) for batch in batches[:3] for row in batch.rows][:30]
    columns = files.schema.features
    strange = [real[0] | {column.name: value} for column in columns for value in _values(column)]
    strange += [
        real[1] | {column.name: _values(column)[place % len(_values(column))] for column in columns}
        for place in range(len(EXTREMES))
    ]
    rows = [*real, *strange]
    beside = {files.schema.timestamp, files.schema.id}
    names = {column.name for column in columns} | beside
    times = [BEFORE + timedelta(minutes=place) for place in range(len(rows))]
    given = zip(rows, times, strict=True)
    return [
        {name: row[name] for name in row if name in names}
        | {files.schema.timestamp: at, str(files.schema.id): f"row {at:%d %H:%M}"}
        for row, at in given
    ]


@pytest.fixture(scope="module")
def own(files: ModelFiles, rows: list[Row]) -> np.ndarray:
    """What the bare graph says in onnxruntime."""
    session = onnxruntime.InferenceSession(str(files.graph))
    (found,) = session.run(["probability"], feeds(_columns(files, rows), files.schema))
    assert np.isfinite(found).all()
    assert len(np.unique(found.round(3))) > 20  # numbers that are all alike would prove nothing
    return found


def test_the_endpoint_gives_the_graphs_numbers(live: Harness, files: ModelFiles, rows: list[Row], own: np.ndarray):
    """From JSON, through the service."""
    body = msgspec.json.encode({"rows": rows})

    answer = httpx.post(
        f"{live.environment.service}/predict", content=body, headers={"content-type": "application/json"}, timeout=60
    )

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["version"] == files.version.version
    assert [one["probability"] for one in found["predictions"]] == pytest.approx(own.tolist(), abs=TOLERANCE)


def test_mlflow_gives_the_graphs_numbers(files: ModelFiles, rows: list[Row], own: np.ndarray):
    """A data scientist who loads the champion sees what an application gets."""
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    columns = _columns(files, rows)
    frame = pd.DataFrame({c.name: _as_pandas(c, columns[c.name]) for c in files.schema.features})

    found = model.predict(frame)

    assert np.ravel(found["probability"]).tolist() == pytest.approx(own.tolist(), abs=TOLERANCE)


def test_the_batch_flow_gives_the_graphs_numbers_and_keeps_them(
    live: Harness, files: ModelFiles, rows: list[Row], own: np.ndarray, tmp_path: Path
):
    """From a Parquet file, through the deployment; every prediction stands in the ledger that requests write to."""
    source, output, ledger = tmp_path / "rows.parquet", tmp_path / "answers.parquet", live.environment.ledger(NAME)
    _frame(files, rows).write_parquet(source)
    compact(ledger, files.schema)
    before = counts(ledger)["predictions"]

    live.run("predict", input=str(source), output=str(output))

    compact(ledger, files.schema)
    found = pl.read_parquet(output)
    assert found["probability"].to_list() == pytest.approx(own.tolist(), abs=TOLERANCE)
    assert found[files.schema.id].to_list() == [row[str(files.schema.id)] for row in rows]
    assert set(found["version"]) == {files.version.version}
    assert counts(ledger)["predictions"] == before + len(rows)
    assert counts(ledger)["duplicates"] == 0


def test_the_command_answers_a_csv_file_and_can_leave_the_ledger_alone(
    live: Harness, files: ModelFiles, rows: list[Row], own: np.ndarray, tmp_path: Path
):
    """Text has room for all of it: missing, tiny, huge and unicode come back as the same numbers."""
    source, output, ledger = tmp_path / "rows.csv", tmp_path / "answers.parquet", live.environment.ledger(NAME)
    _frame(files, rows).write_csv(source)
    compact(ledger, files.schema)
    before = counts(ledger)["predictions"]

    done = _everfit("predict", live.project.file, "--input", source, "--output", output, "--no-record")

    compact(ledger, files.schema)
    assert done.returncode == 0, done.stderr
    assert f"{len(rows)} rows answered by version {files.version.version}" in done.stdout
    assert pl.read_parquet(output)["probability"].to_list() == pytest.approx(own.tolist(), abs=TOLERANCE)
    assert counts(ledger)["predictions"] == before


def test_the_command_says_in_a_sentence_which_column_is_missing(
    live: Harness, files: ModelFiles, rows: list[Row], tmp_path: Path
):
    """Column, wanted, found; no traceback, and no output."""
    source, output = tmp_path / "rows.parquet", tmp_path / "answers.parquet"
    _frame(files, rows).rename({"distance": "distances"}).write_parquet(source)

    done = _everfit("predict", live.project.file, "--input", source, "--output", output)

    assert done.returncode == 1
    assert "column 'distance' is wanted, but not there; it holds" in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


def test_the_export_gives_the_graphs_numbers(files: ModelFiles, rows: list[Row], own: np.ndarray, tmp_path: Path):
    """From JSON, on a machine without Everfit."""
    beside = {files.schema.timestamp, files.schema.id}
    (tmp_path / "rows.json").write_text(json.dumps([{n: row[n] for n in row if n not in beside} for row in rows]))

    written = _everfit("export", f"{NAME}/{files.version.version}", tmp_path / "edge")
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "edge" / "predict.py", tmp_path / "rows.json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert written.returncode == 0, written.stderr
    assert done.returncode == 0, done.stderr
    assert [one["probability"] for one in json.loads(done.stdout)] == pytest.approx(own.tolist(), abs=TOLERANCE)


def _values(column: Column) -> tuple[Any, ...]:
    return EXTREMES if column.kind == "number" else STRANGE


def _columns(files: ModelFiles, rows: list[Row]) -> dict[str, list[Any]]:
    return {column.name: [row[column.name] for row in rows] for column in files.schema.features}


def _frame(files: ModelFiles, rows: list[Row]) -> pl.DataFrame:
    """The rows as a table, each number as it is."""
    types: dict[str, Any] = {c.name: pl.Float64 if c.kind == "number" else pl.String for c in files.schema.features}
    types |= {files.schema.timestamp: pl.Datetime("us", "UTC"), str(files.schema.id): pl.String}
    return pl.DataFrame({name: [row[name] for row in rows] for name in types}, schema=types)


def _as_pandas(column: Column, values: list[Any]) -> pd.Series:
    """As the signature's notes say: a missing number is NaN, a missing text is "" in a column of objects."""
    if column.kind == "number":
        return pd.Series(values, dtype="float64")
    return pd.Series([value or "" for value in values], dtype=object)


def _everfit(*words: object) -> subprocess.CompletedProcess[str]:
    """The command, run to its end; it finds the session's servers in the environment."""
    command = [sys.executable, "-m", "flows", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
