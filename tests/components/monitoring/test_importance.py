"""What moves a version's answers is found by asking its graph, without labels."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.errors import ModelRefused
from components.monitoring.importance import importances
from components.records.rows import TargetKind
from tests.components.monitoring.made import files_of, rows

NAMES = ["temp", "wind", "origin", "tail"]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_column_that_the_answer_rests_on_has_all_the_importance(tmp_path: Path, kind: TargetKind):
    """The little graph looks at the temperature alone; the shares add up to 1 and can be repeated."""
    files = files_of(tmp_path, kind)
    trained = pl.read_parquet(files.reference)

    found = importances(files, trained, NAMES)

    assert found == {"temp": 1.0, "wind": 0.0, "origin": 0.0, "tail": 0.0}
    assert importances(files, trained, NAMES) == found


def test_where_no_column_moves_the_answer_there_is_no_importance(tmp_path: Path):
    """A model that says the same to everyone has nothing to share out."""
    files = files_of(tmp_path)
    constant = rows(100).with_columns(temp=pl.lit(10.0))

    assert importances(files, constant, NAMES) == {}


def test_missing_values_move_answers_that_are_not_finite_to_nowhere(tmp_path: Path):
    """A graph that answers NaN to NaN is measured on the other rows."""
    files = files_of(tmp_path, "regression")
    holed = rows(500).with_columns(temp=pl.when(pl.int_range(pl.len()) % 3 > 0).then("temp"))

    found = importances(files, holed, NAMES)

    assert found["temp"] == 1
    assert np.isfinite(list(found.values())).all()


def test_a_graph_that_cannot_be_run_is_refused(tmp_path: Path):
    """The message names it and says what to do."""
    files = files_of(tmp_path)
    files.graph.write_bytes(b"no graph")

    with pytest.raises(ModelRefused, match=r"model.onnx must answer the rows of .*reference.parquet, but failed: .*"):
        importances(files, rows(100), NAMES)
