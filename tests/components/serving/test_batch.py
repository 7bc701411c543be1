"""A file of rows is answered as requests are, kept where theirs are kept, and leaves nothing behind when it fails."""

import hashlib
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from onnx import helper

from components.data.compaction import compact
from components.data.ledger import PREDICTIONS, PredictionBatch, read_predictions, segment_folder
from components.data.segments import read_frames, segments
from components.data.windows import counts
from components.errors import DataError, NotEnoughRows, SchemaMismatch
from components.records.models import ModelFiles
from components.serving.batch import BATCH_ROWS, predict_file
from components.serving.predictor import Predictor
from tests.components.serving import tiny

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """The tiny model as a version."""
    return version(tmp_path, lambda file: file)


def version(tmp_path: Path, change: Callable[[Path], Path], **schema: Any) -> ModelFiles:
    """The tiny model, changed, as a version."""
    folder = tmp_path / "version"
    folder.mkdir()
    file = change(tiny.graph(0.0, folder / "model.onnx"))
    return tiny.packed(folder, file, replace(tiny.SCHEMA, **schema), name="tiny-flights")


def rows(**columns: Any) -> pl.DataFrame:
    """Four rows with what tables hold: missing, unseen, extreme, unicode."""
    given: dict[str, Any] = {
        "temp": [12.5, None, -1e300, 1e300],
        "wind speed": [0, 2, 0, 1],
        "carrier": ["UA", None, "日本", "never seen"],
        "tail": ["N1", "N2", "x\u0000y", "ñ"],
        "at": [AT] * 4,
        "flight id": [7, 8, 9, 10],
        "late": [0, 1, 0, 1],
    }
    return pl.DataFrame({name: value for name, value in (given | columns).items() if value is not None})


def recorded(ledger: Path) -> list[PredictionBatch]:
    """Every batch in the ledger."""
    found = [frame for file in segments(segment_folder(ledger), PREDICTIONS) for frame in read_frames(file)[0]]
    return [read_predictions(frame) for frame in found]


def write(frame: pl.DataFrame, file: Path) -> Path:
    """The rows as a file of the kind its name says."""
    (frame.write_csv if file.suffix == ".csv" else frame.write_parquet)(file)
    return file


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_file_is_answered_as_a_request_would_be(name: str, files: ModelFiles, tmp_path: Path):
    """The same numbers as the predictor's, in the rows' order, beside the id and the time as they came."""
    source = write(rows(), tmp_path / name)

    done = predict_file(files, source, tmp_path / "out" / "answers.parquet", ledger=tmp_path / "ledger")

    found = pl.read_parquet(done.output)
    asked = {name: rows()[name].to_list() for name in ("temp", "wind speed", "carrier", "tail")}
    own = Predictor(files, max_rows=4).run(asked)
    assert found.columns == ["flight id", "at", "prediction", "probability", "prediction_id", "model", "version"]
    assert found["flight id"].to_list() == [7, 8, 9, 10]
    assert found["at"].to_list() == [AT] * 4
    assert found["prediction"].to_list() == own.prediction
    assert found["probability"].to_list() == own.probability
    assert found["probability"][0] == pytest.approx(tiny.probability(0.0, 12.5, 0.0, "UA"), abs=1e-6)  # float32
    assert set(found.select("model", "version").rows()) == {("tiny-flights", 3)}
    assert (done.rows, done.version) == (4, files.version)


def test_every_prediction_is_kept_as_those_of_requests_are(files: ModelFiles, tmp_path: Path):
    """Inputs, outputs, version, event time and the application's id; labels find them by the ids of the output."""
    source, ledger = write(rows(), tmp_path / "rows.parquet"), tmp_path / "ledger"

    done = predict_file(files, source, tmp_path / "answers.parquet", ledger=ledger)

    (batch,) = recorded(ledger)
    found = pl.read_parquet(done.output)
    assert batch.ids == found["prediction_id"].to_list()
    assert (batch.model, batch.version, batch.config_sha256) == ("tiny-flights", 3, files.config_sha256)
    assert batch.entity_ids == ["7", "8", "9", "10"]
    assert batch.inputs["carrier"] == ["UA", None, "日本", "never seen"]
    assert batch.outputs["probability"] == found["probability"].to_list()
    assert set(batch.timestamps) == {int(AT.timestamp() * 1e6)}
    assert compact(ledger, files.schema).predictions == 4
    assert counts(ledger)["predictions"] == 4


