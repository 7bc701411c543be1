"""A challenger answers its share, or scores unseen; whatever it does, the caller gets an answer."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from onnx import helper

from components.data.ledger import PredictionBatch
from components.errors import ModelRefused
from components.records.models import Challenger, ModelFiles, ModelVersion
from components.records.rows import Column
from components.registry.challengers import clear, put
from components.registry.refusals import REFUSED
from components.registry.registering import register
from components.serving.challenging import FAILURES_IN_A_ROW, Challenging, check_comparable
from components.serving.counters import Counters
from components.serving.predictor import Predictor
from components.serving.refusals import Refused
from components.settings.reading import load_project
from tests.components.serving import tiny
from tests.components.serving.conftest import Service, get, wait_for

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
IDS = [f"flight {number}" for number in range(400)]
NUMBERS = {"temp": [0.0], "wind speed": [0.0], "carrier": [None], "tail": ["N1"]}


def sailing(folder: Path) -> Path:
    """A graph that has no finite answer to a negative wind, of which its reference rows hold none."""
    root = helper.make_node("Sqrt", ["wind speed"], ["root"])
    return tiny.changed_graph(tiny.graph(1.0, folder / "model.onnx"), root, takes="wind speed", into="score")


def challenging(folder: Path, share: float, *, counters: Counters | None = None) -> Challenging:
    """A canary of that share, loaded, that has no answer to a negative wind."""
    graph = sailing(folder)
    version = ModelVersion("tiny", 2, "run", hashlib.sha256(graph.read_bytes()).hexdigest())
    files = ModelFiles(version, graph, tiny.SCHEMA, tiny.split(folder).reference.path, {}, "c" * 64)
    state = Challenger(version, "canary", share, 0, SINCE)
    return Challenging(state, Predictor(files, max_rows=10), (counters or Counters()).rollout)


def test_an_id_stays_on_the_canarys_side_while_its_share_grows(tmp_path: Path):
    """A person is not answered by one version and then by the other; the shares are what they say."""
    canary = challenging(tmp_path, 0.05)
    sides = []
    for share in (0.05, 0.25, 0.5, 0.95):
        step = Challenging(replace(canary.state, share=share), canary.predictor, Counters().rollout)
        sides.append({name for name in IDS if step.answers(name)})

    assert sides[0] < sides[1] < sides[2] < sides[3]
    for share, side in zip((0.05, 0.25, 0.5, 0.95), sides, strict=True):
        # 4 standard deviations of 400 throws: the hash is fixed, so this cannot fail by chance.
        assert abs(len(side) / len(IDS) - share) < 4 * math.sqrt(share * (1 - share) / len(IDS))


def test_another_version_tries_itself_on_others(tmp_path: Path):
    """The first to meet every new version are not always the same ones."""
    first = challenging(tmp_path, 0.25)
    second = Challenging(
        replace(first.state, version=replace(first.state.version, version=3)), first.predictor, Counters().rollout
    )

    both = [{name for name in IDS if one.answers(name)} for one in (first, second)]

    assert 10 < len(both[0] & both[1]) < 45  # a sixteenth of 400 is 25


def test_rows_without_an_id_go_to_the_canary_by_chance(tmp_path: Path):
    """There is nothing to stick to then; none and all are exact."""
    canary = challenging(tmp_path, 0.5)

    found = {share: self_answers(canary, share) for share in (0.0, 0.5, 1.0)}

    assert (found[0.0], found[1.0]) == (0, 1000)
    assert 350 < found[0.5] < 650  # 9 standard deviations


def self_answers(canary: Challenging, share: float) -> int:
    """How many of 1,000 requests without an id it would answer."""
    step = Challenging(replace(canary.state, share=share), canary.predictor, Counters().rollout)
    return sum(step.answers(None) for _ in range(1000))


def test_after_failures_in_a_row_it_is_asked_no_more_until_its_next_step(tmp_path: Path):
    """One good answer begins the count anew; what failed is counted with its reason."""
    counters = Counters()
    canary = challenging(tmp_path, 1.0, counters=counters)

    def fail(times: int) -> None:
        for _ in range(times):
            with pytest.raises(Refused) as refused:
                canary.run(NUMBERS | {"wind speed": [-1.0]})
            canary.failed(refused.value)

    fail(FAILURES_IN_A_ROW - 1)
    canary.run(NUMBERS)
    fail(FAILURES_IN_A_ROW - 1)
    before = canary.answers("x")
    fail(1)

    assert before
    assert not canary.answers("x")
    assert not canary.facts()["is_asked"]
    assert canary.facts()["failures"] == 2 * FAILURES_IN_A_ROW - 1
    assert "no finite answer" in canary.last_reason
    assert "asked no more in this step" in canary.last_reason
    page = counters.page().decode()
    assert 'everfit_challenger_failures_total{reason="Refused",variant="canary",version="2"} 39.0' in page
    assert 'everfit_challenger_seconds_count{variant="canary",version="2"} 1.0' in page
    assert Challenging(canary.state, canary.predictor, counters.rollout).answers("x")


def test_a_challenger_that_asks_for_more_than_the_champion_is_refused():
    """A column that the champion's callers do not send cannot be made up; fewer columns are welcome."""
    more = replace(tiny.SCHEMA, features=(*tiny.SCHEMA.features, Column("rain", "number")))
    other = replace(tiny.SCHEMA, target_kind="regression")

    check_comparable(tiny.SCHEMA, more, 2)

    with pytest.raises(ModelRefused, match=r"version 2 with other columns \(rain\)"):
        check_comparable(more, tiny.SCHEMA, 2)
    with pytest.raises(ModelRefused, match=r"predicts .*'regression'"):
        check_comparable(other, tiny.SCHEMA, 2)


