"""Raw rows in, answers out: the graph's own, in their order."""

import numpy as np
import polars
import pytest

from components.errors import ModelRefused
from components.evaluation.predicting import predict
from tests.components.evaluation.tiny import BINARY, graph


def test_predictions_are_the_graphs_own_in_the_rows_order(tmp_path):
    """Each row gets the probability that its formula gives, with a missing number and an unseen category among them."""
    frame = polars.DataFrame({"origin": ["EWR", "LGA", None], "other": [1, 2, 3], "temp": [2.0, None, -1.0]})

    outputs = predict(graph(tmp_path, BINARY), frame, BINARY)

    # 1e-6: the graph's sigmoid is float32.
    assert outputs.probability == pytest.approx(1 / (1 + np.exp(-np.array([3.0, 0.0, -1.0]))), abs=1e-6)
    assert outputs.prediction.tolist() == [1, 1, 0]


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    """Bytes that onnxruntime cannot read are refused with the path."""
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")

    with pytest.raises(ModelRefused, match=r"broken.onnx must be an ONNX graph that onnxruntime"):
        predict(tmp_path / "broken.onnx", polars.DataFrame({"temp": [1.0], "origin": ["EWR"]}), BINARY)
