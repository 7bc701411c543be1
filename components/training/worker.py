"""The process that trains: `python -m components.training.worker JOB.json`.

A process of its own, so that a flow can be killed and go on from the checkpoint, and a strategy that starts the main
script again would not run the flow twice. It leaves `weights.safetensors`, `encoder.json`, `model.json`,
`history.json` and `fitted.json` in the job's folder, or ends with one sentence on stderr and an exit status above 0.
"""

import json
import logging
import math
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from lightning import LightningModule, Trainer, seed_everything
from safetensors.torch import save_file

from components.cost.memory import peak_mb
from components.errors import EverfitError, NotEnoughRows, SchemaMismatch, TrainingFailed
from components.records.rows import Schema
from components.settings.plugins import make
from components.settings.project import TrainingSettings
from components.training.batches import OrderedBatches, TensorBatches, Tensors
from components.training.encoding import Encoder
from components.training.jobs import Job
from components.training.models import Inputs
from components.training.progress import BEST, LAST, LOSS, History, callbacks
from components.training.recency import weights_by_age
from components.training.teaching import blend, first_encoder, load_weights

log = logging.getLogger(__name__)


def train(job: Job) -> None:
    """Fit the job's model and leave it in the job's folder; goes on from the job's checkpoint if there is one.

    Raises:
        ModelRefused: If the model to begin with, or the teacher, cannot be read.
        NotEnoughRows: If a part has no rows.
        SchemaMismatch: If the rows are not those of the schema, or have no event time to weigh them by.
        TrainingFailed: If the loss is not a number, or the network does not log `validation_loss`.
        ProjectFileError: If the network's class cannot be imported or refuses its arguments.
    """
    started = time.monotonic()
    torch.set_num_threads(job.settings.threads)
    seed_everything(job.settings.seed, verbose=False)
    rows = _rows(job.train)
    encoder = first_encoder(job, rows)
    learn, choose = (_tensors(frame, encoder, job.schema) for frame in (rows, _rows(job.validation)))
    learn = (*learn[:-1], blend(learn[-1], rows, job))
    inputs = _inputs(encoder, job.schema, job.settings, len(rows))
    network = _network(job, inputs, learn)
    weights = weights_by_age(rows, job.schema, job.half_life) if job.half_life else None
    history = _fit(network, learn, choose, job, weights)
    kept = _keep(network, history, job)
    encoder.write(job.folder / "encoder.json")
    _write_model(network, inputs, job, history, kept, time.monotonic() - started)


def _rows(path: Path) -> pl.DataFrame:
    frame = pl.read_parquet(path)
    if frame.is_empty():
        raise NotEnoughRows(f"{path} must hold rows to train with, but holds none; take a longer time of the table")
    return frame


def _tensors(frame: pl.DataFrame, encoder: Encoder, schema: Schema) -> Tensors:
    numbers, categories = encoder.encode(frame)
    return torch.from_numpy(numbers), torch.from_numpy(categories), torch.from_numpy(_target(frame, schema))


def _target(frame: pl.DataFrame, schema: Schema) -> np.ndarray:
    """The target, shape (rows,): float32 0 and 1, float32 values, or int64 places in the schema's classes."""
    if schema.target not in frame.columns:
        raise SchemaMismatch(f"training wants the target {schema.target!r}, but the rows hold {frame.columns}")
    column = frame[schema.target]
    if schema.target_kind == "multiclass":
        places = {name: place for place, name in enumerate(schema.classes)}
        column = column.cast(pl.String).replace_strict(places, default=None, return_dtype=pl.Int64)
    if column.null_count():
        raise SchemaMismatch(
            f"training wants a label in every row of {schema.target!r}, but {column.null_count():,} of "
            f"{frame.height:,} rows have none, or a class other than {list(schema.classes)}; mend the table"
        )
    return column.cast(pl.Int64 if schema.target_kind == "multiclass" else pl.Float32).to_numpy(writable=True)


def _inputs(encoder: Encoder, schema: Schema, settings: TrainingSettings, rows: int) -> Inputs:
    steps = max(1, rows // settings.batch_rows)
    return Inputs(
        numbers=len(encoder.numbers),
        cardinalities=encoder.cardinalities,
        outputs=len(schema.classes) if schema.target_kind == "multiclass" else 1,
        kind=schema.target_kind,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        total_steps=settings.max_epochs * steps,
    )


def _network(job: Job, inputs: Inputs, learn: Tensors) -> LightningModule:
    network = make(job.settings.model, inputs)
    if not isinstance(network, LightningModule):
        raise TrainingFailed(
            f"training wants a LightningModule, but {job.settings.model.class_path} is none; "
            "inherit from lightning.LightningModule"
        )
    if job.start is not None:
        load_weights(network, job.start)
    elif callable(prepare := getattr(network, "prepare", None)):
        prepare(learn[0], learn[2])
    return network


def _fit(network: LightningModule, learn: Tensors, choose: Tensors, job: Job, weights: torch.Tensor | None) -> History:
    settings, history = job.settings, History()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=settings.max_epochs,
        callbacks=callbacks(settings, history, job.checkpoints),
        gradient_clip_val=1.0,
        deterministic=True,
        num_sanity_val_steps=0,
        default_root_dir=job.folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = TensorBatches(
        *learn,
        batch_rows=settings.batch_rows,
        seed=settings.seed,
        epoch=lambda: trainer.current_epoch,
        weights=weights,
    )
    last = job.checkpoints / LAST
    if last.is_file():
        log.info("training resumed checkpoint=%s", last)
    resume: dict[str, Any] = {"ckpt_path": last, "weights_only": True} if last.is_file() else {}
    trainer.fit(network, batches, OrderedBatches(*choose), **resume)
    return history


def _keep(network: LightningModule, history: History, job: Job) -> int:
    """Put the weights that are wanted into the network; which epoch they are of, from 1."""
    losses = [entry[LOSS] for entry in history.epochs]
    if not losses or not all(map(math.isfinite, losses)):
        raise TrainingFailed(
            f"training wants a finite {LOSS} each epoch, but found {losses}; lower training.learning_rate, "
            f"or let the network's validation_step log {LOSS!r}"
        )
    if job.settings.keep == "last":
        return len(losses)
    state = torch.load(job.checkpoints / BEST, weights_only=True)
    network.load_state_dict(state["state_dict"])
    return int(np.argmin(losses)) + 1


def _write_model(
    network: LightningModule, inputs: Inputs, job: Job, history: History, kept: int, seconds: float
) -> None:
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, job.folder / "weights.safetensors"
    )
    plugin = job.settings.model
    facts = {
        "epochs": len(history.epochs),
        "best_epoch": kept,
        "validation_loss": history.epochs[kept - 1][LOSS],
        "seconds": round(seconds, 3),
        "parameters": sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
        "peak_mb": round(peak_mb(), 1),
    }
    model = {"class_path": plugin.class_path, "init_args": plugin.init_args, "inputs": inputs}
    for name, content in {"model": model, "history": history.epochs, "fitted": facts}.items():
        (job.folder / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _end_with_parent() -> None:
    """End when the pipe on stdin closes: however the flow dies, it leaves no training behind."""

    def wait() -> None:
        # Not through sys.stdin: its lock, held here, would make Python abort at the ordinary end.
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(arguments: list[str]) -> int:
    """Run one job; the exit status."""
    if "--with-parent" in arguments:
        _end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for chatty in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    try:
        train(Job.read(Path(arguments[0])))
    except EverfitError as err:
        print(err, file=sys.stderr, flush=True)  # noqa: T201 - the sentence that the parent shows
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
