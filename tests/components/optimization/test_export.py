"""The exported graph: the network's answers from raw rows, in one file, or a refusal."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import numpy as np
import onnx
import onnxruntime
import polars
import pytest
import torch
from safetensors.torch import save_file

from components.data.feeds import feeds
from components.errors import ModelRefused, SchemaMismatch
from components.optimization.encoders import read_encoder
from components.optimization.engines import OnnxEngine
from components.optimization.export import export
from components.optimization.networks import load_network
from components.optimization.parity import Witness, check_parity
from components.records.models import FittedModel
from components.records.rows import Column, Part, Schema, Split, TableVersion
from components.settings.optimization import OptimizationSettings

ROWS = 300
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Not calibrated: the networks here have random weights, and the tests compare with their plain answers.
SETTINGS = OptimizationSettings(calibration="none")
BUDGET = SETTINGS.budget.max_difference
KINDS = {"binary": 1, "multiclass": 3, "regression": 1}
ENCODER = {
    "numbers": {
        "temp": {"mean": 10.0, "std": 5.0, "clip": 8.0},
        "wind": {"mean": -3.0, "std": 0.001, "clip": 8.0},
    },
    "categories": {"origin": ["EWR", "JFK", "Zürich"], "network/linear.weight": ["a", "b"]},
}

# A network of the user's own, in a file beside her project.
NETWORK = dedent(
    """
    import torch

    class Net(torch.nn.Module):
        def __init__(self, inputs, outputs=1, wrong_when_exported=False):
            super().__init__()
            self.tables = torch.nn.ModuleList(torch.nn.Embedding(6, 3) for _ in range(inputs["categories"]))
            self.linear = torch.nn.Linear(2 * inputs["numbers"] + 3 * inputs["categories"], outputs)
            self.wrong_when_exported = wrong_when_exported

        def forward(self, numbers, categories):
            missing = torch.isnan(numbers)
            parts = [torch.where(missing, 0.0, numbers), missing.float()]
            parts += [table(categories[:, place]) for place, table in enumerate(self.tables)]
            scores = self.linear(torch.cat(parts, dim=1))
            if self.wrong_when_exported and torch.compiler.is_exporting():
                scores = scores * 1.01
            return scores
    """
)


@pytest.fixture(autouse=True)
def _user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "users_net.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "users_net", raising=False)


def made(folder: Path, kind="binary", encoder=None, **init_args):
    """What training leaves on disk, and the split it came from, for a network with random weights."""
    facts = encoder or ENCODER
    from users_net import Net

    inputs = {"numbers": len(facts["numbers"]), "categories": len(facts["categories"])}
    init_args = {"outputs": KINDS[kind], **init_args}
    torch.manual_seed(3)
    fit = folder / "fit"
    fit.mkdir(exist_ok=True)
    save_file(Net(inputs, **init_args).state_dict(), fit / "weights.safetensors")
    (fit / "encoder.json").write_text(json.dumps(facts))
    (fit / "model.json").write_text(
        json.dumps({"class_path": "users_net.Net", "init_args": init_args, "inputs": inputs})
    )
    schema = schema_of(facts, kind)
    rows(schema).write_parquet(folder / "validation.parquet")
    part = Part(folder / "validation.parquet", ROWS, "c" * 64, NOW, NOW)
    table = TableVersion(folder, 0, ROWS, "d" * 64, NOW, NOW)
    return FittedModel(fit, 1, 1, 0.5, 1.0, 100), Split(part, part, part, part, schema, table)


def schema_of(facts, kind):
    """Categories and numbers in turn, so that the order of the inputs is not the order of the kinds."""
    numbers = [Column(name, "number") for name in facts["numbers"]]
    categories = [Column(name, "category") for name in facts["categories"]]
    classes = ("x", "y", "z") if kind == "multiclass" else ()
    return Schema((*categories[:1], *numbers, *categories[1:]), "late", kind, "ts", classes=classes)


def rows(schema):
    """Rows with missing, unseen and extreme values among ordinary ones."""
    random = np.random.default_rng(1)
    columns = {}
    for column in schema.features:
        if column.kind == "number":
            values = random.normal(5, 20, ROWS)
            values[::7], values[::31] = np.nan, 1e200
            columns[column.name] = polars.Series(values).fill_nan(None)
        else:
            columns[column.name] = random.choice(["EWR", "JFK", "Zürich", "a", "東京", None], ROWS).tolist()
    return polars.DataFrame(columns)


def run(path, columns):
    """The graph's outputs by name."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, columns), strict=True))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory):
    """One exported binary model, shared by the tests that only look at it."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "users_net.py").write_text(NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        fitted, split = made(folder)
        yield export(fitted, split, SETTINGS, folder / "out", project="flights"), fitted, split


def test_the_graph_takes_raw_columns_in_the_schemas_order(exported):
    """Inputs are the schema's columns, double or string, outputs a class and its probability, all one row a row."""
    variant, _, _ = exported

    session = onnxruntime.InferenceSession(str(variant.path))

    assert [(entry.name, entry.type, entry.shape) for entry in session.get_inputs()] == [
        ("origin", "tensor(string)", ["rows"]),
        ("temp", "tensor(double)", ["rows"]),
        ("wind", "tensor(double)", ["rows"]),
        ("network/linear.weight", "tensor(string)", ["rows"]),
    ]
    assert [(entry.name, entry.type, entry.shape) for entry in session.get_outputs()] == [
        ("prediction", "tensor(int64)", ["rows"]),
        ("probability", "tensor(float)", ["rows"]),
    ]