@pytest.fixture
def rival(service: Service, champion: ModelVersion, tmp_path: Path) -> Iterator[ModelVersion]:
    """A version that has no answer to a negative wind; whatever it was made, it is no challenger afterwards."""
    service.registry.version(service.project_file, 0.0)
    project = load_project(service.project_file)
    shop = tiny.workshop(1.0, tmp_path)
    digest = hashlib.sha256(sailing(tmp_path).read_bytes()).hexdigest()
    chosen = replace(shop.chosen, sha256=digest)
    shop = replace(shop, chosen=chosen, rated=(replace(shop.rated[0], variant=chosen),))
    split, fitted = tiny.split(tmp_path), tiny.fitted(tmp_path)
    version = register(project, tiny.lineage(project), split, fitted, shop, tiny.scorecard())
    try:
        yield version
    finally:
        clear(version, "the test is over", datetime.now(UTC))
        wait_for(lambda: service.model()["challenger"] is None, seconds=20)


def step(service: Service, version: ModelVersion, variant: str, share: float = 0.0, number: int = 0) -> None:
    """Make it the challenger at that step, and wait until the service knows."""
    state = Challenger(version, variant, share, number, SINCE + number * timedelta(hours=1))
    put(state)
    wait_for(lambda: (service.model()["challenger"] or {}).get("step") == number, seconds=20, why=service.model)


def ask(service: Service, name: str, **columns: object) -> dict:
    """The answer to one row with that id."""
    status, answer = service.predict(tiny.row(**columns) | {"flight id": name})
    assert status == 200, answer
    return answer


def kept(service: Service, answers: list[dict], variant: str) -> dict[str, PredictionBatch]:
    """What the ledger holds of these answers in that variant, by id; each once."""
    ids = {row["id"] for answer in answers for row in answer["predictions"]}
    batches = [one for one in service.recorded() if one.variant == variant and ids & set(one.ids)]
    found = {name: batch for batch in batches for name in batch.ids}
    assert len(found) == sum(len(batch.ids) for batch in batches)
    return found


@pytest.mark.stack
@pytest.mark.slow
def test_a_canary_answers_its_share_and_names_itself(service: Service, champion: ModelVersion, rival: ModelVersion):
    """Each answer is of the version it names, in the ledger as canary; the same ids stay as the share grows."""
    step(service, rival, "canary", 0.25)
    answers = {name: ask(service, name) for name in IDS[:60]}
    step(service, rival, "canary", 0.75, 1)
    later = {name: ask(service, name) for name in IDS[:60]}

    biases = {champion.version: 0.0, rival.version: 1.0}
    for answer in [*answers.values(), *later.values()]:
        wanted = tiny.probability(biases[answer["version"]])
        assert math.isclose(answer["predictions"][0]["probability"], wanted, abs_tol=1e-6)
    asked = [{name for name, one in many.items() if one["version"] == rival.version} for many in (answers, later)]
    assert 3 < len(asked[0]) < len(asked[1]) < 60
    assert asked[0] < asked[1]
    rows = kept(service, list(answers.values()), "canary")
    assert {batch.version for batch in rows.values()} == {rival.version}
    assert set(rows) == {answers[name]["predictions"][0]["id"] for name in asked[0]}
    assert set(kept(service, list(answers.values()), "champion")) == {
        answers[name]["predictions"][0]["id"] for name in set(answers) - asked[0]
    }


