"""A worse version that became champion goes back by itself on a real stack, as soon as the labels say so."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.records.models import ModelVersion
from components.records.scores import Verdict
from components.registry import challengers, fetching, versions
from components.registry.history import live_at
from components.serving import rollout
from components.settings.project import Project
from components.settings.reading import load_project
from flows.demo.application import Application, Batch
from flows.tasks import advancing
from tests.components.registry.conftest import hand_over
from tests.flows.harness import Harness, eventually
from tests.flows.small import NAME, YAML
from tests.flows.test_advance import _everfit

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

# Far from the windows that other tests of the session measure.
FAR = datetime(2011, 6, 1, tzinfo=UTC)
PROBATION = "monitoring:\n  probation: {length: 1h, min_labelled_rows: 300}\n"
VERDICT = Verdict("promote", "a judge was wrong", "roc_auc", 0.7, 0.69, 0.001, 0.02, rows=900, table_sha256="a" * 64)


@pytest.fixture(scope="module")
def watched(live: Harness) -> Project:
    """The same project, as if its owner wanted a probation of an hour from 300 labels on."""
    path = live.project.file.with_name("watched.yaml")
    path.write_text(YAML.replace("monitoring:\n", PROBATION))
    return load_project(path)


@pytest.fixture
def contrary(live: Harness, watched: Project, tmp_path: Path) -> ModelVersion:
    """A version that says the contrary of the champion to every row, as one that learned from flipped labels would."""
    champion = versions.champion(NAME)
    assert champion is not None
    files = fetching.fetch(champion, live.environment.cache())
    made = hand_over(tmp_path, NAME)
    path = tmp_path / "contrary.onnx"
    onnx.save(_contrary(onnx.load(files.graph)), path)
    variant = replace(
        made.variant, path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), schema=files.schema
    )
    names = ("train", "validation", "test", "reference")
    parts = {name: replace(getattr(made.split, name), path=files.reference) for name in names}
    return replace(
        made,
        project=watched,
        split=replace(made.split, schema=files.schema, **parts),
        workshop=replace(made.workshop, chosen=variant),
    ).register()


def test_a_worse_champion_goes_back_by_itself_when_its_labels_come(
    live: Harness, watched: Project, contrary: ModelVersion, batches: list[Batch]
):
    """The one before answers beside it unseen; one run of advance brings it back, and the history says why."""
    old = versions.champion(NAME)
    assert old is not None
    versions.promote(contrary, VERDICT, at=datetime.now(UTC))
    advancing.begin_probation.fn(watched, contrary)
    eventually(lambda: _is_asked(live, old), 60, what="the version before to be asked as a shadow")
    held = live.run("advance", project_file=str(watched.file))
    told = _everfit(live, "rollout", str(watched.file)).stdout

    sent = _send(live, batches)
    live.run("advance", project_file=str(watched.file))

    assert held.state is not None
    assert f"version {contrary.version} is champion, and on probation" in told, told
    assert "not enough labels came to tell: 0 of 300" in told
    assert sent > 400
    assert versions.champion(NAME) == old
    assert rollout.is_live(rollout.live_model(live.environment.service), old)
    move = versions.moves(NAME)[-1]
    assert (move.version, move.before, move.who, move.is_rollback) == (old.version, contrary.version, "everfit", True)
    assert f"may not be worse than version {old.version}, beyond doubt; on" in move.reason
    stored = versions.read_verdict(contrary)
    assert stored is not None
    assert (stored.outcome, stored.rules[-1].name) == ("reject", "probation")
    assert challengers.challenger(NAME) is None
    assert challengers.episodes(NAME)[-1].ending == "rolled back"
    history = _everfit(live, "history", NAME).stdout
    assert f"everfit rolled back from {contrary.version}" in history
    assert live_at(NAME, datetime.now(UTC)).version == old.version


def _is_asked(live: Harness, shadow: ModelVersion) -> bool:
    facts = rollout.live_model(live.environment.service).get("challenger")
    return isinstance(facts, dict) and facts["version"] == shadow.version and bool(facts["is_asked"])


def _send(live: Harness, batches: list[Batch]) -> int:
    """Some hundred flights far in the past, then their labels; how many labels."""
    column = live.project.data.timestamp
    application = Application(live.environment.service, timedelta(0))
    labels = 0
    for batch in batches:
        rows = [row | {column: FAR} for row in batch.rows]
        application.send(Batch(rows, [FAR] * len(rows), batch.labels))
        labels += sum(label is not None for label in batch.labels)
        if labels > 600:
            break
    application.send_labels(datetime.now(UTC))
    assert application.traffic.failed_requests == 0, application.traffic.failures
    return application.traffic.labels_sent


def _contrary(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with 1 - probability and 1 - prediction in place of its answers."""
    inner = graph.graph
    for output in inner.output:
        name, kind = output.name, output.type.tensor_type.elem_type
        for node in inner.node:
            node.output[:] = [f"{name}_before" if one == name else one for one in node.output]
            node.input[:] = [f"{name}_before" if one == name else one for one in node.input]
        one = numpy_helper.from_array(onnx.helper.tensor_dtype_to_np_dtype(kind).type(1).reshape(()), f"{name}_one")
        inner.initializer.append(one)
        inner.node.append(helper.make_node("Sub", [f"{name}_one", f"{name}_before"], [name]))
        assert kind in {TensorProto.FLOAT, TensorProto.INT64}
    onnx.checker.check_model(graph)
    return graph
