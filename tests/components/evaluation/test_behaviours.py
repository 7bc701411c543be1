"""Behaviour tests on a real graph: probability = sigmoid(temp + (1 where origin is EWR))."""

import polars
import pytest

from components.errors import ProjectFileError
from components.evaluation.behaviours import MOST_ROWS, check_behaviours, run_behaviours
from components.settings.evaluation import EvaluationSettings
from tests.components.evaluation.tiny import BINARY, CLASSES, VALUE, graph, rows


def settings(*behaviours):
    """A project file's section with these behaviours."""
    return EvaluationSettings(behaviours=behaviours)


def change(column="temp", expect="same", *, tolerance=0.01, share=0.95, **doing):
    """One behaviour that changes a column."""
    return {
        "name": f"{column} {expect}", "column": column, "change": doing, "expect": expect,
        "tolerance": tolerance, "share": share,
    }  # fmt: skip


def run(folder, schema, *behaviours, frame=None, weight=1.0):
    """The rules of these behaviours."""
    at = graph(folder, schema, weight=weight)
    return run_behaviours(at, rows() if frame is None else frame, schema, settings(*behaviours))


@pytest.mark.parametrize(
    ("behaviour", "passed"),
    [
        (change(expect="up", add=1), True),
        (change(expect="down", add=1), False),
        (change(expect="down", add=-1), True),
        (change(expect="same", add=0.001), True),
        (change(expect="same", add=1), False),
        (change(expect="same", add=1, tolerance=0.3), True),
        (change("origin", "down", set="JFK"), True),
        (change("origin", "up", set="JFK"), False),
        (change("origin", "same", missing=True), False),
        (change(expect="up", multiply=2), False),
        (change(expect="up", multiply=2, share=0.4), True),
        (change(expect="same", missing=True, tolerance=0.9), True),
    ],
    ids=lambda value: value["name"] + str(value["change"]) if isinstance(value, dict) else str(value),
)
def test_a_change_matters_as_the_formula_says(tmp_path, behaviour, passed):
    """More temp is a higher probability, an origin of JFK or none a lower one, twice a negative temp a lower one."""
    (rule,) = run(tmp_path, BINARY, behaviour)

    assert rule.passed is passed, rule.detail
    assert rule.name == behaviour["name"]


def test_a_rule_tells_what_was_wanted_and_found(tmp_path):
    """The sentence holds the change, the share, the tolerance, the rows and the moves."""
    (rule,) = run(tmp_path, VALUE, change(expect="up", add=2, tolerance=5), weight=3.0)

    assert rule.passed
    assert rule.detail == (
        "when 2 is added to temp, at least 95 % of the answers must rise by more than 5; 100 % of 2,000 rows do "
        "(median move +6, from +6 to +6)"
    )


def test_only_rows_that_the_change_alters_count(tmp_path):
    """Rows that are EWR already cannot show what happens when they become EWR."""
    (rule,) = run(tmp_path, BINARY, change("origin", "up", set="EWR", tolerance=0, share=1))

    altered = (rows()["origin"] != "EWR").sum()
    assert rule.passed
    assert f"of {altered:,} rows do" in rule.detail


def test_a_change_that_alters_nothing_fails(tmp_path):
    """Nothing was tested, and that is no success."""
    frame = rows().with_columns(temp=polars.lit(None, polars.Float64))

    (rule,) = run(tmp_path, BINARY, change(expect="same", add=1), frame=frame)

    assert not rule.passed
    assert "must alter some of 2,000 rows, but alters none" in rule.detail


def test_of_many_rows_2000_are_asked(tmp_path):
    """Evenly taken, so that the last rows are among them."""
    frame = polars.concat([rows().with_columns(temp=0.0), rows(3_000).with_columns(temp=1.0)])

    (rule,) = run(tmp_path, BINARY, change(expect="up", set=5, tolerance=0.3, share=0.3), frame=frame)

    assert rule.detail.startswith("when temp is set to 5, ")
    assert f"of {MOST_ROWS:,} rows do" in rule.detail
    # From temp 0: sigmoid 5 - 0.5 = 0.49 (JFK) or 6: 0.27 (EWR). From temp 1: 0.26 or 0.12. So JFK's 20 % move by 0.3.
    assert not rule.passed


