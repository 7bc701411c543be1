"""ONNX graphs: the part before the network that takes raw columns, and the whole as one file that explains itself.

Categories are looked up by `LabelEncoder`, one of the ONNX-ML operators. Numbers are joined first and scaled as one
matrix: a column more costs one input at run time, no operator.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from components.optimization.encoders import UNSEEN, Array, CategoryEncoder, Encoder, NumberEncoder

# LabelEncoder from text to int64 is the same since `ai.onnx.ml` 2; 3 is what this was measured with.
ML_OPSET = 3
# The network's own names get this in front, so that no column of a user can collide with them.
PREFIX = "network/"
NUMBERS, CATEGORIES = "front/numbers", "front/categories"


class FrontGraph:
    """Builds the graph from raw columns, each of shape [rows], to the network's two inputs."""

    def __init__(self, encoder: Encoder, order: Sequence[str]) -> None:
        self._order = order
        self._number_names = {number.name for number in encoder.numbers}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._widths = {NUMBERS: len(encoder.numbers), CATEGORIES: len(encoder.categories)}
        self._add_numbers(encoder.numbers)
        self._add_categories(encoder.categories)

    def model(self, *, opset: int, ir_version: int) -> onnx.ModelProto:
        """The graph as a model of the versions that the network was exported with."""
        inputs = [
            helper.make_tensor_value_info(
                name, TensorProto.DOUBLE if name in self._number_names else TensorProto.STRING, ["rows"]
            )
            for name in self._order
        ]
        outputs = [
            helper.make_tensor_value_info(NUMBERS, TensorProto.FLOAT, ["rows", self._widths[NUMBERS]]),
            helper.make_tensor_value_info(CATEGORIES, TensorProto.INT64, ["rows", self._widths[CATEGORIES]]),
        ]
        graph = helper.make_graph(self._nodes, "front", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)

    def _add_numbers(self, numbers: Sequence[NumberEncoder]) -> None:
        """Scaled and clipped in double, then float32. NaN passes Clip unchanged, so missing stays missing."""
        if not numbers:
            self._add_nothing(NUMBERS, np.zeros(1, np.float32))
            return
        raw = self._matrix([number.name for number in numbers], "front/raw")
        mean = self._constant("mean", np.array([number.mean for number in numbers]))
        std = self._constant("std", np.array([number.std for number in numbers]))
        centred = self._node("Sub", [raw, mean], "front/centred")
        scaled = self._node("Div", [centred, std], "front/scaled")
        low = self._constant("low", np.array([-number.clip for number in numbers]))
        high = self._constant("high", np.array([number.clip for number in numbers]))
        capped = self._node("Min", [scaled, high], "front/capped")
        clipped = self._node("Max", [capped, low], "front/clipped")
        self._node("Cast", [clipped], NUMBERS, to=TensorProto.FLOAT)

    def _add_categories(self, categories: Sequence[CategoryEncoder]) -> None:
        if not categories:
            self._add_nothing(CATEGORIES, np.zeros(1, np.int64))
            return
        names = [self._look_up(category, f"front/index_{place}") for place, category in enumerate(categories)]
        self._matrix(names, CATEGORIES)

    def _look_up(self, category: CategoryEncoder, output: str) -> str:
        return self._node(
            "LabelEncoder",
            [category.name],
            output,
            domain="ai.onnx.ml",
            keys_strings=list(category.indices),
            values_int64s=list(category.indices.values()),
            default_int64=UNSEEN,
        )

    def _matrix(self, columns: Sequence[str], output: str) -> str:
        """Columns of shape [rows] as one matrix [rows, columns]: three nodes, however many columns there are."""
        joined = self._node("Concat", columns, f"{output}/joined", axis=0)
        shape = self._constant(f"{output}/shape", np.array([len(columns), -1], np.int64))
        by_column = self._node("Reshape", [joined, shape], f"{output}/by_column")
        return self._node("Transpose", [by_column], output, perm=[1, 0])

    def _add_nothing(self, output: str, zero: Array) -> None:
        """A matrix [rows, 0], for a model without columns of this kind."""
        rows = self._node("Shape", [self._order[0]], f"{output}/rows")
        shape = self._node("Concat", [rows, self._constant(f"{output}/none", np.array([0]))], f"{output}/shape", axis=0)
        self._node("ConstantOfShape", [shape], output, value=numpy_helper.from_array(zero))

    def _node(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self._nodes.append(
            helper.make_node(operator, list(inputs), [output], name=f"{output}/{operator}", **attributes)
        )
        return output

    def _constant(self, name: str, values: Array) -> str:
        full_name = name if name.startswith("front/") else f"front/{name}"
        self._constants.append(numpy_helper.from_array(values, full_name))
        return full_name


def join(front: onnx.ModelProto, network: onnx.ModelProto, about: Mapping[str, str]) -> onnx.ModelProto:
    """Both as one model: raw columns in, answers out.

    Args:
        front: What `FrontGraph` built.
        network: The exported network; its two inputs are numbers and categories, in this order.
        about: What the bare file says about itself, kept as its metadata.
    """
    numbers, categories = (PREFIX + entry.name for entry in network.graph.input)
    outputs = [output.name for output in network.graph.output]
    prefixed = compose.add_prefix(network, PREFIX)
    merged = compose.merge_models(front, prefixed, io_map=[(NUMBERS, numbers), (CATEGORIES, categories)])
    _rename_outputs(merged, outputs)
    _forget_origin(merged)
    merged.producer_name = "everfit"
    helper.set_model_props(merged, dict(about))
    return merged


def _rename_outputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Takes the prefix from the outputs again, and names their first dimension as the inputs' is."""
    for node in model.graph.node:
        for names_of_node in (node.input, node.output):
            for place, edge in enumerate(names_of_node):
                if edge.removeprefix(PREFIX) in names and edge.startswith(PREFIX):
                    names_of_node[place] = edge.removeprefix(PREFIX)
    for output, name in zip(model.graph.output, names, strict=True):
        output.name = name
        output.type.tensor_type.shape.dim[0].dim_param = "rows"
        del output.metadata_props[:]


def _forget_origin(model: onnx.ModelProto) -> None:
    """Takes out the exporter's notes (stack traces, paths) and doubled opsets: the same weights give the same bytes."""
    del model.graph.value_info[:]
    model.graph.name, model.graph.doc_string, model.doc_string = "everfit", "", ""
    del model.graph.metadata_props[:]
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in opsets.items())
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for constant in model.graph.initializer:
        constant.doc_string = ""
        del constant.metadata_props[:]
