"""A network made physically smaller: the shipped one on real rows, and classes that offer no cut or a wrong one."""

import json
from dataclasses import replace

import numpy as np
import polars
import pytest
import torch
from lightning import LightningModule
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import nn

from components.errors import ModelRefused
from components.optimization.networks import load_network
from components.optimization.pruning import prune
from components.records.models import FittedModel
from components.records.rows import Column, Part, Schema, Split, TableVersion
from components.settings.base import PluginSettings
from components.settings.optimization import PruneSettings
from components.settings.project import TrainingSettings
from components.training.encoding import Encoder
from components.training.jobs import Job
from components.training.members import strongest
from components.training.worker import train
from tests.components.optimization.graphs_by_hand import NOW

UNITS = 64
MODEL = PluginSettings(
    class_path="components.training.models.TabularNet",
    init_args={"hidden_units": UNITS, "members": 2, "layers": 3, "bins": 4, "dropout": 0.1},
)
SETTINGS = TrainingSettings(model=MODEL, max_epochs=10, batch_rows=64, learning_rate=5e-3, keep="last")


class Uncut(LightningModule):
    """A network that offers no cut."""

    def __init__(self, inputs):
        super().__init__()
        self.layer = nn.Linear(2, 1)


class Miscut(Uncut):
    """A network whose cut does not fit it."""

    def pruned(self, keep):
        """A layer of another width than it is made with."""
        return {}, {"layer.weight": torch.zeros(1, 1), "layer.bias": torch.zeros(1)}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """1,797 handwritten digits as a split of 1,200 rows to learn from and 597 to look at."""
    folder = tmp_path_factory.mktemp("digits")
    pixels, labels = load_digits(return_X_y=True)
    names = [f"pixel_{place}" for place in range(64)]
    frame = polars.DataFrame({**dict(zip(names, pixels.T, strict=True)), "digit": labels.astype(str)})
    for name, rows in (("train", frame[:1200]), ("validation", frame[1200:])):
        rows.write_parquet(folder / f"{name}.parquet")
    train_part, part = (Part(folder / f"{name}.parquet", 1, name, NOW, NOW) for name in ("train", "validation"))
    schema = Schema(
        tuple(Column(name, "number") for name in names), "digit", "multiclass", "when", classes=tuple("0123456789")
    )
    return Split(train_part, part, part, part, schema, TableVersion(folder, 0, frame.height, "f" * 64, NOW, NOW))


def trained(split, settings, folder, **others):
    """The model, trained in this process."""
    folder.mkdir()
    train(Job.of(split, settings, folder, **others))
    return FittedModel(folder, **json.loads((folder / "fitted.json").read_text()))


@pytest.fixture(scope="module")
def fitted(digits, tmp_path_factory):
    """The full network, fitted."""
    return trained(digits, SETTINGS, tmp_path_factory.mktemp("full") / "fit")


def answers(model):
    """The loaded network's probabilities for made rows, some of them missing."""
    random = torch.Generator().manual_seed(3)
    numbers = torch.randn(200, 64, generator=random)
    numbers[torch.rand(200, 64, generator=random) < 0.1] = float("nan")
    with torch.inference_mode():
        return load_network(model.folder, "multiclass")(numbers, torch.zeros(200, 0, dtype=torch.int64))[1]


