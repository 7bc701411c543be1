"""The model that every side answers with, and what is asked of it: one graph, from 20 raw columns to a probability."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

COLUMNS = tuple(f"x{number:02}" for number in range(20))
OUTPUTS = ("prediction", "probability")
UNITS = (len(COLUMNS), 256, 256, 2)
SEED = 7


def save_graph(file: Path) -> Path:
    """A network of 20 numbers, 256, 256 and 2 units as ONNX: inputs of shape (rows,) and float64, named as the columns.

    Its weights are drawn, not trained: what it costs to ask is the same.
    """
    generator = np.random.default_rng(SEED)
    constants = {"shape": np.array([len(COLUMNS), -1]), "second": np.array(1)}
    for layer, (units_in, units_out) in enumerate(pairwise(UNITS)):
        spread = np.sqrt(2 / units_in)
        constants[f"weight{layer}"] = generator.normal(0, spread, (units_in, units_out)).astype(np.float32)
        constants[f"bias{layer}"] = generator.normal(0, 0.1, units_out).astype(np.float32)
    nodes = [
        # The columns as one matrix, a column a row, in three nodes: an Unsqueeze for each would cost 20.
        helper.make_node("Concat", list(COLUMNS), ["line"], axis=0),
        helper.make_node("Reshape", ["line", "shape"], ["wide"]),
        helper.make_node("Cast", ["wide"], ["hidden0"], to=TensorProto.FLOAT),
        *_layer(0, transposed=True),
        *_layer(1),
        helper.make_node("Gemm", ["hidden2", "weight2", "bias2"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=1),
        helper.make_node("Gather", ["shares", "second"], ["probability"], axis=1),
        helper.make_node("ArgMax", ["shares"], ["prediction"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows"]) for name in COLUMNS],
        [
            helper.make_tensor_value_info("prediction", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


def open_session(file: Path) -> ort.InferenceSession:
    """The graph on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def columns(rows: int) -> dict[str, Any]:
    """Values of shape (rows,) and float64 by column; three decimals, as such numbers are mostly sent."""
    values = np.random.default_rng(SEED + 1).normal(0, 1, (len(COLUMNS), rows)).round(3)
    return dict(zip(COLUMNS, values, strict=True))


def json_rows(rows: int) -> list[dict[str, float]]:
    """The same values as JSON holds them, row by row."""
    named = columns(rows)
    return [{name: float(named[name][row]) for name in COLUMNS} for row in range(rows)]


def _layer(number: int, *, transposed: bool = False) -> list[onnx.NodeProto]:
    names = [f"hidden{number}", f"weight{number}", f"bias{number}"]
    return [
        helper.make_node("Gemm", names, [f"sum{number}"], transA=int(transposed)),
        helper.make_node("Relu", [f"sum{number}"], [f"hidden{number + 1}"]),
    ]
