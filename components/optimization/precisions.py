"""A network's graph with smaller numbers in it: float16 weights, or eight-bit matrix products.

Only the network is made over, never the front: quantising tools do not know strings, and a scaled number needs all its
digits. Each function gives a new graph with the same inputs and outputs; none of them checks how good it still is.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from components.errors import ModelRefused
from components.optimization.encoders import Array

# Operators whose weights are large, with the place of the weight among their inputs.
WEIGHTS = {"MatMul": (0, 1), "Gemm": (0, 1), "Conv": (1,), "ConvTranspose": (1,), "Gather": (0,)}
PRODUCTS = ("MatMul", "Gemm", "Conv")
# A Relu or Clip behind a product costs nothing: the product's rounding to 0..255 cuts off just where they do.
ROUNDED = (*PRODUCTS, "Relu", "Clip")
HIGHEST_HALF = float(np.finfo(np.float16).max)
# Tells the quantiser not to ask for preparations: the exporter has folded what there was to fold.
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}
# Ranges from more rows than this move by less than one of 256 steps.
CALIBRATION_ROWS, BATCH_ROWS = 4_096, 512


def half(network: onnx.ModelProto) -> onnx.ModelProto:
    """Weights kept in float16 and widened as the file is loaded: half the size, the same speed, 11 bits of each weight.

    Raises:
        ModelRefused: If there is no weight that fits into float16.
    """
    model = _copy(network)
    wanted = {
        node.input[place]
        for node in model.graph.node
        for place in WEIGHTS.get(node.op_type, ())
        if place < len(node.input)
    }
    casts = []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if constant.name in wanted and values.dtype == np.float32 and np.abs(values).max(initial=0) < HIGHEST_HALF:
            name = f"{constant.name}/half"
            casts.append(helper.make_node("Cast", [name], [constant.name], name=f"{name}/Cast", to=TensorProto.FLOAT))
            constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
    if not casts:
        raise ModelRefused(_nothing("float32 weight of a matrix product", model))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def int8_dynamic(network: onnx.ModelProto) -> onnx.ModelProto:
    """Weights in eight bits; what is multiplied with them is measured and rounded anew in every call.

    Raises:
        ModelRefused: If there is no matrix product with weights.
    """
    model = _through(
        partial(quantize_dynamic, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8), network
    )
    if not any(node.op_type == "MatMulInteger" for node in model.graph.node):
        raise ModelRefused(_nothing("matrix product with weights", model))
    return model


def int8_static(network: onnx.ModelProto, numbers: Array, categories: Array) -> onnx.ModelProto:
    """Weights and what is multiplied with them in eight bits, with ranges taken from these rows.

    Each weight matrix gets one scale, or one for each of its columns, whichever answers these rows more as the network
    does. On flights they are equally fast, and move a probability by 0.00054 and 0.00052 in the mean; with 0..255 or
    -128..127 on the other side of the product there is no difference, with half the range it is twice that.

    Args:
        network: Graph from `numbers` and `categories` to the answers.
        numbers: Encoded numbers of ordinary rows, shape (rows, numbers).
        categories: Encoded categories of the same rows, shape (rows, categories).

    Raises:
        ModelRefused: If there is no matrix product with weights.
    """
    every = max(1, -(-len(numbers) // CALIBRATION_ROWS))
    rows = {"numbers": numbers[::every], "categories": categories[::every]}
    # onnxruntime refuses a stack of matrices with a scale a column.
    choices = (False,) if any(len(constant.dims) > 2 for constant in network.graph.initializer) else (False, True)
    tried = [_int8_static(network, rows, per_channel=per_channel) for per_channel in choices]
    if not any(node.op_type == "QuantizeLinear" for node in tried[0].graph.node):
        raise ModelRefused(_nothing("matrix product with weights", network))
    wanted = _answers(network, rows)
    losses = [float(np.abs(_answers(model, rows) - wanted).mean()) for model in tried]
    return tried[int(np.argmin(losses))]


def _int8_static(network: onnx.ModelProto, rows: dict[str, Array], *, per_channel: bool) -> onnx.ModelProto:
    quantise = partial(
        quantize_static,
        calibration_data_reader=_Rows(rows, {entry.name for entry in network.graph.input}),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(ROUNDED),
        per_channel=per_channel,
        # 0..255 times -127..127 is what VNNI instructions multiply; without them two products together overflow.
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=not cpu_can("avx512_vnni", "avx_vnni", "asimddp"),
        extra_options={"MatMulConstBOnly": True},
    )
    return _without_idle_rounding(_through(quantise, network))


def cpu_can(*flags: str) -> bool:
    """Whether this machine's CPU names one of these abilities; false where it cannot be asked."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(words & set(flags))


class _Rows(CalibrationDataReader):
    """Rows in batches, as the quantiser asks for them: those inputs alone that the graph has."""

    def __init__(self, rows: dict[str, Array], inputs: set[str]) -> None:
        count = len(rows["numbers"])
        self._batches: Iterator[dict[str, Array]] = iter(
            {name: values[start : start + BATCH_ROWS] for name, values in rows.items() if name in inputs}
            for start in range(0, count, BATCH_ROWS)
        )

    def get_next(self) -> dict[str, Array] | None:
        """The next batch, or None."""
        return next(self._batches, None)


def _through(quantise: "partial[None]", network: onnx.ModelProto) -> onnx.ModelProto:
    """What a quantiser that writes files makes of the graph."""
    prepared = _copy(network)
    helper.set_model_props(prepared, PREPARED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        quantise(model_input=prepared, model_output=str(path))
        return onnx.load(path)


def _without_idle_rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Takes rounding back that no matrix product profits from: behind the last one it would only cut off the extremes.

    On flights it moved answers by up to 0.12, without it by 0.005 at most.
    """
    makers = {node.output[0]: node for node in model.graph.node}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    idle = {}
    for node in model.graph.node:
        rounded = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        read_by = {reader.op_type for reader in readers.get(node.output[0], [])}
        if rounded is not None and rounded.op_type == "QuantizeLinear" and not read_by & set(PRODUCTS):
            idle[node.output[0]] = rounded.input[0]
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = idle.get(name, name)
    return _without_unread(model)


def _without_unread(model: onnx.ModelProto) -> onnx.ModelProto:
    """Takes out nodes and constants that lead to no output."""
    wanted = {output.name for output in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    constants = [constant for constant in model.graph.initializer if constant.name in wanted]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(constants)
    return model


def _answers(network: onnx.ModelProto, rows: dict[str, Array]) -> Array:
    """The last output: a probability, or the value of a regression."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = {entry.name for entry in session.get_inputs()}
    return session.run(None, {name: values for name, values in rows.items() if name in inputs})[-1]


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _nothing(what: str, model: onnx.ModelProto) -> str:
    found = sorted({node.op_type for node in model.graph.node})
    return f"the network must have a {what} to be stored smaller, but is made of {found}; leave this variant out"
