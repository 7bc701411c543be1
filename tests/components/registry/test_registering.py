"""A training becomes one MLflow run and one version that tells its story."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import ModelRefused
from components.records.models import ModelVersion
from components.records.scores import Scorecard
from components.registry import packing, versions
from components.registry.signatures import signature
from tests.components.registry.conftest import Made, Make, graph

Registered = tuple[Made, ModelVersion]
ROWS = {"temp": [12.5, float("nan"), -3.0, 1e300], "origin": ["EWR", "JFK", "", "never seen"]}


def frame(origin: list | None = None) -> pd.DataFrame:
    """Four rows: a missing number, a missing text, an extreme number, an unseen category."""
    return pd.DataFrame({"temp": ROWS["temp"], "origin": pd.Series(origin or ROWS["origin"], dtype=object)})


def test_mlflow_answers_as_onnxruntime_does(server, make: Make, verdict):
    """Whoever loads the champion with mlflow.pyfunc gets the graph's own answers, also for missing values."""
    made = make("pyfunc")
    versions.promote(made.register(), verdict, at=made.split.table.last)
    session = onnxruntime.InferenceSession(made.variant.path, providers=["CPUExecutionProvider"])
    wanted = session.run(
        ["probability"], {"temp": np.array(ROWS["temp"]), "origin": np.array(ROWS["origin"], dtype=object)}
    )[0]

    answer = mlflow.pyfunc.load_model("models:/pyfunc@champion").predict(frame())

    assert np.isfinite(wanted).all()
    np.testing.assert_array_equal(answer["probability"].to_numpy(), wanted)
    assert answer["prediction"].tolist() == (wanted > 0.5).astype(int).tolist()


def test_mlflow_checks_rows_against_the_signature(server, registered: Registered):
    """A column of the wrong kind, or a required one that is missing, is refused by MLflow itself."""
    model = mlflow.pyfunc.load_model(f"models:/{registered[1].name}/1")

    with pytest.raises(MlflowException, match="temp"):
        model.predict(frame().assign(temp="warm"))
    with pytest.raises(MlflowException, match="missing inputs"):
        model.predict(frame().drop(columns="origin"))


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_text_must_be_sent_empty(server, registered: Registered, missing):
    """MLflow and onnxruntime let None and NaN through as the words "None" and "nan": unseen, which is not missing."""
    model = mlflow.pyfunc.load_model(f"models:/{registered[1].name}/1")

    answer = model.predict(frame(["EWR", missing, "", "never seen"]).assign(temp=0.0))["probability"]

    assert answer[1] == answer[3]
    assert answer[1] != answer[2]


def test_pandas_own_texts_must_be_sent_as_objects(server, registered: Registered):
    """The text columns that pandas 3 makes by itself are refused by onnxruntime; `astype(object)` helps."""
    model = mlflow.pyfunc.load_model(f"models:/{registered[1].name}/1")
    rows = pd.DataFrame({"temp": [1.0, 2.0], "origin": ["EWR", "JFK"]})

    with pytest.raises(RuntimeError, match="single numpy array for input 'origin'"):
        model.predict(rows)

    assert len(model.predict(rows.astype({"origin": object}))) == 2


def test_a_version_tells_where_it_comes_from(server, registered: Registered):
    """Tags and description of a version say which rows, which code, why, and how good."""
    made, version = registered

    found = MlflowClient().get_model_version(version.name, str(version.version))

    assert found.tags["sha256"] == made.variant.sha256 == version.sha256
    assert found.tags["table_version"] == "0"
    assert found.tags["table_sha256"] == made.split.table.sha256
    assert (found.tags["reason"], found.tags["decision_id"]) == ("drift in 5 of 12 columns", "d-1")
    assert found.tags["until"] == "2013-04-01T00:00:00+00:00"
    assert "**Why:** drift in 5 of 12 columns (decision `d-1`)" in found.description
    assert "| train | 20 | 2013-01-01 | 2013-01-01 |" in found.description
    assert "| roc_auc | 0.7123 |" in found.description


