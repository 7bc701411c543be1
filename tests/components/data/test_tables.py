"""Table versions: typed, labelled, each row once, named by content."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from components.data import tables
from components.data.tables import content_sha256, ingest, read_table
from components.errors import DataError, NotEnoughRows, PassingFault, SchemaMismatch
from tests.components.data.rides import BEGIN, project, rides


def test_a_table_holds_the_sources_rows_typed(tmp_path: Path):
    """Numbers are float64, text and booleans categories, times UTC; dropped columns are gone."""
    table = ingest(project(tmp_path, rides()), tmp_path / "table")

    frame = read_table(table)

    assert (table.version, table.rows, table.unlabelled) == (0, 400, 0)
    assert (table.first, table.last) == (BEGIN, BEGIN + timedelta(hours=399))
    assert "minutes" not in frame.columns
    assert frame.schema["began"] == pl.Datetime("us", "UTC")
    assert frame.schema["riders"] == pl.Float64
    assert set(frame["member"].unique()) == {"true", "false"}


def test_rows_from_a_moment_on_are_left_out(tmp_path: Path):
    """`until` is exclusive, so history can be replayed without seeing its future."""
    table = ingest(project(tmp_path, rides()), tmp_path / "table", until=BEGIN + timedelta(hours=100))

    assert table.rows == 100
    assert table.last == BEGIN + timedelta(hours=99)


def test_a_moment_without_a_zone_is_refused(tmp_path: Path):
    """A naive time could be any of 38 moments."""
    with pytest.raises(DataError, match=r"until must have a zone, but 2026-03-02T00:00:00 has none; write .*Z for UTC"):
        ingest(project(tmp_path, rides()), tmp_path / "table", until=datetime(2026, 3, 2))  # noqa: DTZ001


def test_rows_without_a_target_are_set_aside_and_counted(tmp_path: Path):
    """A label that is missing, or not a number, teaches nothing."""
    frame = rides().with_columns(
        long=pl.when(pl.int_range(pl.len()) < 30).then(None).otherwise("long").cast(pl.Float64)
    )

    table = ingest(project(tmp_path, frame), tmp_path / "table")

    assert (table.rows, table.unlabelled) == (370, 30)
    assert read_table(table).schema["long"] == pl.Int64


def test_a_table_without_any_label_is_refused(tmp_path: Path):
    """The message counts what was there."""
    with pytest.raises(NotEnoughRows, match=r"with a 'long', but of 400 rows 0 lie before 2026-03-01"):
        ingest(project(tmp_path, rides()), tmp_path / "table", until=BEGIN)


def test_the_same_rows_make_no_second_version(tmp_path: Path):
    """An ingest that is tried again gives the version that is there."""
    first = ingest(project(tmp_path, rides()), tmp_path / "table")

    assert ingest(project(tmp_path, rides()), tmp_path / "table") == first


def test_other_rows_make_a_new_version_and_the_old_stays_readable(tmp_path: Path):
    """A model's table can be read again after the table has moved on, even to other columns."""
    old = ingest(project(tmp_path, rides()), tmp_path / "table")
    new = ingest(project(tmp_path, rides().with_columns(wind=1.0)), tmp_path / "table")

    assert (old.version, new.version) == (0, 1)
    assert "wind" not in read_table(old).columns
    assert content_sha256(read_table(old)) == old.sha256 != new.sha256


