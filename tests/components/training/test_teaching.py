"""What a training takes from a model that was fitted before: a place to begin, or a teacher."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from components.errors import ModelRefused
from components.records.models import FittedModel
from components.settings.base import PluginSettings
from components.training.encoding import Encoder
from components.training.jobs import Job
from components.training.models import TabularNet
from components.training.teaching import blend, first_encoder, load_weights
from components.training.worker import train
from tests.components.training.tiny import tiny_rows, tiny_schema, tiny_settings, tiny_split

SMALL = {"hidden_units": 16, "members": 2, "dropout": 0.1}
KINDS = {"binary": 1, "multiclass": 3, "regression": 1}


def made(folder, kind="binary", seed=0):
    """An untrained model as training leaves it, fitted to other rows than those of the split."""
    folder.mkdir(parents=True)
    encoder = Encoder.fit(tiny_rows(300, kind, seed=99), tiny_schema(kind))
    encoder.write(folder / "encoder.json")
    inputs = {
        "numbers": 2, "cardinalities": encoder.cardinalities, "outputs": KINDS[kind], "kind": kind,
        "learning_rate": 1e-3, "weight_decay": 0.0, "total_steps": 1,
    }  # fmt: skip
    torch.manual_seed(seed)
    network = TabularNet(inputs, **SMALL)
    network.prepare(torch.randn(300, 2), torch.linspace(500, 1500, 300))
    save_file(network.state_dict(), folder / "weights.safetensors")
    class_path = "components.training.models.TabularNet"
    (folder / "model.json").write_text(json.dumps({"class_path": class_path, "init_args": SMALL, "inputs": inputs}))
    return FittedModel(folder, 1, 1, 0.5, 1.0, 1)


def trained(split, settings, folder, **others):
    """The model, trained in this process."""
    folder.mkdir()
    train(Job.of(split, settings, folder, **others))
    return FittedModel(folder, **json.loads((folder / "fitted.json").read_text()))


def own_answers(fitted, frame):
    """The network's logits or values for the rows, from its own encoder; shape (rows, outputs)."""
    facts = json.loads((fitted.folder / "model.json").read_text())
    network = TabularNet(facts["inputs"], **facts["init_args"]).eval()
    load_weights(network, fitted.folder)
    encoded = Encoder.read(fitted.folder / "encoder.json").encode(frame)
    with torch.inference_mode():
        return network(*map(torch.from_numpy, encoded))


def test_a_training_begins_with_the_weights_and_the_encoder_of_its_start(tmp_path):
    """With a learning rate next to nothing, weights, buffers and encoder come out as they went in."""
    start = made(tmp_path / "start")
    settings = tiny_settings(max_epochs=1, learning_rate=1e-12, weight_decay=0, keep="last")

    fitted = trained(tiny_split(tmp_path), settings, tmp_path / "fit", start=start)

    before, after = (load_file(model.folder / "weights.safetensors") for model in (start, fitted))
    assert all(torch.allclose(before[name], after[name], atol=1e-8) for name in before)
    assert (fitted.folder / "encoder.json").read_text() == (start.folder / "encoder.json").read_text()


def test_a_training_that_begins_with_a_fitted_model_needs_fewer_epochs(tmp_path):
    """On rows that are new to it: three epochs behind the weights of another training beat eight from chance."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    before = trained(tiny_split(old), tiny_settings(max_epochs=8), tmp_path / "before")
    split = tiny_split(new)
    tiny_rows(1_200, seed=50).write_parquet(split.train.path)
    tiny_rows(400, seed=51).write_parquet(split.validation.path)

    losses = {
        name: trained(split, tiny_settings(max_epochs=epochs), tmp_path / name, start=start).validation_loss
        for name, epochs, start in (("few", 3, before), ("few from chance", 3, None), ("many from chance", 8, None))
    }

    # 0.176, 0.188 and 0.518 when written.
    assert losses["few"] < losses["many from chance"] < losses["few from chance"]


def test_the_start_says_which_network_it_is(tmp_path):
    """A start of another size than the settings' model is trained in its own size."""
    larger = PluginSettings(class_path="components.training.models.TabularNet", init_args={"hidden_units": 64})

    job = Job.of(tiny_split(tmp_path), tiny_settings(model=larger), tmp_path / "fit", start=made(tmp_path / "start"))

    assert job.settings.model.init_args == SMALL


