"""The newest rows test, the ones before validate, the rest teach; parts are files that can be made again."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from components.data.schema import infer_schema
from components.data.splits import sample, split
from components.data.tables import content_sha256, ingest, read_table
from components.errors import NotEnoughRows
from components.records.rows import Part, Schema, Split, TableVersion
from components.settings.project import Project
from tests.components.data.rides import BEGIN, project, rides

SPLIT = {"test_days": 3, "validation_days": 2, "reference_rows": 100}


def table_of(folder: Path, frame: pl.DataFrame) -> tuple[TableVersion, Schema, Project]:
    """What split is called with."""
    settings = project(folder, frame)
    table = ingest(settings, folder / "table")
    return table, infer_schema(read_table(table), settings.data), settings


def divide(folder: Path, frame: pl.DataFrame | None = None, **days: float) -> Split:
    """Rides, one an hour for 16 days and 16 hours, divided."""
    return split(*table_of(folder, rides() if frame is None else frame), folder / "parts", **days)


def test_parts_follow_each_other_in_time(tmp_path: Path):
    """Three days test, two days validate; no moment is in two parts."""
    parts = divide(tmp_path)

    assert (parts.train.rows, parts.validation.rows, parts.test.rows) == (280, 48, 72)
    assert parts.train.last < parts.validation.first < parts.validation.last < parts.test.first
    assert parts.test.last == BEGIN + timedelta(hours=399)


def test_a_retraining_may_ask_for_other_lengths(tmp_path: Path):
    """The arguments go before the project file."""
    parts = divide(tmp_path, test_days=1, validation_days=0.5)

    assert (parts.validation.rows, parts.test.rows) == (12, 24)


def test_a_sliding_window_forgets_what_is_older(tmp_path: Path):
    """Ten days before the newest row, no more, teach; the days that validate and test stay the newest, and apart."""
    whole, sliding = divide(tmp_path), divide(tmp_path, length=timedelta(days=10))

    assert (sliding.validation, sliding.test) == (whole.validation, whole.test)
    assert sliding.train.rows == 240 - 48 - 72
    assert sliding.train.first == BEGIN + timedelta(hours=399 - 239)
    assert sliding.train.last == whole.train.last < sliding.validation.first
    reference = pl.read_parquet(sliding.reference.path)
    assert reference["began"].min() >= sliding.train.first


def test_a_sliding_window_asks_its_holdout_about_itself_only(tmp_path: Path):
    """Rows from before the window are no holdout of a model that was told to forget them."""
    settings = project(tmp_path, rides(), split=SPLIT | {"holdout_share": 0.2})
    table = ingest(settings, tmp_path / "table")
    schema = infer_schema(read_table(table), settings.data)

    parts = split(table, schema, settings, tmp_path / "parts", length=timedelta(days=10))

    assert parts.holdout is not None
    assert parts.holdout.first > table.last - timedelta(days=10)
    assert parts.holdout.last < parts.test.first


def test_a_window_shorter_than_what_is_kept_back_is_refused(tmp_path: Path):
    """Nothing would be left to learn from; the message names the setting."""
    with pytest.raises(NotEnoughRows, match=r"train 0, .* or lengthen monitoring.retrain.length \(4 days\)"):
        divide(tmp_path, length=timedelta(days=4))


def test_by_recency_the_reference_is_drawn_as_the_model_learned(tmp_path: Path):
    """All rows teach; the reference is drawn by the weights, so its rows are far newer than the training part's."""
    whole = divide(tmp_path)
    medians = [_median_age(whole)]

    recent = divide(tmp_path, half_life=timedelta(days=1))
    medians.append(_median_age(recent))

    assert recent.train == whole.train
    reference = pl.read_parquet(recent.reference.path)
    assert reference.height == 100
    assert reference["ride"].is_unique().all()
    assert reference["began"].is_sorted()
    # In hours, of 280; the newest rows run out, for none is drawn twice. 139 and 50 when written.
    assert medians[0] > 110
    assert medians[1] < 80


def _median_age(parts: Split) -> float:
    ages = parts.train.last - pl.read_parquet(parts.reference.path)["began"]
    return float(ages.dt.total_hours().median())


def test_a_part_is_a_file_with_id_time_target_and_features(tmp_path: Path):
    """In the order of time, named by its content."""
    parts = divide(tmp_path)

    frame = pl.read_parquet(parts.test.path)

    assert frame.columns == ["began", "ride", "long", "station", "warm", "riders", "member"]
    assert frame["began"].is_sorted()
    assert content_sha256(frame) == parts.test.sha256


def test_the_schema_is_that_of_the_training_rows(tmp_path: Path):
    """What the test rows hold is not known when a model is made."""
    late = pl.when(pl.int_range(pl.len()) > 390).then(99.0).otherwise("warm")

    parts = divide(tmp_path, rides().with_columns(warm=late))

    warm = parts.schema.features[1]
    assert warm.high is not None
    assert warm.high < 99


def test_dividing_twice_gives_the_same_parts(tmp_path: Path):
    """Also the drawn reference, so a run can be made again."""
    assert divide(tmp_path) == divide(tmp_path)


