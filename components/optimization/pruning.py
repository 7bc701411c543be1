"""A trained network made physically smaller: the weakest units of each hidden layer are cut out, not set to zero.

Which units are weak, and how a smaller network of the same class is made of the rest, only the class knows: it offers
`pruned(keep)`. What is left here has lost some of its quality, and is fine-tuned by training, which begins with it.
"""

import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from components.errors import ModelRefused
from components.optimization.networks import load_network
from components.records.models import FittedModel
from components.records.rows import TargetKind
from components.settings.base import PluginSettings
from components.settings.optimization import PruneSettings
from components.settings.plugins import make

log = logging.getLogger(__name__)


def prune(fitted: FittedModel, settings: PruneSettings, folder: Path) -> FittedModel:
    """The model with that share of its hidden units, not yet fine-tuned, in the files that training leaves.

    Args:
        fitted: The model to cut; it stays as it is.
        settings: The share of the units that stays.
        folder: Where the smaller one goes; made if it is not there.

    Returns:
        The smaller model. Its validation loss is not known, so it is NaN; it took no training process, so it has no
        peak memory.

    Raises:
        ModelRefused: If the files are missing or broken, the network's class offers no cut, or the cut does not fit.
        ProjectFileError: If the class cannot be imported or refuses its arguments.
    """
    started = time.monotonic()
    facts, kind = _facts(fitted.folder)
    network = load_network(fitted.folder, kind).network
    differing, state = _cut(network, settings.keep)
    smaller = {**facts, "init_args": {**facts["init_args"], **differing}}
    parameters = _fill(smaller, state)
    _write(folder, smaller, state, fitted.folder)
    log.info(
        "network pruned class=%s keep=%g parameters_before=%d parameters=%d",
        *(facts["class_path"], settings.keep, fitted.parameters, parameters),
    )
    seconds = round(time.monotonic() - started, 3)
    return FittedModel(folder, fitted.epochs, fitted.best_epoch, math.nan, seconds, parameters)


def _facts(folder: Path) -> tuple[dict[str, Any], TargetKind]:
    """What `model.json` says, and the kind of target among it."""
    try:
        facts: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return facts, facts["inputs"]["kind"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ModelRefused(
            f"{folder}/model.json must say which network was trained, but reading it failed: {err!r}; "
            "train the model again"
        ) from err


def _cut(network: torch.nn.Module, keep: float) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    pruned = getattr(network, "pruned", None)
    if not callable(pruned):
        raise ModelRefused(
            f"the variant `pruned` wants a network that can be cut, but {type(network).__name__} has no method "
            "pruned(keep), which returns the init_args that differ and the state of the smaller network; add it, as "
            "components.training.models.TabularNet does, or take pruned out of optimization.variants"
        )
    differing, state = pruned(keep)
    return differing, {name: value.detach().contiguous() for name, value in state.items()}


def _fill(facts: dict[str, Any], state: dict[str, torch.Tensor]) -> int:
    """Put the state into a network of those arguments, as whoever loads it will; its trainable parameters."""
    plugin = PluginSettings(class_path=facts["class_path"], init_args=facts["init_args"])
    network: torch.nn.Module = make(plugin, facts["inputs"])
    try:
        network.load_state_dict(state)
    except RuntimeError as err:
        raise ModelRefused(
            f"{plugin.class_path}.pruned must give the state of the network made with {plugin.init_args}, but it does "
            f"not fit: {err}; correct that method"
        ) from err
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def _write(folder: Path, facts: dict[str, Any], state: dict[str, torch.Tensor], before: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for name in ("encoder.json", "history.json"):
        if (before / name).is_file():
            shutil.copyfile(before / name, folder / name)