@pytest.mark.stack
@pytest.mark.slow
def test_where_a_canary_fails_the_champion_answers(service: Service, champion: ModelVersion, rival: ModelVersion):
    """The caller sees an answer like any other; /model and /metrics tell of it, and the canary is asked no more."""
    step(service, rival, "canary", 0.99)

    answers = [ask(service, name, wind=-1.0) for name in IDS[: FAILURES_IN_A_ROW + 5]]
    facts = service.model()["challenger"]
    after = ask(service, IDS[0])

    assert {answer["version"] for answer in answers} == {champion.version}
    assert all(
        math.isclose(answer["predictions"][0]["probability"], tiny.probability(0.0, wind=-1.0), abs_tol=1e-6)
        for answer in answers
    )
    assert (facts["failures"], facts["is_asked"]) == (FAILURES_IN_A_ROW, False)
    assert f"version {rival.version} failed as canary: row 0: the model has no finite answer" in facts["last_reason"]
    assert after["version"] == champion.version
    page = get(service.port, "/metrics")[1]
    labels = f'{{reason="Refused",variant="canary",version="{rival.version}"}}'
    assert f"everfit_challenger_failures_total{labels} {FAILURES_IN_A_ROW}.0" in page


@pytest.mark.stack
@pytest.mark.slow
def test_a_shadow_scores_the_same_rows_unseen(service: Service, champion: ModelVersion, rival: ModelVersion):
    """The callers get the champion's answers, also where the shadow fails; its own stand beside them in the ledger."""
    step(service, rival, "shadow")

    good = [ask(service, name, temp=5.0) for name in IDS[:20]]
    bad = [ask(service, name, wind=-1.0) for name in IDS[:3]]
    rows = wait_for(lambda: len(found := kept(service, good, "shadow")) == 20 and found, seconds=20)
    facts = wait_for(lambda: (found := service.model()["challenger"])["failures"] == 3 and found, seconds=20)

    assert {answer["version"] for answer in good + bad} == {champion.version}
    assert kept(service, bad, "shadow") == {}
    assert facts["is_asked"]
    beside = kept(service, good, "champion")
    for name, batch in rows.items():
        (place,) = [place for place, one in enumerate(batch.ids) if one == name]
        assert math.isclose(batch.outputs["probability"][place], tiny.probability(1.0, temp=5.0), abs_tol=1e-6)
        assert (batch.version, batch.inputs) == (rival.version, {})
        assert batch.request_id == beside[name].request_id
        assert batch.entity_ids == beside[name].entity_ids
        assert 0 < batch.latency_ms < 10_000


@pytest.mark.stack
@pytest.mark.slow
def test_a_challenger_becomes_champion_without_being_loaded_again(
    service: Service, champion: ModelVersion, rival: ModelVersion
):
    """One move of the alias ends the rollout in the same moment, also before anyone has tidied up."""
    step(service, rival, "canary", 0.5)

    service.registry.point(rival)
    service.wait_until_live(rival)
    answers = [ask(service, name) for name in IDS[:20]]

    assert {answer["version"] for answer in answers} == {rival.version}
    assert set(kept(service, answers, "champion")) == {answer["predictions"][0]["id"] for answer in answers}
    assert service.model()["challenger"] is None


@pytest.mark.stack
@pytest.mark.slow
def test_a_version_whose_cached_bytes_changed_is_refused_and_the_reason_stands_in_the_registry(
    service: Service, champion: ModelVersion, tmp_path: Path
):
    """Neither as challenger nor as champion: the old one answers, and MLflow says why on the version itself."""
    bad = service.registry.version(service.project_file, 7.5)
    service.serve(7.5)
    service.serve(0.0)
    cached = service.environment.cache() / bad.name / str(bad.version) / "model.onnx"
    whole = cached.read_bytes()
    cached.write_bytes(tiny.graph(8.5, tmp_path / "other.onnx").read_bytes())

    try:
        put(Challenger(bad, "canary", 0.5, 0, SINCE))
        beside = wait_for(lambda: service.model()["challenger"], seconds=20)
        service.registry.point(bad)
        why = wait_for(lambda: service.model()["last_error"], seconds=20)
        answers = [ask(service, name) for name in IDS[:20]]
        tag = wait_for(lambda: MlflowClient().get_model_version(bad.name, str(bad.version)).tags.get(REFUSED))
    finally:
        cached.write_bytes(whole)
        clear(bad, "the test is over", datetime.now(UTC))
        service.serve(0.0)

    assert (beside["version"], beside["is_asked"]) == (bad.version, False)
    for sentence in (beside["last_reason"], why, tag):
        assert f"version {bad.version} was not taken: wanted model.onnx with sha256 {bad.sha256}" in sentence
    assert {answer["version"] for answer in answers} == {champion.version}
    assert 'everfit_versions_refused_total{reason="ModelRefused"}' in get(service.port, "/metrics")[1]
