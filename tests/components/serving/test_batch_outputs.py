"""What a batch writes, and from what it goes on: every kind of output, every kind of source, and only its own parts."""

import fcntl
import logging
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from deltalake import DeltaTable

from components.data.compaction import compact
from components.data.privacy import Privacy
from components.data.windows import counts
from components.errors import DataError
from components.records.models import ModelFiles
from components.serving import batch
from components.serving.batch import predict_file
from tests.components.serving import tiny

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "temp": [12.5, None, -3.0, 8.0] * 25,
        "wind speed": [0.0, 2.0, 0.5, 1.0] * 25,
        "carrier": ["UA", None, "日本", "other"] * 25,
        "tail": ["N1", "N2", "N,3", "ñ"] * 25,
        "at": [AT] * 100,
        "flight id": range(100),
    }
)


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """The tiny model as a version."""
    folder = tmp_path / "version"
    folder.mkdir()
    return tiny.packed(folder, tiny.graph(0.0, folder / "model.onnx"), name="tiny-flights")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The rows as a Parquet file."""
    ROWS.write_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of twenty rows."""
    monkeypatch.setattr(batch, "BATCH_ROWS", 10)
    monkeypatch.setattr(batch, "PART_ROWS", 20)


def read(output: Path) -> pl.DataFrame:
    """An output of any kind."""
    if output.suffix == ".csv":
        return pl.read_csv(output, try_parse_dates=True)
    return pl.read_parquet(output) if output.suffix == ".parquet" else pl.read_delta(str(output))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["answers.parquet", "answers.csv", "answers.delta", "answers"])
def test_every_kind_of_output_holds_the_same(name: str, files: ModelFiles, source: Path, tmp_path: Path):
    """Names, types, order and numbers; a second run replaces the first."""
    output, plain = tmp_path / "out" / name, tmp_path / "plain.parquet"
    predict_file(files, source, plain, ledger=None)
    for _ in range(2):
        predict_file(files, source, output, ledger=None)

    found, wanted = read(output).sort("flight id"), pl.read_parquet(plain)
    ids = found["prediction_id"]
    assert found.columns == wanted.columns
    assert found.drop("prediction_id").equals(wanted.drop("prediction_id"))
    assert ids.n_unique() == ids.str.contains("^[0-9a-f]{20}-[0-9]{1,9}$").sum() == 100
    assert [one.name for one in output.parent.glob(".*")] == []


def test_an_older_version_of_a_delta_table_stays(files: ModelFiles, source: Path, tmp_path: Path):
    """The answers of yesterday can be read at the version they had."""
    output = tmp_path / "answers"
    predict_file(files, source, output, ledger=None)
    first = pl.read_delta(str(output))

    predict_file(files, source, output, ledger=None)

    assert DeltaTable(output).version() == 1
    assert pl.read_delta(str(output), version=0).equals(first)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["delta", "sql", "csv", "folder"])
def test_every_kind_of_source_gives_the_same_numbers(kind: str, files: ModelFiles, source: Path, tmp_path: Path):
    """A table, a query, text and many files are answered as one Parquet file is."""
    predict_file(files, source, tmp_path / "plain.parquet", ledger=None)
    place, query = f"{tmp_path}/{kind}", None
    if kind == "delta":
        ROWS.write_delta(place)
    if kind == "sql":
        place, query = f"sqlite:///{tmp_path}/rides.db", "rides"
        # SQLite knows no zones: the time goes in and comes out as text.
        text = ROWS.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        text.write_database("rides", sa.create_engine(place))
    if kind == "csv":
        place = f"{place}.csv"
        ROWS.write_csv(place)
    if kind == "folder":
        Path(place).mkdir()
        ROWS[:33].write_parquet(f"{place}/1.parquet")
        ROWS[33:].write_parquet(f"{place}/2.parquet")

    done = predict_file(files, place, tmp_path / "answers.parquet", ledger=tmp_path / "ledger", query=query)

    found, wanted = read(done.output), read(tmp_path / "plain.parquet")
    assert found.drop("prediction_id").equals(wanted.drop("prediction_id"))
    assert compact(tmp_path / "ledger", files.schema).predictions == 100


def stopped(files: ModelFiles, source: Path, output: Path, ledger: Path, patch: pytest.MonkeyPatch) -> None:
    """Run a batch that fails when its parts are to become an output."""
    with patch.context() as patched:
        patched.setattr(batch, "_output", _after(3, batch._output))
        with pytest.raises(DataError, match="the system said: enough; make room there, and run it again"):
            predict_file(files, source, output, ledger=ledger)


def _after(calls: int, real):
    """The same, which gives up after so many calls."""
    left = [calls]

    def call(*values):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("enough")
        return real(*values)

    return call


@pytest.mark.usefixtures("small")
def test_a_run_starts_over_when_less_may_be_kept(
    files: ModelFiles, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was staged before a column became private never reaches the ledger."""
    output, ledger = tmp_path / "answers.parquet", tmp_path / "ledger"
    stopped(files, source, output, ledger, monkeypatch)
    privacy = Privacy(kept=None, private={"tail": "absent"}, id="flight id", key=b"")

    done = predict_file(files, source, output, ledger=ledger, privacy=privacy)

    assert (done.resumed_rows, compact(ledger, files.schema).predictions) == (0, 100)
    assert "in_tail" not in pl.read_delta(str(ledger / "predictions")).columns


@pytest.mark.usefixtures("small")
def test_a_run_goes_on_only_from_the_same_source(
    files: ModelFiles, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """With the same file it goes on after the last whole part; with another one it starts over and says so."""
    output, ledger = tmp_path / "answers.parquet", tmp_path / "ledger"
    caplog.set_level(logging.INFO)

    stopped(files, source, output, ledger, monkeypatch)
    assert not output.exists()
    assert compact(ledger, files.schema).predictions == 0
    went_on = predict_file(files, source, output, ledger=ledger)
    assert compact(ledger, files.schema).predictions == 100

    stopped(files, source, output, ledger, monkeypatch)
    ROWS[:50].write_parquet(source)
    started_over = predict_file(files, source, output, ledger=ledger)
    assert compact(ledger, files.schema).predictions == 50

    assert (went_on.resumed_rows, went_on.rows) == (20, 100)
    assert (started_over.resumed_rows, started_over.rows) == (0, 50)
    assert counts(ledger)["duplicates"] == 0
    assert [one.name for one in ledger.glob(".*")] == []
    assert "batch goes on" in caplog.text
    assert "rows_given_up=20 changed=source" in caplog.text


def test_two_runs_do_not_write_one_output(files: ModelFiles, source: Path, tmp_path: Path):
    """The second one is told that another is at it."""
    parts = tmp_path / ".answers.parquet.parts"
    parts.mkdir()
    with (parts / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(DataError, match=r"answers.parquet, but another process is writing it"):
            predict_file(files, source, tmp_path / "answers.parquet", ledger=None)


def test_progress_that_cannot_be_read_is_begun_anew(files: ModelFiles, source: Path, tmp_path: Path):
    """A file that someone damaged costs the parts, and nothing else."""
    parts = tmp_path / ".answers.parquet.parts"
    parts.mkdir()
    (parts / "progress.json").write_text('{"facts": ')

    assert predict_file(files, source, tmp_path / "answers.parquet", ledger=None).rows == 100
    assert not parts.exists()
