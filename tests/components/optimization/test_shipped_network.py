"""The network that Everfit ships, exported: training's own encoding and forward pass against the graph."""

import json
from datetime import UTC, datetime

import numpy as np
import onnxruntime
import polars
import pytest
import torch
from safetensors.torch import save_file

from components.data.feeds import feeds
from components.optimization.export import export
from components.records.models import FittedModel
from components.records.rows import Column, Part, Schema, Split, TableVersion
from components.settings.optimization import OptimizationSettings
from components.training.encoding import Encoder
from components.training.models import TabularNet

ROWS = 2_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = (Column("temp", "number"), Column("origin", "category"), Column("wind", "number"))


def rows():
    """Rows with missing values in every column."""
    random = np.random.default_rng(4)
    wind = polars.Series(random.exponential(9, ROWS)).set(polars.Series(random.random(ROWS) < 0.2), None)
    origin = random.choice(["EWR", "JFK", "東京", "seldom", None], ROWS, p=[0.5, 0.3, 0.15, 0.001, 0.049])
    return polars.DataFrame({"temp": random.normal(12, 9, ROWS), "origin": origin.tolist(), "wind": wind})


@pytest.mark.parametrize(("kind", "outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_the_graph_is_what_training_trained(tmp_path, kind, outputs):
    """From raw rows the graph gives what training's own encoder and network give."""
    frame = rows()
    schema = Schema(FEATURES, "late", kind, "ts", classes=("x", "y", "z") if kind == "multiclass" else ())
    encoder = Encoder.fit(frame, schema)
    inputs = {
        "numbers": 2, "cardinalities": encoder.cardinalities, "outputs": outputs, "kind": kind,
        "learning_rate": 1e-3, "weight_decay": 0.0, "total_steps": 1,
    }  # fmt: skip
    numbers, categories = (torch.from_numpy(values) for values in encoder.encode(frame))
    torch.manual_seed(1)
    network = TabularNet(inputs, hidden_units=16).eval()
    network.prepare(numbers, torch.linspace(100, 300, ROWS))
    split = leave(tmp_path, frame, schema, encoder, network, inputs)

    variant = export(
        FittedModel(tmp_path, 1, 1, 0.5, 1.0, 1), split, OptimizationSettings(calibration="none"), tmp_path / "out"
    )

    with torch.inference_mode():
        scores = network(numbers, categories)
    wanted = {"binary": scores.sigmoid()[:, 0], "multiclass": scores.softmax(dim=1), "regression": scores[:, 0]}[kind]
    name = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}[kind]
    found = onnxruntime.InferenceSession(str(variant.path)).run([name], feeds(frame, schema))[0]
    # 1e-5 of the value: float32 holds seven digits, and some of them are lost in sums.
    assert found == pytest.approx(wanted.numpy(), rel=1e-5, abs=1e-5)
    assert variant.max_difference < 1e-5


def leave(folder, frame, schema, encoder, network, inputs):
    """The files as the training process leaves them, and the split."""
    encoder.write(folder / "encoder.json")
    save_file(network.state_dict(), folder / "weights.safetensors")
    model = {"class_path": "components.training.models.TabularNet", "init_args": {"hidden_units": 16}, "inputs": inputs}
    (folder / "model.json").write_text(json.dumps(model))
    frame.write_parquet(folder / "validation.parquet")
    part = Part(folder / "validation.parquet", ROWS, "c" * 64, NOW, NOW)
    return Split(part, part, part, part, schema, TableVersion(folder, 0, ROWS, "d" * 64, NOW, NOW))
