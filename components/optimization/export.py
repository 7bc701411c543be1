"""From trained network to one ONNX file, raw row to prediction, proven to give the network's own answers.

No quantising and no pruning here: this is the plain float32 variant that every other one would be compared with. How
good the predictions are is not asked; evaluation scores the exported file, never the network.
"""

import hashlib
import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import onnx
import torch

from components.errors import ModelRefused, SchemaMismatch
from components.optimization.encoders import Encoder, read_encoder
from components.optimization.graphs import FrontGraph, join
from components.optimization.networks import OUTPUTS, Answering, load_network
from components.optimization.parity import check_parity
from components.records.models import FittedModel, Variant
from components.records.rows import Schema, Split
from components.settings.optimization import OptimizationSettings

log = logging.getLogger(__name__)

# Traced with more than one row: torch.export would take a 1 for a constant.
TRACED_ROWS = 2
BYTES_PER_MB = 1e6


def export(
    fitted: FittedModel, split: Split, settings: OptimizationSettings, folder: Path, *, project: str = ""
) -> Variant:
    """The float32 variant: `model.onnx` in the folder, without external data.

    Its inputs are the raw feature columns in the schema's order, each of shape [rows]: numbers as double with NaN for
    missing, categories as string with "" for missing. Its outputs are `prediction` (int64 class, or float value) of
    shape [rows], and `probability` [rows] for a binary or `probabilities` [rows, classes] for a multiclass target.

    Args:
        fitted: What training left on disk.
        split: Its validation rows prove the parity; its schema orders the inputs.
        settings: The budget: largest difference to the network, and largest file.
        folder: Where the file goes; made if it is not there.
        project: Name of the project, kept in the file's metadata.

    Raises:
        ModelRefused: If the files do not fit together, the graph differs from the network, or the budget is exceeded.
        SchemaMismatch: If a feature has the name of an output.
    """
    started = time.monotonic()
    schema = split.schema
    _check_names(schema)
    encoder = read_encoder(fitted.folder / "encoder.json", schema)
    network = load_network(fitted.folder, schema.target_kind)
    model = _whole_graph(network, encoder, schema, project)
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    content = model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    _check_size(path, len(content), settings)
    difference = check_parity(path, network, encoder, split.validation.path, schema, settings)
    log.info(
        "variant exported path=%s mb=%.3f max_difference=%.2g seconds=%.1f",
        *(path, len(content) / BYTES_PER_MB, difference, time.monotonic() - started),
    )
    return Variant(
        "fp32", path, hashlib.sha256(content).hexdigest(), schema, difference, round(len(content) / BYTES_PER_MB, 6)
    )


def _whole_graph(network: Answering, encoder: Encoder, schema: Schema, project: str) -> onnx.ModelProto:
    exported = _export_network(network, encoder)
    opset = next(entry.version for entry in exported.opset_import if entry.domain in ("", "ai.onnx"))
    front = FrontGraph(encoder, [column.name for column in schema.features])
    about = {
        "everfit_version": _everfit_version(),
        "project": project,
        "target_kind": schema.target_kind,
        "outputs": json.dumps(OUTPUTS[schema.target_kind]),
        "schema": schema.to_json(),
    }
    return join(front.model(opset=opset, ir_version=exported.ir_version), exported, about)


def _export_network(network: Answering, encoder: Encoder) -> onnx.ModelProto:
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
    return program.model_proto


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


def _check_size(path: Path, size: int, settings: OptimizationSettings) -> None:
    if size > settings.budget.max_mb * BYTES_PER_MB:
        raise ModelRefused(
            f"{path} must be at most {settings.budget.max_mb:g} MB, but it is {size / BYTES_PER_MB:.1f} MB; "
            "train a smaller network, or raise optimization.budget.max_mb"
        )


def _everfit_version() -> str:
    try:
        return metadata.version("everfit")
    except metadata.PackageNotFoundError:
        return "unknown"
