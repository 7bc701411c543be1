"""The shipped network, really learned on a tiny made table, with the files that training leaves and hard rows."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars
import torch
from safetensors.torch import save_file

from components.records.models import FittedModel
from components.records.rows import Column, Part, Schema, Split, TableVersion
from components.training.encoding import Encoder
from components.training.models import TabularNet

ROWS = 3_000
STEPS = 50
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = (
    Column("temp", "number"),
    Column("origin", "category"),
    Column("wind", "number"),
    Column("gate", "category"),
)
CLASSES = ("early", "late", "on time")
# The output that is measured, not counted.
MEASURED = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}


def table(kind, seed=4):
    """Rows whose answer follows from temp, origin and chance; values are missing in every column."""
    random = np.random.default_rng(seed)
    temp, wind = random.normal(12, 9, ROWS), random.exponential(9, ROWS)
    origin = random.choice(["EWR", "JFK", "東京", "seldom"], ROWS, p=[0.5, 0.3, 0.199, 0.001])
    value = (temp - 12) / 9 + np.where(origin == "JFK", 1.0, -0.5) + random.logistic(0, 0.7, ROWS)
    missing = random.random((4, ROWS)) < 0.1
    answers = {
        "binary": (value > 0).astype(np.int64),
        "multiclass": np.array(CLASSES)[np.digitize(value, [-0.7, 0.7])],
        "regression": 1000 + 200 * value,
    }
    return polars.DataFrame(
        {
            "temp": polars.Series(np.where(missing[0], np.nan, temp)).fill_nan(None),
            "origin": [None if gone else str(name) for gone, name in zip(missing[1], origin, strict=True)],
            "wind": polars.Series(np.where(missing[2], np.nan, wind)).fill_nan(None),
            "gate": [None if gone else f"{gate}" for gone, gate in zip(missing[3], range(ROWS), strict=True)],
            "answer": answers[kind],
        }
    ).with_columns(polars.col("gate").str.slice(0, 1))


def hard_rows():
    """Raw columns as a list each: missing, unseen, extreme, of another script, and all of it together."""
    return {
        "temp": [None, 12.5, 1e300, -1e300, 0.0, float("nan")],
        "origin": ["JFK", "never seen", "東京", "", "Zürich 🛫", None],
        "wind": [3.0, None, 1e-300, 5.0, 2.0**70, None],
        "gate": ["1", "x" * 1_000, " ", "2", "", None],
    }


def learned(folder: Path, kind="binary", *, sureness=1.0, split=None, **init_args):
    """What training leaves in the folder, and the split it learned from.

    Args:
        folder: Where the files go.
        kind: Kind of the target.
        sureness: The weights of the last layer are multiplied with this: above 1 the network is too sure.
        split: The split to learn from, if there already is one.
        init_args: Arguments of the network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    split = split or _split(folder, kind)
    frame, schema = polars.read_parquet(split.train.path), split.schema
    encoder = Encoder.fit(frame, schema)
    inputs = {
        "numbers": 2, "cardinalities": encoder.cardinalities, "outputs": 3 if kind == "multiclass" else 1, "kind": kind,
        "learning_rate": 1e-2, "weight_decay": 0.0, "total_steps": STEPS,
    }  # fmt: skip
    init_args = {"hidden_units": 24, "dropout": 0.0, **init_args}
    torch.manual_seed(1)
    network = TabularNet(inputs, **init_args)
    batch = (*(torch.from_numpy(values) for values in encoder.encode(frame)), _target(frame, schema))
    network.prepare(batch[0], batch[2])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        network.training_step(batch, 0).backward()
        optimizer.step()
    with torch.no_grad():
        network.head *= sureness
    encoder.write(folder / "encoder.json")
    save_file(network.state_dict(), folder / "weights.safetensors")
    model = {"class_path": "components.training.models.TabularNet", "init_args": init_args, "inputs": inputs}
    (folder / "model.json").write_text(json.dumps(model))
    return FittedModel(folder, 1, 1, 0.5, 1.0, 1), split


def _split(folder, kind):
    schema = Schema(FEATURES, "answer", kind, "when", classes=CLASSES if kind == "multiclass" else ())
    parts = {}
    for seed, name in enumerate(["train", "validation", "test"]):
        table(kind, seed).write_parquet(folder / f"{name}.parquet")
        parts[name] = Part(folder / f"{name}.parquet", ROWS, str(seed) * 64, NOW, NOW)
    return Split(
        **parts, reference=parts["train"], schema=schema, table=TableVersion(folder, 0, ROWS, "d" * 64, NOW, NOW)
    )


def _target(frame, schema):
    if schema.target_kind == "multiclass":
        return torch.tensor([schema.classes.index(name) for name in frame["answer"]])
    return torch.from_numpy(frame["answer"].cast(polars.Float32).to_numpy(writable=True))


def answers_of_pytorch(fitted, split, frame):
    """The measured output as training's own encoder and network give it, without any temperature."""
    facts = json.loads((fitted.folder / "model.json").read_text())
    from safetensors.torch import load_file

    network = TabularNet(facts["inputs"], **facts["init_args"]).eval()
    network.load_state_dict(load_file(fitted.folder / "weights.safetensors"))
    encoded = Encoder.read(fitted.folder / "encoder.json").encode(frame)
    with torch.inference_mode():
        scores = network(*(torch.from_numpy(values) for values in encoded))
    kind = split.schema.target_kind
    if kind == "binary":
        return scores.sigmoid()[:, 0].numpy()
    return scores.softmax(dim=1).numpy() if kind == "multiclass" else scores[:, 0].numpy()


def without(split: Split, column: str) -> Split:
    """The split with validation rows that lack a column."""
    path = split.validation.path.with_name("less.parquet")
    polars.read_parquet(split.validation.path).drop(column).write_parquet(path)
    return replace(split, validation=replace(split.validation, path=path))
