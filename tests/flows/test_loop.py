"""The loop on real flights with real servers: train, release, predict, label, monitor, decide, retrain."""

from datetime import timedelta

import httpx
import mlflow
import pytest

from components.data.compaction import compact
from components.data.windows import counts
from components.registry import fetching, tracking, versions
from flows.demo.application import Application, Batch
from flows.folders import outbox
from tests.flows.conftest import due
from tests.flows.harness import Harness, eventually
from tests.flows.small import BEGIN, NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

WINDOW = timedelta(days=2)
DELAY = timedelta(hours=6)


def test_training_registers_a_version_with_its_whole_story(live: Harness):
    """The first version has the alias, a signature of raw columns, reference, plots, dataset, project and commit."""
    client = tracking.connect(live.environment)

    champion = versions.champion(NAME)
    assert champion is not None
    run = client.get_run(champion.run_id)

    names = {artifact.path for artifact in client.list_artifacts(champion.run_id)}
    signature = mlflow.models.get_model_info(f"models:/{NAME}@champion").signature
    assert {"origin", "dest", "distance", "temp"} <= set(signature.inputs.input_names())
    assert not {"dep_delay", "air_time", "late", "flight_id"} & set(signature.inputs.input_names())
    assert any("plots" in name for name in names), names
    assert f"{NAME}.yaml" in _walk(client, champion.run_id)
    assert {dataset.dataset.name for dataset in run.inputs.dataset_inputs}
    assert 0.5 < run.data.metrics["roc_auc"] < 1
    assert run.data.tags["mlflow.source.git.commit"]


def test_the_endpoint_answers_what_the_registered_model_says(live: Harness, batches: list[Batch]):
    """The same raw rows give the same probability at the endpoint and through mlflow.pyfunc: nothing differs."""
    rows = batches[0].rows[:20]

    answer = httpx.post(f"{live.environment.service}/predict", json=_jsonable(rows), timeout=30)

    assert answer.status_code == 200, answer.text
    body = answer.json()
    model = mlflow.pyfunc.load_model(f"models:/{NAME}/{body['version']}")
    expected = model.predict(_frame(rows, model))["probability"]
    assert [p["probability"] for p in body["predictions"]] == pytest.approx(list(expected), abs=1e-5)


def test_a_window_that_drifted_is_followed_by_one_judged_retraining(live: Harness, batches: list[Batch]):
    """Traffic and labels go in; out comes a report, a decision with its reason, a challenger and a stored verdict."""
    application = Application(live.environment.service, DELAY)
    ledger = live.environment.ledger(NAME)
    schema = fetching.fetch(_champion(), live.environment.cache()).schema
    compact(ledger, schema)
    before = counts(ledger)["predictions"]
    sent = sum(application.send_all(due(batches, BEGIN, WINDOW * 2)))
    application.send_labels(BEGIN + WINDOW * 2)

    live.run("monitor", until=BEGIN + WINDOW * 2)
    entry = eventually(lambda: _settled(live), 240, what="the decision to be carried out")

    assert application.traffic.failed_requests == 0, application.traffic.failures
    assert counts(ledger)["predictions"] == before + sent
    assert counts(ledger)["duplicates"] == 0
    assert entry.decision.verdict == "retrain"
    assert entry.decision.facts.rows > 1000
    assert entry.decision.facts.report
    assert "drift" in entry.decision.reason
    assert entry.outcome in {"promote", "reject", "inconclusive"}
    assert "roc_auc" in entry.detail
    stored = versions.version(NAME, entry.candidate_version)
    assert stored.version == entry.candidate_version
    assert len([run for run in live.runs("retrain") if run.parameters.get("decision_id") == entry.decision.id]) == 1


def test_a_monitor_run_is_repeatable(live: Harness):
    """Measuring a window again gives the same decision and no second retraining."""
    history = outbox(NAME).history(NAME)
    retrainings = len(live.runs("retrain"))

    live.run("monitor", until=BEGIN + WINDOW * 2)

    assert [entry.decision.id for entry in outbox(NAME).history(NAME)] == [entry.decision.id for entry in history]
    assert len(live.runs("retrain")) == retrainings


def test_a_window_without_traffic_is_a_no_with_its_reason(live: Harness):
    """An empty window breaks nothing: it is recorded as a no that says why."""
    live.run("monitor", until=BEGIN - timedelta(days=30))

    empty = [e for e in outbox(NAME).history(NAME) if e.decision.window.end == BEGIN - timedelta(days=30)]
    (entry,) = empty
    assert entry.decision.verdict == "keep"
    assert entry.decision.facts.rows == 0
    assert "0" in entry.decision.reason


def _champion():
    champion = versions.champion(NAME)
    assert champion is not None
    return champion


def _settled(live: Harness):
    entries = [entry for entry in outbox(NAME).history(NAME) if entry.decision.window.end == BEGIN + WINDOW * 2]
    return entries[0] if entries and entries[0].state in {"done", "failed"} else None


def _walk(client, run_id: str, path: str | None = None) -> str:
    found = client.list_artifacts(run_id, path)
    return " ".join([*(item.path for item in found), *(_walk(client, run_id, i.path) for i in found if i.is_dir)])


def _jsonable(rows):
    return {"rows": [{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()} for row in rows]}


def _frame(rows, model):
    import pandas as pd

    frame = pd.DataFrame(rows)[model.metadata.get_input_schema().input_names()]
    for name, kind in model.metadata.get_input_schema().input_dict().items():
        frame[name] = (
            frame[name].astype("float64")
            if "double" in str(kind)
            else frame[name].fillna("").astype(str).astype(object)
        )
    return frame