def test_a_run_holds_settings_scores_epochs_and_files(server, registered: Registered):
    """One run has the settings as parameters, the scores, a curve for each loss, the plots and the project file."""
    made, version = registered
    client = MlflowClient()

    run = client.get_run(version.run_id)

    assert run.info.run_name == "retrain-2013-04-01"
    assert run.info.status == "FINISHED"
    assert run.data.params["training.learning_rate"] == "0.001"
    assert run.data.params["data.target.column"] == "late"
    assert run.data.metrics["roc_auc"] == pytest.approx(0.71234)
    assert run.data.tags["mlflow.source.git.commit"] == made.lineage.commit
    assert run.data.tags["mlflow.note.content"].startswith("**Why:**")
    losses = client.get_metric_history(version.run_id, "validation_loss")
    assert [(item.step, item.value) for item in losses] == [(1, 0.8), (2, 0.4), (3, pytest.approx(0.2667, abs=1e-3))]
    files = {item.path for item in client.list_artifacts(version.run_id)}
    assert files >= {"plots", "read-only.yaml", "scorecard.json", "history.json"}
    assert files >= {"scorecard.html", "variants.md", "variants.png"}
    assert run.data.metrics["variant.fp32.rows_per_second"] == 100_000
    assert run.data.metrics["memory_ratio"] == 8.5
    assert [item.path for item in client.list_artifacts(version.run_id, "plots")] == ["plots/roc.png"]


def test_the_rows_are_traced_to_the_version_of_the_table(server, registered: Registered):
    """Train and test rows stand in the run as datasets with content hash and Delta version, also for version 0."""
    made, version = registered

    inputs = MlflowClient().get_run(version.run_id).inputs.dataset_inputs

    found = {item.dataset.name: (item.dataset, {tag.key: tag.value for tag in item.tags}) for item in inputs}
    assert set(found) == {"train", "validation", "test"}
    dataset, tags = found["test"]
    assert dataset.digest == made.split.test.sha256[:12]
    assert dataset.source_type == "delta_table"
    assert json.loads(dataset.source)["path"] == str(made.split.table.path)
    assert tags["mlflow.data.context"] == "testing"
    assert tags["delta_version"] == "0"


def test_the_scores_belong_to_the_model_too(server, registered: Registered):
    """MLflow shows the scores beside the model, tied to the test rows."""
    made, version = registered
    found = MlflowClient().get_model_version(version.name, "1")

    metrics = MlflowClient().get_logged_model(found.source.removeprefix("models:/")).metrics

    scores = {item.key: (item.value, item.dataset_name, item.dataset_digest) for item in metrics}
    assert scores["roc_auc"] == (pytest.approx(0.71234), "test", made.split.test.sha256[:12])


def test_one_folder_holds_all_that_serving_needs_and_no_pickle(server, registered: Registered, tmp_path: Path):
    """Beside the graph stand schema, reference and manifest, and nothing that could run code."""
    version = registered[1]

    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{version.name}/1", dst_path=str(tmp_path)))

    names = {file.name for file in folder.rglob("*") if file.is_file()}
    assert names >= {"MLmodel", "model.onnx", "schema.json", "reference.parquet", "manifest.json"}
    assert not [name for name in names if Path(name).suffix in packing.REFUSED_SUFFIXES]
    assert packing.file_sha256(folder / "model.onnx") == version.sha256


def test_the_registered_model_says_what_it_is(server, registered: Registered):
    """The model's own page says what it predicts, and by which metric it is judged."""
    model = MlflowClient().get_registered_model(registered[1].name)

    assert "Predicts `late` (binary)" in model.description
    assert model.tags == {"target": "late", "kind": "binary", "metric": "roc_auc", "made_by": "everfit"}


def test_a_graph_that_is_not_the_scored_one_is_refused_and_leaves_no_version(server, make: Make):
    """What is scored is what is served: a graph changed after it was scored is not registered."""
    made = make("changed")
    onnx.save(graph(3.0), made.variant.path)

    with pytest.raises(ModelRefused, match=f"with sha256 {made.variant.sha256}, but written again it has"):
        made.register()

    assert versions.versions("changed") == []
    runs = MlflowClient().search_runs([MlflowClient().get_experiment_by_name("changed").experiment_id])
    assert [run.info.status for run in runs] == ["FAILED"]


def test_a_multiclass_model_has_a_signature(make: Make):
    """Class probabilities are described as a list for each row."""
    schema = replace(make("classes").split.schema, target_kind="multiclass", classes=("a", "b"))

    described = signature(schema)

    assert [column.name for column in described.outputs.inputs] == ["prediction", "probabilities"]
    assert [(column.name, column.required) for column in described.inputs.inputs] == [("temp", False), ("origin", True)]


def test_numbers_that_are_not_finite_are_stored_all_the_same(server, make: Make):
    """A metric that could not be computed does not keep a version from being stored."""
    made = replace(make("nan"), scorecard=Scorecard({"roc_auc": float("nan")}, 20, "a" * 64))

    version = made.register()

    assert np.isnan(MlflowClient().get_run(version.run_id).data.metrics["roc_auc"])