def test_cutting_units_of_zero_weights_leaves_the_answers_unchanged(fitted, tmp_path):
    """Half of each layer's units reach nothing: the cut network is half as wide and says the same to 1e-5."""
    silent = copied(fitted, tmp_path / "silent")
    weights = load_file(silent.folder / "weights.safetensors")
    random = np.random.default_rng(5)
    for name, axis in (("hidden.0.shared.weight", 1), ("hidden.1.shared.weight", 1), ("head", 1)):
        units = torch.from_numpy(random.permutation(UNITS)[: UNITS // 2])
        weights[name] = weights[name].index_fill(axis, units, 0)
    save_file(weights, silent.folder / "weights.safetensors")

    cut = prune(silent, PruneSettings(keep=0.5), tmp_path / "cut")

    assert json.loads((cut.folder / "model.json").read_text())["init_args"]["hidden_units"] == UNITS // 2
    assert torch.allclose(answers(cut), answers(silent), atol=1e-5)


def copied(model, folder):
    """The model's files in another folder."""
    folder.mkdir()
    for path in model.folder.glob("*.*"):
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return replace(model, folder=folder)


def test_the_cut_network_is_smaller_and_after_fine_tuning_as_good(digits, fitted, tmp_path):
    """Half the units are less than half the weights; three epochs later the loss is near that of the full network."""
    cut = prune(fitted, PruneSettings(keep=0.5), tmp_path / "cut")

    tuned = trained(digits, SETTINGS.model_copy(update={"max_epochs": 3}), tmp_path / "tuned", start=cut)

    assert tuned.parameters == cut.parameters < 0.5 * fitted.parameters
    files = [(model.folder / "weights.safetensors").stat().st_size for model in (cut, fitted)]
    assert files[0] < 0.55 * files[1]
    assert (cut.folder / "encoder.json").read_bytes() == (fitted.folder / "encoder.json").read_bytes()
    # 0.29 full, 0.33 tuned when written; guessing costs 2.3, the cut alone 0.92.
    assert tuned.validation_loss < fitted.validation_loss + 0.1


def test_the_strongest_units_stay(digits, fitted, tmp_path, monkeypatch):
    """Before any tuning the cut network loses less than one that was left the weakest units instead."""
    cut = prune(fitted, PruneSettings(keep=0.5), tmp_path / "cut")
    weakest = "components.training.models.strongest"
    monkeypatch.setattr(weakest, lambda strength, count: strongest(1 / strength, count))
    weak = prune(fitted, PruneSettings(keep=0.5), tmp_path / "weak")

    losses = [loss(model, digits) for model in (fitted, cut, weak)]

    # When written: 0.29, 0.92 and 2.01.
    assert losses[0] < losses[1] < losses[2]


def loss(model, split):
    """Mean surprise at the validation rows' digits, in nats."""
    frame = polars.read_parquet(split.validation.path)
    encoded = Encoder.read(model.folder / "encoder.json").encode(frame)
    with torch.inference_mode():
        probabilities = load_network(model.folder, "multiclass")(*map(torch.from_numpy, encoded))[1]
    digits = torch.from_numpy(frame["digit"].cast(polars.Int64).to_numpy(writable=True))
    return -probabilities[torch.arange(len(digits)), digits].log().mean().item()


def of_class(name, folder):
    """An untrained network of one of the classes above, as training leaves it."""
    folder.mkdir()
    inputs = {"kind": "binary"}
    save_file({"layer.weight": torch.zeros(1, 2), "layer.bias": torch.zeros(1)}, folder / "weights.safetensors")
    model = {"class_path": f"{__name__}.{name}", "init_args": {}, "inputs": inputs}
    (folder / "model.json").write_text(json.dumps(model))
    return FittedModel(folder, 1, 1, 0.5, 1.0, 3)


def test_a_class_that_offers_no_cut_is_refused_with_what_to_add(tmp_path):
    """The sentence names the class, the method, and the way round."""
    with pytest.raises(
        ModelRefused, match=r"Uncut has no method pruned\(keep\), which returns the init_args .* take pruned out of"
    ):
        prune(of_class("Uncut", tmp_path / "fit"), PruneSettings(), tmp_path / "cut")


def test_a_cut_that_does_not_fit_its_class_is_refused(tmp_path):
    """A state of other shapes than the network made with the arguments never becomes a file."""
    with pytest.raises(ModelRefused, match=r"Miscut.pruned must give the state of the network made with \{\}"):
        prune(of_class("Miscut", tmp_path / "fit"), PruneSettings(), tmp_path / "cut")

    assert not (tmp_path / "cut").exists()


def test_a_folder_without_a_model_is_refused(tmp_path):
    """Nothing to cut."""
    with pytest.raises(ModelRefused, match=r"model.json must say which network was trained, but reading it failed"):
        prune(FittedModel(tmp_path, 1, 1, 0.5, 1.0, 3), PruneSettings(), tmp_path / "cut")