def test_whole_numbers_and_classes_are_changed_as_well(tmp_path):
    """An integer column takes a fraction; of a class the probabilities must stay."""
    frame = rows().with_columns(polars.col("temp").round().cast(polars.Int64))

    whole, moved = run(
        tmp_path, CLASSES, change(add=0.0005), change(add=0.5), frame=frame
    )  # fmt: skip

    assert whole.passed
    assert not moved.passed


def test_hand_written_rows_get_their_answers(tmp_path):
    """sigmoid(3) and sigmoid(1) are above a half, sigmoid(-3) is not; a missing number counts as 0."""
    right = {"name": "known", "rows": [
        {"temp": 3, "origin": "JFK", "late": 1}, {"origin": "EWR", "late": True}, {"temp": -3, "late": 0},
    ]}  # fmt: skip
    wrong = {"name": "wrong", "rows": [{"temp": -2.0 - n, "late": 1} for n in range(5)]}
    half = {"name": "half", "share": 0.5, "rows": [{"temp": 3, "late": 1}, {"temp": 3, "late": 0}]}

    known, bad, enough = run(tmp_path, BINARY, right, wrong, half)

    assert known.passed
    assert known.detail == "at least 100 % of the rows must be answered right; 3 of 3 are"
    assert not bad.passed
    assert bad.detail.endswith(
        "0 of 5 are (row 1 wants 1, found 0, row 2 wants 1, found 0, row 3 wants 1, found 0, and 2 more)"
    )
    assert enough.passed


def test_hand_written_rows_of_other_kinds(tmp_path):
    """A class by its name; a value within the tolerance."""
    (weather,) = run(
        tmp_path, CLASSES, {"name": "w", "rows": [{"temp": 9, "weather": "snow"}, {"temp": -9, "weather": "rain"}]}
    )
    near, far = run(
        tmp_path, VALUE,
        {"name": "near", "tolerance": 0.5, "rows": [{"temp": 2, "delay": 6.4}]},
        {"name": "far", "tolerance": 0.3, "rows": [{"temp": 2, "delay": 6.4}]},
        weight=3.0,
    )  # fmt: skip

    assert weather.detail.endswith("1 of 2 are (row 2 wants rain, found dry)")
    assert near.passed
    assert not far.passed


@pytest.mark.parametrize(
    ("schema", "behaviour", "message"),
    [
        (BINARY, change("tmp", add=1), r"'tmp same' changes 'tmp', and the columns are temp, origin"),
        (BINARY, change("late", add=1), r"changes 'late', and the columns are"),
        (BINARY, change("origin", add=1), r"calculates with 'origin', which is a category: use set or missing"),
        (BINARY, change("origin", multiply=2), r"calculates with 'origin'"),
        (BINARY, change(set="warm"), r"sets 'temp', which is a number, to 'warm'"),
        (CLASSES, change(expect="up", add=1), r"expects the answer to go up, and a class has no direction"),
        (BINARY, {"name": "r", "rows": [{"tmp": 1, "late": 1}]}, r"row 1 holds tmp, and the columns are temp, origin"),
        (BINARY, {"name": "r", "rows": [{"temp": "warm", "late": 1}]}, r"row 1 holds 'warm' in 'temp'"),
        (BINARY, {"name": "r", "rows": [{"temp": 1}]}, r"must hold the answer late as 0 or 1, found None"),
        (BINARY, {"name": "r", "rows": [{"temp": 1, "late": 2}]}, r"as 0 or 1, found 2"),
        (CLASSES, {"name": "r", "rows": [{"weather": "hail"}]}, r"as one of dry, rain, snow, found 'hail'"),
        (VALUE, {"name": "r", "rows": [{"delay": "long"}]}, r"as a number, found 'long'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_mistake_in_the_project_file(schema, behaviour, message):
    """Unknown columns, changes that a column cannot have, answers that the target cannot have."""
    with pytest.raises(ProjectFileError, match=message) as caught:
        check_behaviours(schema, settings(behaviour))

    assert str(caught.value).startswith("evaluation.behaviours must fit the columns and the target, but ")
    assert str(caught.value).endswith("correct the project file")


def test_all_mistakes_are_told_at_once(tmp_path):
    """Whoever has made three mistakes reads three sentences, before any row is asked."""
    with pytest.raises(ProjectFileError, match=r"'tmp same' .*; 'origin same' .*; 'temp same' "):
        run(tmp_path, BINARY, change("tmp", add=1), change("origin", add=1), change(set="warm"))
