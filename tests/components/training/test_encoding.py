"""What the network sees of a raw row: scaled numbers and indices, learned from the training part only."""

import numpy as np
import polars as pl
import pytest

from components.data.feeds import feeds
from components.errors import SchemaMismatch
from components.optimization.encoders import read_encoder
from components.training.encoding import Encoder
from tests.components.training.tiny import tiny_rows, tiny_schema

SCHEMA = tiny_schema()


def rows(temp, origin):
    """Rows of these columns; the wind is still."""
    return pl.DataFrame(
        {"temp": temp, "origin": origin, "wind": [0.0] * len(temp)}, schema_overrides={"temp": pl.Float64}
    )


@pytest.fixture(scope="module")
def encoder():
    """Fitted on rows with mean 5 and deviation 5, where JFK is the more frequent."""
    return Encoder.fit(rows([0.0, 10.0] * 20, ["JFK"] * 24 + ["EWR"] * 15 + ["LGA"]), SCHEMA)


def test_missing_is_told_apart_from_unseen(encoder):
    """A missing category is 1, a value never seen, or seen too seldom to learn from, is 0; known ones follow."""
    frame = rows([5.0] * 6, [None, "", "Zürich", "LGA", "JFK", "EWR"])

    _, categories = encoder.encode(frame)

    assert categories[:, 0].tolist() == [1, 1, 0, 0, 2, 3]


def test_numbers_are_scaled_and_clipped_and_missing_stays_missing(encoder):
    """Numbers count in standard deviations from the mean, ten at most; a missing one is NaN."""
    numbers, _ = encoder.encode(rows([5.0, 10.0, 1e300, None], ["JFK"] * 4))

    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers[:, 0], [0, 1, 10, np.nan])


def test_a_constant_or_empty_column_is_no_error():
    """A column without two different values is centred, one without values stays missing."""
    frame = rows([None, None], ["JFK", "JFK"])

    numbers, _ = Encoder.fit(frame, SCHEMA).encode(frame)

    assert np.isnan(numbers[:, 0]).all()
    assert (numbers[:, 1] == 0).all()


def test_a_missing_column_is_named(encoder):
    """Rows without a feature are refused with its name."""
    with pytest.raises(SchemaMismatch, match=r"the rows lack \['wind'\]"):
        encoder.encode(tiny_rows(5).drop("wind"))


def test_the_file_says_the_same_to_the_room_that_exports(tmp_path):
    """`encoder.json`, read by the optimization room, encodes every row as training does."""
    frame = tiny_rows(500)
    encoder = Encoder.fit(frame[:300], SCHEMA)
    encoder.write(tmp_path / "encoder.json")

    theirs = read_encoder(tmp_path / "encoder.json", SCHEMA).encode(feeds(frame, SCHEMA))

    assert Encoder.read(tmp_path / "encoder.json") == encoder
    for mine, their in zip(encoder.encode(frame), theirs, strict=True):
        np.testing.assert_array_equal(mine, their)
