"""What is said of each column, and what of the window as a whole."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.monitoring.columns import judged, with_drift
from components.monitoring.shifts import PREDICTION, Shift
from components.monitoring.tabling import column_tables
from components.records.watching import ColumnFacts, WindowFacts
from tests.components.monitoring.made import WINDOW, answered, files_of, measured, rows


def shift(column: str, size: float) -> Shift:
    """A column that moved by so much, of 0.1 that count."""
    return Shift(column, "wasserstein", size, 0.1)


def facts_of(facts: WindowFacts) -> dict[str, ColumnFacts]:
    """The facts of each column, by name."""
    return {column.name: column for column in facts.columns}


def test_a_column_drifts_when_it_moved_far_and_not_by_chance():
    """Sixty rows that moved far by chance do not count, nor do a hundred thousand that moved by next to nothing."""
    rng = np.random.default_rng(1)
    then = {name: rng.normal(0, 1, 100_000) for name in ("far", "near", "lucky", PREDICTION)}
    now = {
        "far": rng.normal(0.5, 1, 1_000),
        "near": rng.normal(0.03, 1, 100_000),
        "lucky": rng.normal(0, 1, 60),
        PREDICTION: rng.normal(0.5, 1, 1_000),
    }
    shifts = [shift("far", 0.5), shift("near", 0.03), shift("lucky", 0.15), shift(PREDICTION, 0.5)]

    found = {each.column: each for each in judged(shifts, now, then, false_discoveries=0.05)}

    assert {name: each.has_drifted for name, each in found.items()} == {
        "far": True, "near": False, "lucky": False, PREDICTION: True,
    }  # fmt: skip
    assert found["near"].p_value < 1e-6
    assert found["lucky"].p_value > 0.05


def test_twenty_columns_that_did_not_move_do_not_drift_by_chance():
    """Sixty rows are 0.2 apart by chance: with the effect size alone most windows had drifted columns."""
    rng = np.random.default_rng(2)
    then = {f"c{at}": rng.normal(0, 1, 5_000) for at in range(20)}
    alone = both = 0

    for _ in range(100):
        now = {name: rng.normal(0, 1, 60) for name in then}
        shifts = [shift(name, abs(now[name].mean() - then[name].mean())) for name in then]
        alone += any(each.size >= each.threshold for each in shifts)
        both += any(each.has_drifted for each in judged(shifts, now, then, false_discoveries=0.05))

    assert alone > 90
    assert both <= 12  # 5 are expected; three standard deviations are 7


def test_the_drift_is_weighed_by_what_moves_the_answer(tmp_path: Path):
    """The temperature alone moves the little graph's answer; the wind's drift weighs nothing."""
    warm = measured(answered(rows(2_000, warmer=2.5)), tmp_path)
    windy = measured(answered(rows(2_000).with_columns(wind=pl.col("wind") * 3)), tmp_path)

    assert (warm.drifted_columns, warm.weighted_drift) == (("temp",), 1)
    assert (windy.drifted_columns, windy.drift_share, windy.weighted_drift) == (("wind",), 0.25, 0)
    assert sum(column.importance or 0 for column in warm.columns) == pytest.approx(1)


def test_each_column_is_told_with_size_chance_and_importance(tmp_path: Path):
    """In the schema's order, whether it moved or not."""
    found = measured(answered(rows(2_000, warmer=2.5)), tmp_path)

    temp, wind, origin, tail = found.columns
    assert (temp.name, temp.kind, temp.has_drifted, temp.importance) == ("temp", "number", True, 1)
    assert temp.size == pytest.approx(0.5, abs=0.1)
    assert temp.p_value < 1e-6
    assert temp.outside == pytest.approx(0, abs=0.01)
    assert (wind.has_drifted, wind.threshold, wind.unseen) == (False, 0.1, None)
    assert (origin.kind, origin.unseen, origin.outside) == ("category", 0, None)
    assert (tail.kind, tail.broken) == ("category", "")
    assert tail.unseen == pytest.approx(0, abs=0.05)


def test_a_new_category_is_seen_and_many_of_them_are_broken(tmp_path: Path):
    """One airport more is drift; a source that renamed all of them is for a person."""
    one = measured(answered(rows(1_200)).with_columns(origin=_every(4, pl.lit("BOS"), "origin")), tmp_path)
    all_of_them = measured(answered(rows(1_200)).with_columns(origin="K" + pl.col("origin")), tmp_path)

    assert facts_of(one)["origin"].unseen == 0.25
    assert (one.drifted_columns, one.broken_columns) == (("origin",), ())
    assert all_of_them.broken_columns == ("origin",)
    assert facts_of(all_of_them)["origin"].broken == (
        "column 'origin' holds 1,200 values, of which 100.0% were never seen in training (limit 50%)"
    )


def test_of_long_texts_the_length_is_compared(tmp_path: Path):
    """Each text is new, and that says nothing; that they became twice as long does."""
    files = files_of(tmp_path)
    trained = pl.read_parquet(files.reference)
    trained.with_columns(tail=_sentences(trained.height, words=8)).write_parquet(files.reference)
    same = answered(rows(1_200).with_columns(tail=_sentences(1_200, words=8, seed=5)))
    longer = answered(rows(1_200).with_columns(tail=_sentences(1_200, words=16)))

    calm, moved = (measured(frame, tmp_path, files=files) for frame in (same, longer))

    assert (facts_of(calm)["tail"].kind, facts_of(calm)["tail"].unseen, calm.drifted_columns) == ("text", None, ())
    assert moved.drifted_columns == ("tail",)
    assert facts_of(moved)["tail"].size > 1


