"""The same rows get the same numbers, whoever is asked: PyTorch, the bare graph, or the model that MLflow loads."""

import mlflow
import numpy as np
import onnx
import pandas as pd
import polars
import pytest

from components.data.feeds import feeds
from components.optimization.engines import open_engine
from components.optimization.variants import build
from components.registry.signatures import signature
from components.settings.optimization import OptimizationSettings
from tests.components.optimization.shipped import MEASURED, answers_of_pytorch, hard_rows, learned

# Not calibrated, so that PyTorch's side is the network and nothing else.
SETTINGS = OptimizationSettings(variants=("fp32", "int8_static"), calibration="none")


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A learned model of each kind, with the variants that are asked, by name."""
    folder = tmp_path_factory.mktemp(request.param)
    fitted, split = learned(folder, request.param, layers=3)
    built, left_out = build(fitted, {}, split, SETTINGS, folder / "out")
    assert not left_out
    return fitted, split, {variant.name: variant for variant in built}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    """A tracking store of our own in one file, for as long as these tests run."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("same-numbers", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("same-numbers")
    yield folder
    mlflow.set_tracking_uri(before)


def hard_frame():
    """Ordinary rows of the table do not show it; these are missing, unseen, extreme and of other scripts."""
    return polars.DataFrame(hard_rows(), strict=False)


def test_the_graph_answers_as_pytorch_does(made):
    """From training's own encoder and forward pass to the graph, fp32 moves no answer by more than 1e-5."""
    fitted, split, variants = made
    rows = polars.read_parquet(split.test.path).select(hard_rows().keys())

    for frame in (hard_frame(), rows):
        found = open_engine(variants["fp32"]).run(feeds(frame, split.schema))[MEASURED[split.schema.target_kind]]

        # Of the value where that is large: float32 holds seven digits, and some of them are lost in sums.
        assert found == pytest.approx(answers_of_pytorch(fitted, split, frame), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["fp32", "int8_static"])
def test_mlflow_answers_as_the_graph_does(made, store, name):
    """A logged variant, loaded as anyone loads a model from MLflow, gives the graph's own numbers on hard rows."""
    _, split, variants = made
    kind, columns = split.schema.target_kind, feeds(hard_frame(), split.schema)
    wanted = open_engine(variants[name]).run(columns)
    with mlflow.start_run():
        logged = mlflow.onnx.log_model(
            onnx.load(variants[name].path),
            name="model",
            signature=signature(split.schema) if kind != "multiclass" else None,
            pip_requirements=["onnxruntime"],
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,
        )

    model = mlflow.pyfunc.load_model(logged.model_uri)

    # A frame cannot hold a matrix, which is what the probabilities of several classes are.
    answers = model.predict(columns if kind == "multiclass" else pd.DataFrame(columns).astype(dtype_of(split.schema)))
    assert set(wanted) == set(answers)
    assert all(np.isfinite(values).all() for values in wanted.values())
    for output, values in wanted.items():
        np.testing.assert_array_equal(np.asarray(answers[output]).reshape(values.shape), values)


def dtype_of(schema):
    """Texts as objects: those that pandas 3 makes by itself are refused by onnxruntime."""
    return {column.name: object if column.kind == "category" else np.float64 for column in schema.features}