def test_the_reference_is_drawn_from_the_training_rows(tmp_path: Path):
    """As many as the project file says, each once."""
    parts = divide(tmp_path)

    reference, train = pl.read_parquet(parts.reference.path), pl.read_parquet(parts.train.path)

    assert reference.height == 100
    assert reference["ride"].is_unique().all()
    assert set(reference["ride"]) <= set(train["ride"])


def test_the_order_does_not_depend_on_the_file_without_an_id(tmp_path: Path):
    """Rows of one moment stand in the order of what they hold."""
    frame = rides(hours=0.0).with_columns(began=rides()["began"].dt.truncate("1d")).drop("ride")
    found = []
    for name, rows in {"a": frame, "b": frame.sample(fraction=1, shuffle=True, seed=2)}.items():
        folder = tmp_path / name
        folder.mkdir()
        settings = project(folder, rows, id=None)
        table = ingest(settings, folder / "table")
        schema = infer_schema(read_table(table), settings.data)
        found.append(pl.read_parquet(split(table, schema, settings, folder / "parts").train.path))

    assert_frame_equal(*found)


def test_a_table_too_short_for_its_parts_is_refused(tmp_path: Path):
    """The message counts each part and says what to change."""
    with pytest.raises(
        NotEnoughRows, match=r"the 100 rows from 2026-03-01 to 2026-03-05 divide into train 0, .* 28, test 72"
    ):
        divide(tmp_path, rides(100))


def test_training_rows_of_one_class_are_refused(tmp_path: Path):
    """Nothing could be learned from them."""
    only_late = pl.when(pl.int_range(pl.len()) > 300).then("long").otherwise(0)

    with pytest.raises(NotEnoughRows, match=r"two classes of 'long' or more, but all of its 280 rows are 0"):
        divide(tmp_path, rides().with_columns(long=only_late))


def test_a_sample_keeps_the_order_and_is_the_same_each_time():
    """The same rows for the same seed, others for another."""
    drawn = sample(rides(), 50, seed=1)

    assert drawn.height == 50
    assert drawn["ride"].is_sorted()
    assert_frame_equal(drawn, sample(rides(), 50, seed=1))
    assert not drawn.equals(sample(rides(), 50, seed=2))


def test_a_small_table_is_its_own_sample():
    """There is nothing to draw."""
    assert sample(rides(30), 50, seed=1).height == 30


def held(folder: Path, frame: pl.DataFrame, share: float = 0.2, **days: float) -> Split:
    """Rides divided with a holdout."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = project(folder, frame, split=SPLIT | {"holdout_share": share})
    table = ingest(settings, folder / "table")
    return split(table, infer_schema(read_table(table), settings.data), settings, folder / "parts", **days)


def rides_of(part: Part) -> set[str]:
    """The ids of a part."""
    return set(pl.read_parquet(part.path)["ride"])


def test_no_holdout_is_kept_unless_asked_for(tmp_path: Path):
    """The default costs no row."""
    assert divide(tmp_path).holdout is None


def test_the_holdout_is_in_no_other_part_and_older_than_the_test(tmp_path: Path):
    """About a fifth of the rows, in the order of time; those that are as new as the test wait for a later version."""
    parts = held(tmp_path, rides())

    assert parts.holdout is not None
    kept = rides_of(parts.holdout)
    assert 0.12 * 328 < len(kept) < 0.28 * 328
    assert not kept & (rides_of(parts.train) | rides_of(parts.validation) | rides_of(parts.test))
    assert not kept & rides_of(parts.reference)
    assert parts.holdout.last < parts.test.first
    assert pl.read_parquet(parts.holdout.path)["began"].is_sorted()
    assert parts.test.rows < 72


def test_a_row_of_the_holdout_is_learned_from_in_no_later_version(tmp_path: Path):
    """The second version has seen more days, in another order: what the first kept back is kept back again."""
    first = held(tmp_path / "first", rides(400))
    later = held(tmp_path / "later", rides(600).sample(fraction=1, shuffle=True, seed=1), test_days=2)

    assert first.holdout is not None
    assert later.holdout is not None
    assert rides_of(first.holdout) < rides_of(later.holdout)
    learned = rides_of(later.train) | rides_of(later.validation) | rides_of(later.test)
    assert not rides_of(first.holdout) & learned


def test_a_live_row_that_comes_back_under_its_id_stays_kept_back(tmp_path: Path):
    """The ledger gives rows back with the columns the model knows; the id decides, not the table."""
    frame = rides(400)
    whole = held(tmp_path / "whole", frame)
    live = frame.tail(200).select("station", "warm", "riders", "member", "began", "ride", "long")
    live.write_parquet(tmp_path / "live.parquet")
    folder = tmp_path / "grown"
    folder.mkdir()
    settings = project(folder, frame.head(200), split=SPLIT | {"holdout_share": 0.2})
    table = ingest(settings, folder / "table", extra=tmp_path / "live.parquet")

    grown = split(table, infer_schema(read_table(table), settings.data), settings, folder / "parts")

    assert rides_of(grown.holdout) == rides_of(whole.holdout)
    assert rides_of(grown.train) == rides_of(whole.train)


def test_a_holdout_without_a_row_is_refused(tmp_path: Path):
    """It was asked for, and nothing could be compared on it."""
    with pytest.raises(NotEnoughRows, match=r"divide into .* holdout 0; .* or raise holdout_share"):
        held(tmp_path, rides(), share=1e-9)
