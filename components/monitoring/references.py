"""What the version that answered would say to its own training rows: the yardstick for a drift of its predictions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import polars as pl

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.records.models import ModelFiles

Array = npt.NDArray[Any]


def open_graph(files: ModelFiles) -> onnxruntime.InferenceSession:
    """The version's graph on one thread.

    Raises:
        ModelRefused: If it cannot be opened.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with _refusing(files):
        return onnxruntime.InferenceSession(str(files.graph), options, providers=["CPUExecutionProvider"])


def ask(graph: onnxruntime.InferenceSession, fed: Mapping[str, Array], files: ModelFiles, output: str) -> Array:
    """One output of the graph for these rows, of shape (rows,) or (rows, classes).

    Raises:
        ModelRefused: If it cannot be run on them.
    """
    with _refusing(files):
        return np.asarray(graph.run([output], dict(fed))[0])


def reference_answers(files: ModelFiles, reference: pl.DataFrame) -> Array:
    """The version's answers to its reference rows, in the form that `answers_of` gives to those of a window.

    Raises:
        ModelRefused: If the graph cannot be run on them.
    """
    with _refusing(files):
        fed = feeds(reference, files.schema)
    output = "probability" if files.schema.target_kind == "binary" else "prediction"
    return _as_column(ask(open_graph(files), fed, files, output), files)


def reference_rows(files: ModelFiles) -> pl.DataFrame:
    """`prediction`, and `probability` or `probabilities`, of the version's own training rows, as a window has them.

    Raises:
        ModelRefused: If the graph cannot be run on them.
    """
    with _refusing(files):
        fed = feeds(pl.read_parquet(files.reference), files.schema)
    graph = open_graph(files)
    chances = {"binary": ["probability"], "multiclass": ["probabilities"], "regression": []}[files.schema.target_kind]
    found = {name: ask(graph, fed, files, name) for name in ("prediction", *chances)}
    return pl.DataFrame({name: pl.Series(values.astype(np.float64).tolist()) for name, values in found.items()})


def answers_of(window: pl.DataFrame, files: ModelFiles) -> Array:
    """One column that stands for the predictions of a window, shape (rows,).

    Returns:
        Probabilities of class 1 for a binary target, names of classes for a multiclass one, values for a regression.
    """
    name = "probability" if files.schema.target_kind == "binary" else "prediction"
    column = window[name].cast(pl.Float64)
    return _as_column(column.fill_null(np.nan).to_numpy(), files)


def _as_column(found: Array, files: ModelFiles) -> Array:
    if files.schema.target_kind != "multiclass":
        return found.astype(np.float64)
    names = dict(enumerate(files.schema.classes))
    return np.array([names.get(int(code), "") if np.isfinite(code) else "" for code in found], dtype=object)


@contextmanager
def _refusing(files: ModelFiles) -> Iterator[None]:
    """What goes wrong with the graph, as the one error that says what to do."""
    try:
        yield
    except Exception as err:  # onnxruntime raises a class of its own for each kind of failure
        raise ModelRefused(
            f"{files.graph} must answer the rows of {files.reference}, but failed: {err}; "
            "fetch the version anew, or export it again"
        ) from err
