"""The trained network, made again from what training left on disk, with the answers an application wants.

Weights are read from safetensors, never from a pickle. The network itself is any module with

    forward(numbers: float32 (rows, numbers), categories: int64 (rows, categories)) -> scores

whose scores are logits of shape (rows,) or (rows, 1) for a binary target, (rows, classes) for a multiclass one, and
the predicted value of shape (rows,) or (rows, 1) for a regression. It may offer `for_inference()`, a module with the
same forward and the same answers made of fewer operations: that one is exported, and compared with the network itself.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from components.errors import ModelRefused
from components.records.rows import TargetKind
from components.settings.base import PluginSettings
from components.settings.plugins import make

OUTPUTS: dict[TargetKind, tuple[str, ...]] = {
    "binary": ("prediction", "probability"),
    "multiclass": ("prediction", "probabilities"),
    "regression": ("prediction",),
}


class Answering(torch.nn.Module):
    """A network whose outputs are answers: a class with its probability, or a value.

    Logits are divided by the temperature: above 1 the answers become less sure, below 1 surer; classes stay the same.
    """

    def __init__(self, network: torch.nn.Module, kind: TargetKind, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.kind = kind
        self.temperature = temperature

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs that `OUTPUTS` names, in that order; each has `rows` as its first dimension."""
        scores = self.network(numbers, categories)
        if self.kind == "regression":
            return (scores.reshape(-1),)
        if self.kind == "multiclass":
            return scores.argmax(dim=1), (scores / self.temperature).softmax(dim=1)
        probability = (scores.reshape(-1) / self.temperature).sigmoid()
        return (probability >= 0.5).to(torch.int64), probability

    def with_temperature(self, temperature: float) -> "Answering":
        """The same network, calibrated."""
        return Answering(self.network, self.kind, temperature).eval()

    def for_inference(self) -> "Answering":
        """The same answers as they are best computed, if the network's class has a form for that; else itself."""
        offer = getattr(self.network, "for_inference", None)
        return Answering(offer(), self.kind, self.temperature).eval() if offer else self


def load_network(folder: Path, kind: TargetKind) -> Answering:
    """The trained network in evaluation mode, on the CPU.

    Args:
        folder: `FittedModel.folder`, with `model.json` and `weights.safetensors`.
        kind: Kind of the target.

    Raises:
        ModelRefused: If the files are missing or broken, or the weights do not fit the class.
        ProjectFileError: If the class cannot be imported or refuses its arguments.
    """
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        plugin = PluginSettings(class_path=facts["class_path"], init_args=facts["init_args"])
        network = make(plugin, facts["inputs"])
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, ValueError, KeyError, RuntimeError) as err:
        raise ModelRefused(
            f"{folder} must hold a model.json and the weights.safetensors of that class, but loading failed: {err!r}; "
            "train the model again"
        ) from err
    return Answering(network, kind).eval()