def test_a_student_has_its_teachers_encoder_and_a_size_of_its_own(tmp_path):
    """The teacher's encoder is taken, the student's network is the one of the settings."""
    model = PluginSettings(class_path="components.training.models.TabularNet", init_args={**SMALL, "hidden_units": 8})
    teacher = made(tmp_path / "teacher")

    student = trained(
        tiny_split(tmp_path), tiny_settings(model=model, max_epochs=1), tmp_path / "fit",
        teacher=teacher, teacher_weight=0.5,
    )  # fmt: skip

    assert (student.folder / "encoder.json").read_text() == (teacher.folder / "encoder.json").read_text()
    assert load_file(student.folder / "weights.safetensors")["first.bias"].shape == (8,)


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_blended_with_what_the_teacher_answers(kind, tmp_path):
    """A fifth of the label, four of the teacher: of the probability, of each class's probability, or of the value."""
    teacher, frame = made(tmp_path / "teacher", kind), tiny_rows(50, kind)
    job = Job.of(tiny_split(tmp_path, kind), tiny_settings(), tmp_path, teacher=teacher, teacher_weight=0.8)
    labels = torch.arange(50) % 3 if kind == "multiclass" else torch.arange(50, dtype=torch.float32) % 2

    blended = blend(labels, frame, job)

    scores = own_answers(teacher, frame)
    wanted = {
        "binary": lambda: 0.2 * labels + 0.8 * scores[:, 0].sigmoid(),
        "multiclass": lambda: 0.2 * torch.eye(3)[labels] + 0.8 * scores.softmax(dim=1),
        "regression": lambda: 0.2 * labels + 0.8 * scores[:, 0],
    }[kind]()
    assert blended.dtype == torch.float32
    assert torch.allclose(blended, wanted, rtol=1e-6)


def test_without_a_teacher_the_labels_stay_what_they_are(tmp_path):
    """Nothing is blended, nothing is copied."""
    labels = torch.arange(5)

    assert blend(labels, tiny_rows(5), Job.of(tiny_split(tmp_path), tiny_settings(), tmp_path)) is labels


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_student_learns_from_its_teacher_where_the_labels_say_nothing(kind, tmp_path):
    """Labels drawn by chance teach nothing; with the teacher's answers beside them the student is right."""
    split = tiny_split(tmp_path, kind)
    teacher = trained(split, tiny_settings(), tmp_path / "teacher")
    frame = pl.read_parquet(split.train.path)
    noise = frame["answer"].sample(frame.height, shuffle=True, seed=1)
    frame.with_columns(noise).write_parquet(split.train.path)
    taught = {"teacher": teacher, "teacher_weight": 0.9}
    settings = tiny_settings(keep="last", max_epochs=6)

    student, alone = (
        trained(split, settings, tmp_path / name, **others) for name, others in (("student", taught), ("alone", {}))
    )

    # When written: 0.92 against 0.49 (binary), 0.88 against 0.38 (multiclass).
    assert share_right(student, split, kind) > 0.8
    assert share_right(alone, split, kind) < 0.7


def share_right(fitted, split, kind):
    """Share of the test rows whose class the network names."""
    frame = pl.read_parquet(split.test.path)
    scores = own_answers(fitted, frame).numpy()
    if kind == "binary":
        return np.mean((scores[:, 0] > 0) == frame["answer"].to_numpy())
    return np.mean(np.array(split.schema.classes)[scores.argmax(axis=1)] == frame["answer"].to_numpy())


def test_another_start_teacher_or_weight_never_goes_on_from_a_checkpoint(tmp_path):
    """Each has a checkpoint folder of its own, also for other weights in the same folder."""
    split, model = tiny_split(tmp_path), made(tmp_path / "model")

    def job(**others):
        return Job.of(split, tiny_settings(), tmp_path, **others).checkpoints

    folders = [job(), job(start=model), job(teacher=model, teacher_weight=0.5), job(teacher=model, teacher_weight=0.6)]
    save_file({"other": torch.ones(1)}, model.folder / "weights.safetensors")
    folders.append(job(start=model))

    assert len(set(folders)) == 5


def test_a_job_reads_back_as_it_was_written(tmp_path):
    """The process is told of start and teacher."""
    model = made(tmp_path / "model")
    job = Job.of(tiny_split(tmp_path), tiny_settings(), tmp_path, start=model, teacher=model, teacher_weight=0.25)

    job.write(tmp_path / "job.json")

    assert Job.read(tmp_path / "job.json") == job


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("weights.safetensors", "begin with, or learn from, the model of .*weights.safetensors.* No such file"),
        ("model.json", "begin with, or learn from, the model of .*model.json"),
        ("encoder.json", "encoder.json must say how raw columns are encoded, .*train that model again"),
    ],
)
def test_a_start_that_lacks_a_file_is_refused(broken, message, tmp_path):
    """Which file is wanted, and what to do."""
    start = made(tmp_path / "start")
    (start.folder / broken).unlink()

    with pytest.raises(ModelRefused, match=message):
        first_encoder(Job.of(tiny_split(tmp_path), tiny_settings(), tmp_path, start=start), tiny_rows(20))


def test_weights_of_another_shape_are_refused(tmp_path):
    """The message names the class."""
    model = made(tmp_path / "model")
    facts = json.loads((model.folder / "model.json").read_text())

    with pytest.raises(ModelRefused, match="must hold the weights of a TabularNet, but loading them failed"):
        load_weights(TabularNet(facts["inputs"], **{**SMALL, "hidden_units": 4}), model.folder)


def test_a_model_json_without_a_class_is_refused(tmp_path):
    """It names what must stand there."""
    model = made(tmp_path / "model")
    (model.folder / "model.json").write_text("{}")

    with pytest.raises(ModelRefused, match=r"model.json must name a class and its init_args.*KeyError"):
        Job.of(tiny_split(tmp_path), tiny_settings(), tmp_path, start=replace(model))