@pytest.mark.parametrize(
    ("count", "damage"),
    [
        (0, {}),
        (1, {}),
        (6, {}),
        (6, {"temp": pl.lit(float("inf"))}),
        (6, {"origin": pl.lit(None, dtype=pl.String)}),
        (60, {"temp": pl.lit("warm"), "wind": pl.lit([1.0])}),
        (60, {"temp": pl.lit(None), "wind": pl.lit(None), "origin": pl.lit(None), "tail": pl.lit(None)}),
        (1_200, {"temp": pl.lit("warm"), "wind": pl.lit(datetime(2013, 1, 1, tzinfo=UTC))}),
        (1_200, {"temp": pl.lit(float("-inf")), "wind": pl.lit(float("nan")), "origin": pl.lit("")}),
        (1_200, {"temp": pl.lit(1.0), "wind": pl.lit(1.0), "origin": pl.lit("EWR"), "tail": pl.lit("1")}),
        (1_200, {"temp": pl.lit(1e308), "wind": pl.when(pl.int_range(pl.len()) == 7).then("wind")}),
        (1_200, {"origin": pl.lit(7), "tail": pl.lit(value=True)}),
    ],
    ids=[
        "no rows", "one row", "six rows", "six infinite", "six without category", "sixty of wrong types",
        "sixty all missing", "wrong types", "not finite", "constant", "huge and nearly empty", "numbers for categories",
    ],
)  # fmt: skip
def test_whatever_stands_in_a_window_there_are_facts(tmp_path: Path, count: int, damage: dict[str, pl.Expr]):
    """And a person can read what is wrong with it: a sentence for each broken column."""
    frame = answered(rows(max(count, 1)), labelled=0).head(count).with_columns(**damage)

    found = measured(frame, tmp_path)

    assert (found.rows, found.reference) == (count, "training")
    assert (len(found.columns), found.drift_share is not None) == ((4, True) if count >= 1_000 else (0, False))
    sentences = {column.name: column.broken for column in found.columns if column.broken}
    assert not found.columns or tuple(sentences) == found.broken_columns
    assert all(f"'{name}'" in sentence and sentence.isprintable() for name, sentence in sentences.items())
    assert Path(found.report).is_file() == (count >= 50)


def test_a_wrong_type_is_told_as_such(tmp_path: Path):
    """Not as missing values, which it looks like to whoever reads the numbers alone."""
    found = measured(answered(rows(1_200)).with_columns(temp=pl.lit("warm")).drop("wind"), tmp_path)

    assert facts_of(found)["temp"].broken == "column 'temp' must hold numbers, but holds String"
    assert facts_of(found)["wind"].broken == "column 'wind' is not among the window's columns"
    assert found.breaks == (
        "column 'temp' must be Float64, but is String",
        "column 'wind' is wanted, but not there",
    )


def test_the_facts_say_until_when_the_version_learned(tmp_path: Path):
    """The newest time among its sample of training rows, where the sample has times."""
    files = files_of(tmp_path)
    unknown = measured(answered(rows(60)), tmp_path)
    at = pl.lit(datetime(2013, 5, 1, tzinfo=UTC)).alias("at")
    pl.read_parquet(files.reference).with_columns(at).write_parquet(files.reference)

    assert unknown.trained_until is None
    assert measured(answered(rows(60)), tmp_path, files=files).trained_until == datetime(2013, 5, 1, tzinfo=UTC)


def test_without_a_measured_column_there_is_no_share():
    """Nothing known is not nothing moved."""
    nothing = WindowFacts(WINDOW, 1, 2_000, 0)
    broken = (ColumnFacts("temp", "number", importance=1.0, broken="column 'temp' is missing in all 2,000 rows"),)

    found = with_drift(nothing, broken, [])

    assert (found.drift_share, found.weighted_drift, found.prediction_drifted) == (None, None, None)


def test_the_page_tells_each_column_once_and_the_broken_first():
    """What a person must look at stands above, each broken column with one sentence."""
    columns = (
        ColumnFacts("calm", "number", size=0.01, threshold=0.1, p_value=0.4, importance=0.5),
        ColumnFacts("moved", "category", size=0.3, threshold=0.1, p_value=1e-9, has_drifted=True, unseen=0.25),
        ColumnFacts("gone", "number", missing=1.0, broken="column 'gone' is missing in all 60 rows (0.0% before)"),
    )
    breaks = ("column 'calm' must be at most 9, but 1 of 60 rows are not (from 10 to 10)", "column 'gone' is wanted")

    findings, table = column_tables(columns, [shift(PREDICTION, 0.02)], reference="previous", breaks=breaks)

    assert findings.title == "What a person must look at"
    told = str(findings.params)
    assert ("gone' is missing in all" in told, "'calm' must be" in told, "'gone' is wanted" in told) == (
        True, True, False,
    )  # fmt: skip
    assert table.title == "Each column beside the window before"
    text = str(table.params)
    assert text.index("the answer") < text.index("gone") < text.index("moved") < text.index("calm")
    assert "< 0.001" in text
    assert "25.0%" in text


def _every(nth: int, value: pl.Expr, name: str) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) % nth == 0).then(value).otherwise(name)


def _sentences(count: int, *, words: int, seed: int = 4) -> pl.Series:
    rng = np.random.default_rng(seed)
    vocabulary = np.array(["the flight", "was late", "because of", "snow and", "wind over", "the bay", "all night"])
    return pl.Series([" ".join(rng.choice(vocabulary, words + rng.integers(0, 4))) for _ in range(count)])
