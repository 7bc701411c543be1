"""A training begins with the champion's weights where these may be used, and says why where not."""

import json
import os
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from components.errors import ModelRefused
from components.records.models import Beginning, ModelFiles, ModelVersion
from components.records.rows import Column, Split
from components.registry import fetching, packing
from components.registry.beginnings import beginning, fetch_fitted
from components.registry.learned import REASON, STARTED, TRAINED_UNTIL, WINDOW, learned_tags, read_learned
from components.settings.base import PluginSettings
from components.settings.monitoring import MonitoringSettings, RetrainSettings
from components.settings.project import Project, TrainingSettings
from tests.components.registry.conftest import Made, Make

MODEL = {"class_path": "nets.Net", "init_args": {"units": 8}}
DAY = timedelta(days=1)
WEIGHTS = b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "


def with_fitted(made: Made) -> Made:
    """The same, with what a training leaves in its folder."""
    folder = made.fitted.folder
    (folder / "weights.safetensors").write_bytes(WEIGHTS)
    (folder / "encoder.json").write_text('{"numbers": {}, "categories": {}}')
    (folder / "model.json").write_text(json.dumps(MODEL | {"inputs": {}}))
    facts = {"epochs": 3, "best_epoch": 2, "validation_loss": 0.26, "seconds": 1.5, "parameters": 2, "peak_mb": 400.0}
    (folder / "fitted.json").write_text(json.dumps(facts))
    return made


@pytest.fixture
def champion(server, make: Make, tmp_path: Path) -> tuple[Made, ModelFiles]:
    """A version with what its training left, fetched as a retraining finds it."""
    made = with_fitted(make("begun", weight=1.5))
    return made, fetching.fetch(made.register(), tmp_path / "cache")


def project_of(made: Made, **settings) -> Project:
    """The project, which asks for the network that was fitted."""
    training = TrainingSettings(model=PluginSettings(**MODEL))
    return made.project.model_copy(update={"training": training} | settings)


def later(split: Split, days: int = 60) -> Split:
    """The parts of a table that goes on for so many days."""

    def moved(part):
        return replace(part, first=part.first + days * DAY, last=part.last + days * DAY)

    return replace(split, train=moved(split.train), validation=moved(split.validation), test=moved(split.test))


def test_the_fitted_model_comes_back_byte_for_byte(champion, tmp_path: Path):
    """Weights, encoder, class and facts of the training, from the run; the endpoint's own files hold none of them."""
    made, files = champion

    fitted = fetch_fitted(files, tmp_path / "there")

    assert fitted is not None
    assert (fitted.folder, fitted.epochs, fitted.peak_mb) == (tmp_path / "there", 3, 400.0)
    for name in packing.FITTED:
        assert (fitted.folder / name).read_bytes() == (made.fitted.folder / name).read_bytes()
    assert {path.name for path in fitted.folder.iterdir()} == set(packing.FITTED)
    assert {path.name for path in files.graph.parent.iterdir()} == {*packing.PACKED, packing.MANIFEST}


def test_a_training_on_newer_rows_begins_with_the_champion(champion, tmp_path: Path):
    """The champion's number, and until when it learned, go with its weights."""
    made, files = champion

    found = beginning(project_of(made), files, later(made.split), tmp_path / "there")

    assert found.model is not None
    assert found == Beginning(found.model, files.version.version, made.split.train.last)


def test_without_a_champion_it_begins_with_chance(server, make: Make, tmp_path: Path):
    """The first version has nothing to begin with, and says so."""
    made = make("firstborn")

    found = beginning(project_of(made), None, made.split, tmp_path / "there")

    assert found == Beginning(reason="there is no champion")


def test_a_champion_whose_weights_were_not_kept_is_none_to_begin_with(server, make: Make, tmp_path: Path):
    """A version from before they were."""
    made = make("forgetful")
    files = fetching.fetch(made.register(), tmp_path / "cache")

    found = beginning(project_of(made), files, later(made.split), tmp_path / "there")

    assert found == Beginning(reason="the weights of version 1 were not kept")


def test_weights_that_were_cleaned_away_are_no_fault(champion, tmp_path: Path):
    """The run's files may be gone while the version is served: training begins with chance."""
    made, files = champion
    for file in _stored(files.version):
        file.unlink()
    _stored_folder(files.version).rmdir()

    found = beginning(project_of(made), files, later(made.split), tmp_path / "there")

    assert found.reason == f"the weights of version {files.version.version} were not kept"