def test_a_table_that_another_run_wrote_at_that_moment_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whether the other run came in the middle of our write or right behind it, its rows are not taken for ours."""
    settings = project(tmp_path, rides())
    table = str(tmp_path / "table")
    ingest(project(tmp_path, rides(300)), tmp_path / "table")
    rides().write_parquet(tmp_path / "rides.parquet")
    other = rides(10)

    def meanwhile(path: str, frame: pl.DataFrame, **settings: Any) -> None:
        stale = DeltaTable(path)
        write_deltalake(path, other, mode="overwrite", schema_mode="overwrite")
        write_deltalake(stale, frame, **settings)

    def behind(path: str, frame: pl.DataFrame, **settings: Any) -> None:
        write_deltalake(path, frame, **settings)
        write_deltalake(path, other, mode="overwrite", schema_mode="overwrite")

    for write, message in (
        (meanwhile, "another run did at that moment"),
        (behind, "to be ours, but another run wrote it"),
    ):
        monkeypatch.setattr(tables, "write_deltalake", write)
        with pytest.raises(PassingFault, match=rf"{table}.*{message}.*try again"):
            ingest(settings, tmp_path / "table")
    monkeypatch.undo()

    assert ingest(settings, tmp_path / "table").rows == 400


def test_an_id_is_kept_once(tmp_path: Path):
    """Of two rows with one id the first is kept."""
    twice = pl.concat([rides(), rides()[:10].with_columns(warm=99.0)])

    table = ingest(project(tmp_path, twice), tmp_path / "table")

    assert table.rows == 400
    assert read_table(table)["warm"].max() != 99.0


def test_live_rows_come_behind_the_sources(tmp_path: Path):
    """A retraining learns from what was predicted and labelled since; where both know a row, the source is right."""
    live = rides(500).drop("minutes").with_columns(pl.col("riders").cast(pl.Float64), pl.col("member").cast(pl.String))
    live.with_columns(warm=pl.lit(50.0)).write_parquet(tmp_path / "live.parquet")

    table = ingest(project(tmp_path, rides()), tmp_path / "table", extra=tmp_path / "live.parquet")

    assert table.rows == 500
    assert (read_table(table)["warm"] == 50).sum() == 100


def test_live_rows_obey_until(tmp_path: Path):
    """Also live rows of the future stay out."""
    rides(500).write_parquet(tmp_path / "live.parquet")

    until = BEGIN + timedelta(hours=450)
    table = ingest(project(tmp_path, rides()), tmp_path / "table", until=until, extra=tmp_path / "live.parquet")

    assert table.rows == 450


def test_without_an_id_only_later_live_rows_are_taken(tmp_path: Path):
    """Without an id nobody can tell whether a live row is in the source already."""
    rides(500).drop("ride").write_parquet(tmp_path / "live.parquet")
    settings = project(tmp_path, rides().drop("ride"), id=None)

    table = ingest(settings, tmp_path / "table", extra=tmp_path / "live.parquet")

    assert table.rows == 500


def test_a_live_row_may_lack_a_column_that_is_new(tmp_path: Path):
    """It was predicted before the column was there: it is missing in that row."""
    rides(401).write_parquet(tmp_path / "live.parquet")
    settings = project(tmp_path, rides().with_columns(wind=1.0))

    table = ingest(settings, tmp_path / "table", extra=tmp_path / "live.parquet")

    assert read_table(table)["wind"].null_count() == 1


def test_a_typo_under_drop_is_found(tmp_path: Path):
    """Otherwise the very column that must stay out would come in."""
    with pytest.raises(SchemaMismatch, match=r"data.drop names 'minuts', did you mean 'minutes'\?; data.columns names"):
        ingest(project(tmp_path, rides(), drop=["minuts"], columns={"wnd": {}}), tmp_path / "table")


def test_the_hash_does_not_depend_on_the_order_of_rows_and_columns():
    """A table says the same however it is laid out, with an id and without."""
    for frame in (rides(), rides().drop("ride")):
        shuffled = frame.sample(fraction=1, shuffle=True, seed=1).select(reversed(frame.columns))

        assert content_sha256(shuffled) == content_sha256(frame)


def test_the_hash_is_the_same_in_another_process(tmp_path: Path):
    """Hashes are compared over months and machines."""
    rides().write_parquet(tmp_path / "a.parquet")
    code = f"""
import polars as pl
from components.data import tables
from components.data.tables import content_sha256
print(content_sha256(pl.read_parquet(r"{tmp_path / "a.parquet"}")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == content_sha256(rides())


def test_the_hash_is_pinned():
    """Changed hashes would make every table look new: computed on 2 rows when the method was written."""
    frame = pl.DataFrame({"id": ["b", "a"], "x": [-0.0, None], "t": [BEGIN, BEGIN]})

    assert content_sha256(frame) == "670901cd1ed97756d439d22f6e47011daadcc0896138834210a1edb18825cdaf"


@pytest.mark.parametrize(
    "other",
    [
        pl.DataFrame({"a": ["x", "yz"], "n": [1.0, None]}),
        pl.DataFrame({"a": ["xy", "z"], "n": [1.0, 0.0]}),
        pl.DataFrame({"a": ["xy", "z"], "m": [1.0, None]}),
        pl.DataFrame({"a": ["xy", "z"], "n": [1, None]}),
        pl.DataFrame({"a": ["xy", "z", "z"], "n": [1.0, None, None]}),
        pl.DataFrame({"a": ["xy", None], "n": [1.0, None]}),
    ],
)
def test_another_content_has_another_hash(other: pl.DataFrame):
    """A letter that moves to the next row, a null that becomes 0, a name, a type, a row more: all are seen."""
    assert content_sha256(other) != content_sha256(pl.DataFrame({"a": ["xy", "z"], "n": [1.0, None]}))


def test_minus_zero_is_zero():
    """Equal rows have equal hashes."""
    assert content_sha256(pl.DataFrame({"n": [-0.0, 0.0]})) == content_sha256(pl.DataFrame({"n": [0.0, -0.0]}))
