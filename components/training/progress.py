"""What a Trainer does beside training: repeatable chance, a history, and checkpoints for going on after a kill."""

import logging
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from components.settings.project import TrainingSettings

log = logging.getLogger(__name__)

LOSS = "validation_loss"
LAST, BEST = "last.ckpt", "best.ckpt"
# A kill costs at most these steps, about two seconds of them; writing one file takes some milliseconds.
CHECKPOINT_STEPS = 200
# Larger than any step, so that no two (seed, step) pairs of one project draw alike.
STEPS_A_SEED = 1_000_003


class RepeatableChance(Callback):
    """Dropout drawn from seed and step alone, so a resumed run draws what the uninterrupted one would have drawn.

    Lightning's checkpoints do not hold the state of torch's random generator.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seeds the step."""
        torch.manual_seed(self._seed * STEPS_A_SEED + trainer.global_step)


class History(Callback):
    """One entry an epoch: training and validation loss, learning rate at its end, seconds. Kept in checkpoints."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self._loss, self._steps = 0.0, 0
        self._seconds, self._since = 0.0, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds the step's loss."""
        self._loss += float(outputs["loss"])
        self._steps += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Runs behind the validation of that epoch."""
        entry = {
            "epoch": len(self.epochs) + 1,
            "train_loss": self._loss / max(self._steps, 1),
            LOSS: float(trainer.callback_metrics.get(LOSS, float("nan"))),
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "seconds": self._seconds + time.monotonic() - self._since,
        }
        self.epochs.append(entry)
        log.info("epoch fitted %s", " ".join(f"{name}={value:.4g}" for name, value in entry.items()))
        self._loss, self._steps, self._seconds, self._since = 0.0, 0, 0.0, time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        seconds = self._seconds + time.monotonic() - self._since
        return {"epochs": list(self.epochs), "loss": self._loss, "steps": self._steps, "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.epochs = list(state_dict["epochs"])
        self._loss, self._steps = state_dict["loss"], state_dict["steps"]
        self._seconds, self._since = state_dict["seconds"], time.monotonic()


def callbacks(settings: TrainingSettings, history: History, checkpoints: Path) -> list[Callback]:
    """All of a training's callbacks; with `keep: last` nothing stops it early."""
    stopping = [EarlyStopping(LOSS, patience=settings.patience)] if settings.keep == "best" else []
    last = ModelCheckpoint(
        checkpoints, LAST.removesuffix(".ckpt"), every_n_train_steps=CHECKPOINT_STEPS, enable_version_counter=False
    )
    best = ModelCheckpoint(checkpoints, BEST.removesuffix(".ckpt"), monitor=LOSS, enable_version_counter=False)
    return [RepeatableChance(settings.seed), history, *stopping, best, last]