def test_nothing_is_kept_where_nobody_asked_for_it(files: ModelFiles, tmp_path: Path):
    """`--no-record` leaves the ledger alone."""
    source = write(rows(), tmp_path / "rows.parquet")

    predict_file(files, source, tmp_path / "answers.parquet", ledger=None)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["answers.parquet", "rows.parquet", "version"]


def test_rows_without_id_and_time_are_answered_as_of_now(files: ModelFiles, tmp_path: Path):
    """A row needs its features, nothing else."""
    source = write(rows(**{"at": None, "flight id": None, "late": None}), tmp_path / "rows.parquet")
    before = datetime.now(UTC).timestamp() * 1e6

    done = predict_file(files, source, tmp_path / "answers.parquet", ledger=tmp_path / "ledger")

    (batch,) = recorded(tmp_path / "ledger")
    assert pl.read_parquet(done.output).columns[0] == "prediction"
    assert batch.entity_ids == [None] * 4
    assert before - 1 <= min(batch.timestamps)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"wind speed": None, "wind": [1] * 4}, r"column 'wind speed' is wanted, but not there; it holds .*wind"),
        ({"temp": ["12", "warm", "", None]}, r"column 'temp' must hold numbers, but 1 of 4 rows do not \('warm'\)"),
        ({"wind speed": [1.0, None, 2.0, 3.0]}, r"column 'wind speed' must not be missing, but 1 of 4 rows are"),
        ({"temp": [1.0, math.inf, 2.0, 3.0]}, r"column 'temp' must be finite, but 1 of 4 rows are not"),
        ({"at": [AT.replace(tzinfo=None)] * 4}, "'at' must hold event times with a zone"),
        ({"at": [AT.replace(year=2150)] * 4}, "'at' must hold event times from 1970 to 2099, but 4 of 4 rows"),
    ],
)
def test_rows_that_the_model_does_not_take_are_one_sentence(
    columns: dict[str, Any], message: str, files: ModelFiles, tmp_path: Path
):
    """Column, wanted, found, and which rows; no output and no prediction kept."""
    frame = rows()
    changed = {name: values for name, values in columns.items() if values is not None}
    frame = frame.drop([name for name, values in columns.items() if values is None])
    source = write(
        frame.with_columns(pl.Series(name, values) for name, values in changed.items()), tmp_path / "r.parquet"
    )

    with pytest.raises(SchemaMismatch, match=rf"r\.parquet, rows 1 to 4: .*{message}"):
        predict_file(files, source, tmp_path / "answers.parquet", ledger=tmp_path / "ledger")

    assert not (tmp_path / "answers.parquet").exists()
    assert recorded(tmp_path / "ledger") == []