def test_the_bare_file_explains_itself(exported):
    """Version, project, kind of target and schema are in the file's metadata, and no path of this machine is."""
    variant, _, split = exported

    model = onnx.load(variant.path)

    about = {entry.key: entry.value for entry in model.metadata_props}
    assert Schema.from_json(about["schema"]) == split.schema
    assert (about["project"], about["target_kind"]) == ("flights", "binary")
    assert "everfit_version" in about
    assert b".py" not in variant.path.read_bytes()
    assert [path.name for path in variant.path.parent.iterdir()] == ["model.onnx"]


def test_a_small_network_needs_few_operators(exported):
    """The way from raw columns to the network is ten operators and one look-up a category."""
    variant, _, _ = exported

    model = onnx.load(variant.path)

    front = [node.op_type for node in model.graph.node if not node.name.startswith("network/")]
    assert sorted(set(front) - {"LabelEncoder"}) == [
        "Cast",
        "Concat",
        "Div",
        "Max",
        "Min",
        "Reshape",
        "Sub",
        "Transpose",
    ]
    assert len(front) == 11 + len(ENCODER["categories"])


def test_the_same_weights_give_the_same_file(exported, tmp_path):
    """Exporting again gives the same bytes, so a hash names a model."""
    variant, fitted, split = exported

    again = export(fitted, split, SETTINGS, tmp_path, project="flights")

    assert again.sha256 == variant.sha256


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_target_has_its_outputs(tmp_path, kind):
    """Classes come as int64 with probabilities, a regression as one float; and one row works as well as many."""
    fitted, split = made(tmp_path, kind)

    variant = export(fitted, split, SETTINGS, tmp_path / "out")

    columns = feeds(polars.read_parquet(split.validation.path), split.schema)
    many, one = run(variant.path, columns), run(variant.path, {name: values[:1] for name, values in columns.items()})
    shapes = {"prediction": (ROWS,)}
    shapes |= {"binary": {"probability": (ROWS,)}, "multiclass": {"probabilities": (ROWS, 3)}, "regression": {}}[kind]
    assert {name: values.shape for name, values in many.items()} == shapes
    assert many["prediction"].dtype == (np.float32 if kind == "regression" else np.int64)
    # 1e-6: float32 sums in another order for one row than for many.
    assert all(values[0] == pytest.approx(many[name][0], abs=1e-6) for name, values in one.items())
    assert 0 <= variant.max_difference <= 1e-5


def test_the_answers_are_the_networks_answers(exported):
    """Scaled by hand and put through the network in PyTorch, a row gets the probability that the graph gives."""
    variant, fitted, split = exported
    network = load_network(fitted.folder, "binary")
    row = {"origin": ["JFK"], "temp": [20.0], "wind": [float("nan")], "network/linear.weight": ["never seen"]}

    found = run(variant.path, feeds(row, split.schema))

    # temp: (20 - 10) / 5; wind missing; JFK is the second known value, so 3; never seen is 0.
    with torch.inference_mode():
        _, wanted = network(torch.tensor([[2.0, float("nan")]]), torch.tensor([[3, 0]]))
    assert found["probability"][0] == pytest.approx(float(wanted[0]), abs=1e-6)
    assert found["prediction"][0] == int(wanted[0] >= 0.5)


