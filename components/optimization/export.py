"""From trained network to one ONNX file, raw row to prediction, proven to give the network's own answers.

No quantising and no pruning here: this is the plain float32 variant that every other one is made from and compared
with. How good the predictions are is not asked; evaluation scores the exported file, never the network.
"""

import hashlib
import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import onnx
import torch

from components.errors import SchemaMismatch
from components.optimization.calibration import calibrated
from components.optimization.encoders import Encoder, read_encoder
from components.optimization.engines import OnnxEngine
from components.optimization.graphs import FrontGraph, join
from components.optimization.networks import OUTPUTS, Answering, load_network
from components.optimization.parity import Witness, check_parity
from components.records.models import FittedModel, Variant
from components.records.rows import Schema, Split
from components.settings.optimization import OptimizationSettings

log = logging.getLogger(__name__)

# Traced with more than one row: torch.export would take a 1 for a constant.
TRACED_ROWS = 2
BYTES_PER_MB = 1e6
GRAPH = "model.onnx"


@dataclass(frozen=True, slots=True)
class Workpiece:
    """A trained network in the two forms that variants are made of.

    Attributes:
        schema: What a row looks like.
        encoder: How raw columns become the network's inputs.
        witness: What the trained network, calibrated, answers in PyTorch.
        network: The same network as a graph, from `numbers` and `categories` to the answers.
        about: What each file says about itself.
    """

    schema: Schema
    encoder: Encoder
    witness: Witness
    network: onnx.ModelProto
    about: dict[str, str]

    def front(self) -> onnx.ModelProto:
        """The graph from raw columns to the network's inputs."""
        opset = next(entry.version for entry in self.network.opset_import if entry.domain in ("", "ai.onnx"))
        order = [column.name for column in self.schema.features]
        return FrontGraph(self.encoder, order).model(opset=opset, ir_version=self.network.ir_version)

    def whole(self, name: str, network: onnx.ModelProto | None = None) -> onnx.ModelProto:
        """The one graph from raw row to prediction, with the network as it is or made over."""
        model = join(self.front(), network or self.network, {**self.about, "variant": name})
        onnx.checker.check_model(model, full_check=True)
        return model


def export(
    fitted: FittedModel, split: Split, settings: OptimizationSettings, folder: Path, *, project: str = ""
) -> Variant:
    """The float32 variant: `model.onnx` in the folder, without external data.

    Its inputs are the raw feature columns in the schema's order, each of shape [rows]: numbers as double with NaN for
    missing, categories as string with "" for missing. Its outputs are `prediction` (int64 class, or float value) of
    shape [rows], and `probability` [rows] for a binary or `probabilities` [rows, classes] for a multiclass target.

    Args:
        fitted: What training left on disk.
        split: Its validation rows calibrate the network and prove the parity; its schema orders the inputs.
        settings: The largest difference to the network, and whether it is calibrated.
        folder: Where the file goes; made if it is not there.
        project: Name of the project, kept in the file's metadata.

    Raises:
        ModelRefused: If the files do not fit together, or the graph differs from the network.
        SchemaMismatch: If a feature has the name of an output.
    """
    return plain(workpiece(fitted, split, settings, project=project), settings, folder)


def workpiece(fitted: FittedModel, split: Split, settings: OptimizationSettings, *, project: str = "") -> Workpiece:
    """The trained network, calibrated, in PyTorch's answers and as a graph; arguments and errors as for `export`."""
    schema, validation = split.schema, split.validation.path
    _check_names(schema)
    encoder = read_encoder(fitted.folder / "encoder.json", schema)
    network = load_network(fitted.folder, schema.target_kind)
    if settings.calibration == "temperature":
        network = calibrated(network, encoder, validation, schema)
    about = {
        "everfit_version": _everfit_version(),
        "project": project,
        "target_kind": schema.target_kind,
        "outputs": json.dumps(OUTPUTS[schema.target_kind]),
        "schema": schema.to_json(),
        "temperature": f"{network.temperature:g}",
    }
    witness = Witness.of(network, encoder, validation, schema)
    return Workpiece(schema, encoder, witness, _exported(network.for_inference(), encoder), about)


def plain(piece: Workpiece, settings: OptimizationSettings, folder: Path, *, name: str = "fp32") -> Variant:
    """The workpiece in float32 as a file, proven to answer as its network does; errors as for `export`."""
    started = time.monotonic()
    path, sha256, megabytes = written(piece.whole(name), folder)
    difference = check_parity(path, OnnxEngine(path), piece.witness, settings.budget.max_difference)
    log.info(
        "variant exported name=%s path=%s mb=%.3f max_difference=%.2g seconds=%.1f",
        *(name, path, megabytes, difference, time.monotonic() - started),
    )
    return Variant(name, path, sha256, piece.schema, difference, megabytes)


def written(model: onnx.ModelProto, folder: Path) -> tuple[Path, str, float]:
    """The graph as `model.onnx` in the folder: its path, its hash, and its size in MB (10^6 bytes)."""
    folder.mkdir(parents=True, exist_ok=True)
    content = model.SerializeToString(deterministic=True)
    (folder / GRAPH).write_bytes(content)
    return folder / GRAPH, hashlib.sha256(content).hexdigest(), round(len(content) / BYTES_PER_MB, 6)


def _exported(network: Answering, encoder: Encoder) -> onnx.ModelProto:
    numbers = torch.zeros(TRACED_ROWS, len(encoder.numbers))
    categories = torch.zeros(TRACED_ROWS, len(encoder.categories), dtype=torch.int64)
    rows = torch.export.Dim("rows", min=1)
    with _without_chatter():
        program = torch.onnx.export(
            network,
            (numbers, categories),
            dynamo=True,
            dynamic_shapes=({0: rows}, {0: rows}),
            input_names=["numbers", "categories"],
            output_names=list(OUTPUTS[network.kind]),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # The exporter transposes weights and leaves their old shapes written down, which quantising would stumble over.
    del model.graph.value_info[:]
    return model


@contextmanager
def _without_chatter() -> Iterator[None]:
    """The exporter warns of torchvision, which tables do not need, and of its own use of old names; hide that."""
    chatty = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = chatty.level
    chatty.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        chatty.setLevel(level)


def _check_names(schema: Schema) -> None:
    taken = {column.name for column in schema.features} & set(OUTPUTS[schema.target_kind])
    if taken:
        raise SchemaMismatch(
            f"a feature must not be called as an output of the model is, but {sorted(taken)} is; "
            "rename the column in the source, or put it under data.drop"
        )


def _everfit_version() -> str:
    try:
        return metadata.version("everfit")
    except metadata.PackageNotFoundError:
        return "unknown"
