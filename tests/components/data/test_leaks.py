"""A column that knows the answer is found; honest ones are let through."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from components.data.kinds import typed
from components.data.leaks import check_leaks, suspicions
from components.data.schema import infer_schema
from components.errors import LeakFound
from components.settings.project import DataSettings
from components.settings.reading import load_project
from tests.components.data.rides import project, rides

ROOT = Path(__file__).parents[3]


def table(rows: int = 2_000, leak: object = None, **data: Any) -> tuple[pl.DataFrame, DataSettings]:
    """Typed rides, with one more column `leak` if given."""
    settings = project(Path(), **data).data
    frame = rides(rows).drop("minutes")
    frame = frame if leak is None else frame.with_columns(leak=pl.Series(leak, strict=False))
    return typed(frame, settings, "rides"), settings


def truth(rows: int = 2_000) -> Any:
    """The target of the rides as an array."""
    return rides(rows)["long"].to_numpy()


NOISE = np.random.default_rng(5).normal(0, 1, 2_000)


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(truth(), id="a copy"),
        pytest.param(-truth() * 10 + NOISE, id="a number that goes the other way"),
        pytest.param([None if value else 1.0 for value in truth()], id="missing where it is 1"),
        pytest.param(np.where(truth() == 1, np.sign(NOISE) * 9 + NOISE, NOISE), id="far out on both sides"),
        pytest.param([f"{value}-{number % 7}" for number, value in enumerate(truth())], id="a code that holds it"),
    ],
)
def test_a_column_that_knows_the_answer_is_refused(leak: object):
    """Also when it is not a straight line, when its gaps tell, or when it is text."""
    frame, data = table(leak=leak)

    with pytest.raises(
        LeakFound, match=r"rank 'long' .* of 0.85 or more, but 'leak' reaches (1.000|0.9\d\d); .*data.drop"
    ):
        check_leaks(frame, infer_schema(frame, data), data)


def test_honest_columns_are_let_through():
    """The temperature the rides depend on is a good feature, not a leak."""
    frame, data = table()

    check_leaks(frame, infer_schema(frame, data), data)
    best = suspicions(frame, infer_schema(frame, data))[0]

    assert best.column == "warm"
    assert 0.65 < best.score < 0.8


def test_a_column_of_names_gets_no_credit_for_what_it_learned_by_heart():
    """A name that is there once says nothing of the next row."""
    frame, data = table(leak=[f"n{number}" for number in range(2_000)])

    scores = {one.column: one.score for one in suspicions(frame, infer_schema(frame, data))}

    assert scores["leak"] < 0.55


def test_the_limit_can_be_moved():
    """An honest column that ranks well is let in by the project file."""
    frame, data = table(leak=truth() * 3 + NOISE)
    schema = infer_schema(frame, data)

    with pytest.raises(LeakFound, match=r"'leak' reaches 0\.9"):
        check_leaks(frame, schema, data)
    check_leaks(frame, schema, data.model_copy(update={"leak_score": 0.999}))


def test_a_copy_of_a_regressions_target_is_found_and_a_good_feature_is_not():
    """Yesterday's price honestly ranks today's."""
    price = np.random.default_rng(3).normal(0, 1, 2_000)
    target = {"column": "price", "kind": "regression"}
    frame = rides(2_000).drop("minutes").with_columns(price=price, yesterday=price + NOISE / 4, cents=price**3)
    data = project(Path(), target=target).data
    frame = typed(frame, data, "rides")
    schema = infer_schema(frame, data)

    with pytest.raises(LeakFound, match=r"a rank correlation of 0.98 or more, but 'cents' reaches 0.99\d; "):
        check_leaks(frame, schema, data)


def test_a_leak_of_one_class_among_several_is_found():
    """Each class is looked at by itself."""
    frame, data = table(target={"column": "station", "kind": "multiclass"})
    frame = frame.with_columns(code=pl.when(pl.col("station") == "river").then(1.0).otherwise(0.0))

    with pytest.raises(LeakFound, match=r"'code' reaches 1.000"):
        check_leaks(frame, infer_schema(frame, data), data)


def test_few_rows_say_nothing():
    """A handful of rows is ranked by anything."""
    frame, data = table(rows=50, leak=truth(50))

    check_leaks(frame, infer_schema(frame, data), data)


def test_a_constant_target_or_column_is_no_leak():
    """Nothing to rank, nothing to know."""
    frame, data = table(leak=[1.0] * 2_000)

    check_leaks(frame.with_columns(long=pl.lit(0, pl.Int64)), infer_schema(frame, data), data)


def test_the_departure_delay_of_real_flights_is_found_and_their_honest_columns_are_not():
    """The demo's table with nothing dropped: 0.89 for dep_delay, at most 0.67 for any other, on January."""
    real = load_project(ROOT / "deploy/projects/flight-delays.yaml").data
    data = real.model_copy(update={"drop": ()})
    source = importlib.import_module("flight_delays").NycFlights(last="2013-01-31")
    flights = typed(source.frame(), data, "flights").drop_nulls("late")
    schema = infer_schema(flights, data)

    with pytest.raises(LeakFound, match=r"but 'dep_delay' reaches 0\.(8[89]|9\d)\d; "):
        check_leaks(flights, schema, data)

    assert suspicions(flights, schema)[1].score < 0.7
