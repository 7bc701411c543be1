"""Every variant behind one call: raw columns in, answers out, on one thread, whatever runs it.

Measuring opens a variant in a process that holds nothing else, so that its memory is the variant's own: neither torch
nor onnx is imported here, and OpenVINO only for the variants that it runs.
"""

import sys
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from components.errors import ModelRefused
from components.records.models import Variant

Array = npt.NDArray[Any]
Columns = dict[str, Array]

# Beside the whole graph of a variant that OpenVINO runs lie its two parts: OpenVINO knows no strings.
FRONT_FILE, NETWORK_FILE = "front.onnx", "network.onnx"


class Engine(Protocol):
    """A variant that is loaded and ready."""

    def run(self, columns: Columns) -> Columns:
        """The outputs by name; each has the rows as its first dimension.

        Args:
            columns: Raw feature columns as `components.data.feeds` makes them, each of shape (rows,).
        """
        ...


def open_engine(variant: Variant) -> Engine:
    """The variant, loaded on one thread by the engine that it was built for.

    Raises:
        ModelRefused: If the engine cannot load it, or is not installed.
    """
    if variant.engine == "openvino":
        return OpenVinoEngine(variant.path.parent, bf16=variant.name.endswith("bf16"))
    return OnnxEngine(variant.path)


class OnnxEngine:
    """A whole graph in onnxruntime, as it is served."""

    def __init__(self, graph: Path) -> None:
        self._session = _session(graph)
        self.names = [output.name for output in self._session.get_outputs()]

    def run(self, columns: Columns) -> Columns:
        """The outputs by name."""
        return dict(zip(self.names, self._session.run(self.names, columns), strict=True))


class OpenVinoEngine:
    """The network in OpenVINO, behind the front graph in onnxruntime, which looks up the strings."""

    def __init__(self, folder: Path, *, bf16: bool) -> None:
        self._front = _session(folder / FRONT_FILE)
        network = _compiled(folder / NETWORK_FILE, bf16=bf16)
        # OpenVINO leaves an input out that the network does not use, such as the categories of a table without any.
        self._wanted = [(port, port.get_any_name()) for port in network.inputs]
        self._names = [(port, port.get_any_name()) for port in network.outputs]
        self._request = network.create_infer_request()

    def run(self, columns: Columns) -> Columns:
        """The outputs by name."""
        numbers, categories = self._front.run(None, columns)
        # onnxruntime's int64 is C's long long, which OpenVINO's Python does not know, though it is the same.
        encoded = {"numbers": numbers, "categories": categories.view(np.int64)}
        found = self._request.infer({port: encoded[name] for port, name in self._wanted}, share_inputs=True)
        return {name: np.array(found[port]) for port, name in self._names}


def _session(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime's errors share no base but Exception
        raise ModelRefused(
            f"{graph} must be a graph that onnxruntime {onnxruntime.__version__} can run, but loading failed: {err}; "
            "look for an operator it does not know"
        ) from err


def _compiled(network: Path, *, bf16: bool) -> Any:
    """The network compiled for this CPU; OpenVINO would take bf16 by itself where it can, so float32 is asked for."""
    # `import openvino` tells Google Analytics that it happened, unless this package is missing; ours tells nobody.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        from openvino import Core  # noqa: PLC0415 (an extra, and 100 MB of memory that no other variant should count)
    except ImportError as err:
        raise ModelRefused(
            f"{network} is to be run by OpenVINO, which is not installed; pip install 'everfit[openvino]', or take "
            "openvino out of optimization.variants"
        ) from err
    wishes = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    try:
        return Core().compile_model(str(network), "CPU", wishes)
    except RuntimeError as err:
        raise ModelRefused(f"{network} cannot be compiled by OpenVINO: {err}; leave that variant out") from err
