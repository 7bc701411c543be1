"""Raw rows in, predictions out: runs the very graph that is served, on one thread.

Rows are fed by `components.data.feeds`, as the service feeds them, so a score rests on what an application would get.
This module does not know what is true, or which model is better.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import polars

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.records.rows import Schema

Array = npt.NDArray[Any]

# Rows in one call: bounds memory (a 512-wide layer takes 17 MB) and costs no speed against one call for everything.
BATCH_ROWS = 8_192


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a model answered.

    Attributes:
        prediction: Shape (rows,); 0 or 1, class index, or value in the target's unit; float64 for a regression,
            int64 else.
        probability: Float64 probabilities between 0 and 1: shape (rows,) of class 1, or (rows, classes); None for a
            regression.
    """

    prediction: Array
    probability: Array | None


def predict(graph: Path, frame: polars.DataFrame, schema: Schema) -> Outputs:
    """The graph's answers to the rows, in their order.

    Args:
        graph: ONNX file from raw row to prediction.
        frame: Raw rows; the schema's feature columns are used, others are ignored.
        schema: The schema that the graph was exported with.

    Raises:
        ModelRefused: If the file cannot be loaded, or fails on the rows.
        SchemaMismatch: If a feature column is missing.
    """
    session = open_session(graph)
    columns = feeds(frame, schema)
    try:
        batches = [_run(session, columns, start) for start in range(0, max(frame.height, 1), BATCH_ROWS)]
    except Exception as err:  # onnxruntime raises a class of its own for each kind of failure
        raise ModelRefused(
            f"{graph} must answer {frame.height:,} rows of {len(columns)} columns, but failed: {err}; "
            "check that the schema is the one it was exported with, or export it again"
        ) from err
    merged = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return _outputs(merged, schema)


def open_session(graph: Path) -> onnxruntime.InferenceSession:
    """A session on one thread: two threads on a busy machine are slower than one.

    Raises:
        ModelRefused: If the file is missing, is no ONNX graph, or is one that onnxruntime cannot run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime raises a class of its own for each kind of failure
        raise ModelRefused(
            f"{graph} must be an ONNX graph that onnxruntime {onnxruntime.__version__} can run, but loading it failed: "
            f"{err}; export the model again"
        ) from err


def _run(session: onnxruntime.InferenceSession, columns: dict[str, Array], start: int) -> dict[str, Array]:
    batch = {name: values[start : start + BATCH_ROWS] for name, values in columns.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, batch), strict=True))


def _outputs(raw: dict[str, Array], schema: Schema) -> Outputs:
    """The graph's outputs under one pair of names, whatever the kind of target."""
    prediction = raw["prediction"].astype(np.float64 if schema.target_kind == "regression" else np.int64)
    probability = raw.get("probabilities" if schema.target_kind == "multiclass" else "probability")
    return Outputs(prediction, None if probability is None else probability.astype(np.float64))