def test_weights_that_were_changed_are_refused(champion, tmp_path: Path):
    """Whoever can write to the artifact store brings no weights of theirs into the next version."""
    made, files = champion
    (_stored_folder(files.version) / "weights.safetensors").write_bytes(WEIGHTS + b"!")

    with pytest.raises(ModelRefused, match=r"wanted weights.safetensors of version .* find out who changed it"):
        beginning(project_of(made), files, later(made.split), tmp_path / "there")


CASES = [
    ("column", r"the columns are not those of version \d+ \(wind\)"),
    ("kind", r"the columns are not those of version \d+ \(temp\)"),
    ("order", r"the columns are not those of version \d+ \(another order\)"),
    ("target", r"what is predicted is not what version \d+ predicts"),
    ("class", r"asks for another network \(nets.Other\) than version \d+ has"),
    ("size", r"asks for another size \(\{'units': 9\}\) than version \d+ has"),
    ("rows", r"version \d+ learned from rows up to 2013-01-01 19:00, and this one is chosen and judged on rows from"),
    ("holdout", r"was kept from 0 of all rows, and the holdout is 0.1 now"),
]


@pytest.mark.parametrize(("changed", "reason"), CASES, ids=[name for name, _ in CASES])
def test_what_no_longer_fits_begins_with_chance_and_says_why(champion, tmp_path: Path, changed: str, reason: str):
    """Another column, target or network, or rows that the champion knows by heart: a sentence names what it is."""
    made, files = champion
    project, split = project_of(made), later(made.split)
    temp, origin = split.schema.features
    features = {
        "column": (temp, origin, Column("wind", "number")),
        "kind": (replace(temp, kind="category"), origin),
        "order": (origin, temp),
    }
    if changed in features:
        split = replace(split, schema=replace(split.schema, features=features[changed]))
    elif changed == "target":
        split = replace(split, schema=replace(split.schema, target="delay"))
    elif changed in {"class", "size"}:
        other = {"class": {"class_path": "nets.Other"}, "size": {"init_args": {"units": 9}}}[changed]
        project = project_of(made, training=TrainingSettings(model=PluginSettings(**MODEL | other)))
    elif changed == "rows":
        split = later(made.split, days=-40)
    else:
        halved = project.data.model_copy(update={"split": project.data.split.model_copy(update={"holdout_share": 0.1})})
        project = project.model_copy(update={"data": halved})

    found = beginning(project, files, split, tmp_path / "there")

    assert found.model is None
    assert found.version is None
    assert re.search(reason, found.reason), found.reason


def test_a_version_says_with_which_weights_it_began(champion, make: Make):
    """Its tags and its description name the version and the window."""
    made, files = champion
    began = Beginning(made.fitted, files.version.version, made.split.test.first)
    second = make("begun", weight=2.5)
    monitoring = MonitoringSettings(retrain=RetrainSettings(window="sliding", length="90d", start="champion"))
    project = second.project.model_copy(update={"monitoring": monitoring})
    second = replace(second, project=project, lineage=replace(second.lineage, is_retraining=True))

    version = second.register(beginning=began)

    found = MlflowClient().get_model_version(version.name, str(version.version))
    assert found.tags[STARTED] == f"version {files.version.version}"
    assert found.tags[WINDOW] == "the newest 90 days"
    assert REASON not in found.tags
    assert f"from the newest 90 days, beginning with the weights of version {files.version.version}." in (
        found.description
    )
    # What it began with had learned from newer rows, so it knows these too.
    assert read_learned(version).until == made.split.test.first


def test_the_tags_say_how_rows_counted(make: Make):
    """A retraining names its window; a training on the project's source learns from all rows, whatever the window."""
    made = make("windows")
    recency = made.project.model_copy(
        update={"monitoring": MonitoringSettings(retrain=RetrainSettings(window="recency", half_life="36h"))}
    )
    retraining = replace(made.lineage, is_retraining=True)

    first = learned_tags(recency, made.lineage, made.split, Beginning())
    again = learned_tags(recency, retraining, made.split, Beginning(reason="there is no champion"))

    assert first[WINDOW] == "all rows"
    assert again[WINDOW] == "all rows, each counting half after 1.5 days"
    assert (again[STARTED], again[REASON]) == ("scratch", "there is no champion")
    assert again[TRAINED_UNTIL] == made.split.train.last.isoformat()


def _stored_folder(version: ModelVersion) -> Path:
    uri = mlflow.get_run(version.run_id).info.artifact_uri
    root = Path(os.environ["EVERFIT_TEST_ARTIFACTS"])
    return root / uri.removeprefix("mlflow-artifacts:/").lstrip("/") / packing.FITTED_FOLDER


def _stored(version: ModelVersion) -> list[Path]:
    return list(_stored_folder(version).iterdir())