def test_a_late_failure_leaves_an_older_output_and_the_ledger_as_they_were(tmp_path: Path):
    """The last row of many has no finite answer: nobody sees the answers to those before it."""
    root = helper.make_node("Sqrt", ["wind speed"], ["root"])
    files = version(tmp_path, lambda file: tiny.changed_graph(file, root, takes="wind speed", into="score"))
    winds = [1.0] * (BATCH_ROWS + 2) + [-1.0]
    many = pl.DataFrame({"temp": 1.0, "carrier": "UA", "tail": "N1", "wind speed": winds})
    source, output = write(many, tmp_path / "rows.parquet"), tmp_path / "answers.parquet"
    output.write_text("the answers of yesterday")

    with pytest.raises(DataError, match=r"rows 16,385 to 16,387: of these, row 2: the model has no finite answer"):
        predict_file(files, source, output, ledger=tmp_path / "ledger")

    assert output.read_text() == "the answers of yesterday"
    assert list((tmp_path / "ledger").iterdir()) == []
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_each_class_has_a_column_of_its_own(tmp_path: Path):
    """Classes by their names, with the probability of each."""
    files = version(tmp_path, _two_classes, target_kind="multiclass", classes=("calm", "windy"))
    source = write(rows(), tmp_path / "rows.csv")

    done = predict_file(files, source, tmp_path / "answers.parquet", ledger=None)

    found = pl.read_parquet(done.output)
    assert found["prediction"].to_list() == ["calm", "windy", "calm", "windy"]
    assert found["probability_windy"].to_list() == pytest.approx([0.0, 1.0, 0.0, 0.5], abs=0.5)
    assert (found["probability_calm"] + found["probability_windy"]).to_list() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("none.parquet", "answers.parquet", "wanted rows to predict at .*none.parquet, found no such file"),
        ("rows.parquet", "answers.xlsx", "wanted a Parquet file, a CSV file or a Delta table of its .*answers.xlsx"),
        ("rows.parquet", "folder", "wanted a Parquet file, a CSV file or a Delta table of its own .*folder"),
        ("rows.parquet", "rows.parquet", "wanted a Parquet file, .* of its own to write .*rows.parquet"),
        ("text.parquet", "answers.parquet", "reading it failed: .*Parquet"),
        ("empty.csv", "answers.parquet", "wanted a CSV file, .*empty.csv, but reading it failed"),
    ],
)
def test_files_that_cannot_be_read_or_written_are_named(
    source: str, output: str, message: str, files: ModelFiles, tmp_path: Path
):
    """What was wanted, which file, what to do."""
    write(rows(), tmp_path / "rows.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "of").write_text("someone else")

    with pytest.raises(DataError, match=message):
        predict_file(files, tmp_path / source, tmp_path / output, ledger=None)

    assert not (tmp_path / "answers.parquet").exists()


def test_a_file_without_rows_is_refused(files: ModelFiles, tmp_path: Path):
    """An empty answer would look like a job well done."""
    source = write(rows().head(0), tmp_path / "rows.parquet")

    with pytest.raises(NotEnoughRows, match=r"wanted rows to predict in .*rows.parquet, found none"):
        predict_file(files, source, tmp_path / "answers.parquet", ledger=None)


def test_memory_does_not_grow_with_the_file(files: ModelFiles, tmp_path: Path):
    """Five times the rows take no more memory: only what is asked now is held."""
    peaks = [_peak_mb(files, tmp_path, rows) for rows in (200_000, 1_000_000)]

    # 10 to 25 MB more were measured; with Arrow's scanner, which reads ahead of who asks, it was 53 for 300,000.
    assert peaks[1] < peaks[0] + 40


def _peak_mb(files: ModelFiles, folder: Path, count: int) -> float:
    """Peak memory of a process that predicts so many rows, in MB."""
    generator = np.random.default_rng(7)
    texts = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]
    many = pl.DataFrame(
        {
            "temp": generator.normal(size=count),
            "wind speed": generator.uniform(size=count),
            "carrier": generator.choice(texts, count),
            "tail": generator.choice(texts, count),
        }
    )
    source = folder / f"{count}.parquet"
    many.write_parquet(source, row_group_size=50_000)
    code = f"""
from pathlib import Path
from components.registry.opening import open_cached
from components.serving.batch import predict_file
folder = Path({str(folder)!r})
(folder / "tiny-flights").mkdir(exist_ok=True)
(folder / "tiny-flights" / "3").exists() or (folder / "tiny-flights" / "3").symlink_to(folder / "version")
files = open_cached("tiny-flights", 3, folder)
done = predict_file(files, Path({str(source)!r}), folder / "answers.parquet", ledger=folder / "ledger")
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(done.rows, int(peak.split()[1]) / 1000)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answered, peak = done.stdout.split()
    assert int(answered) == count
    return float(peak)


def _two_classes(file: Path) -> Path:
    return tiny.another_kind(file, "multiclass")