@pytest.mark.parametrize("absent", ["numbers", "categories"])
def test_a_table_of_one_kind_of_column_is_exported_too(tmp_path, absent):
    """Without any category, or any number, the graph hands the network an empty matrix of the right length."""
    fitted, split = made(tmp_path, encoder={**ENCODER, absent: {}})

    variant = export(fitted, split, SETTINGS, tmp_path / "out")

    columns = feeds(polars.read_parquet(split.validation.path), split.schema)
    assert run(variant.path, columns)["probability"].shape == (ROWS,)


def test_a_network_that_exports_differently_is_refused(tmp_path):
    """If the graph does not answer as the network does there is no variant, and the message has both numbers."""
    fitted, split = made(tmp_path, wrong_when_exported=True)

    with pytest.raises(ModelRefused, match=r"to within 0\.0001, but on 320 rows the largest difference is 0\.0"):
        export(fitted, split, SETTINGS, tmp_path / "out")


def test_another_encoding_is_noticed(exported, tmp_path):
    """Parity covers the encoding: a mean that differs by 1 % between graph and encoder is refused."""
    variant, fitted, split = exported
    encoder = read_encoder(fitted.folder / "encoder.json", split.schema)
    shifted = replace(encoder, numbers=(replace(encoder.numbers[0], mean=10.1), *encoder.numbers[1:]))

    witness = Witness.of(load_network(fitted.folder, "binary"), shifted, split.validation.path, split.schema)

    with pytest.raises(ModelRefused, match="must answer as the network does"):
        check_parity(variant.path, OnnxEngine(variant.path), witness, BUDGET)


def test_a_network_without_a_finite_answer_is_refused(exported):
    """A network that answers NaN to a row is never the same as anything."""
    variant, fitted, split = exported
    network = load_network(fitted.folder, "binary")
    encoder = read_encoder(fitted.folder / "encoder.json", split.schema)
    torch.nn.init.constant_(network.network.linear.bias, float("nan"))
    witness = Witness.of(network, encoder, split.validation.path, split.schema)

    with pytest.raises(ModelRefused, match=r"largest difference is inf \(inf: an answer is not finite"):
        check_parity(variant.path, OnnxEngine(variant.path), witness, BUDGET)


def test_weights_of_another_class_are_refused(tmp_path):
    """Weights that do not fit the class named in model.json are refused with both in the message."""
    fitted, split = made(tmp_path)
    facts = json.loads((fitted.folder / "model.json").read_text())
    (fitted.folder / "model.json").write_text(json.dumps({**facts, "init_args": {"outputs": 5}}))

    with pytest.raises(ModelRefused, match=r"must hold a model\.json and the weights.*size mismatch"):
        export(fitted, split, SETTINGS, tmp_path / "out")


def test_an_encoder_of_another_table_is_refused(tmp_path):
    """The encoder must know exactly the schema's features."""
    fitted, split = made(tmp_path)
    (fitted.folder / "encoder.json").write_text(json.dumps({**ENCODER, "numbers": {"height": {}}}))
    broken = fitted.folder / "encoder.json"

    with pytest.raises(ModelRefused, match=r"must hold `numbers` and `categories`"):
        export(fitted, split, SETTINGS, tmp_path / "out")
    broken.write_text(json.dumps({**ENCODER, "numbers": {"height": {"mean": 0, "std": 1, "clip": 8}}}))
    with pytest.raises(ModelRefused, match=r"must encode the numbers \['temp', 'wind'\].* encodes \['height'\]"):
        export(fitted, split, SETTINGS, tmp_path / "out")


def test_a_feature_called_as_an_output_is_refused(tmp_path):
    """A column named `probability` would collide with the answer; the message says what to do."""
    fitted, split = made(tmp_path)
    schema = replace(split.schema, features=(*split.schema.features, Column("probability", "number")))

    with pytest.raises(SchemaMismatch, match=r"\['probability'\] is; rename the column in the source"):
        export(fitted, replace(split, schema=schema), SETTINGS, tmp_path / "out")
