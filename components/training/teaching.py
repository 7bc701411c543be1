"""What a training takes from a model that was fitted before: weights to begin with, or a teacher's answers.

A teacher speaks through the targets: each training row's label is blended with what the teacher answers to that row.
So every network with an ordinary loss can be a student, and needs to know nothing of it.

Source:
    Hinton et al. (2015), Distilling the Knowledge in a Neural Network, arXiv:1503.02531; at temperature 1, where
    blending the targets is blending the losses.
"""

import json
from pathlib import Path

import polars as pl
import torch
from lightning import LightningModule
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from components.errors import ModelRefused
from components.records.rows import Schema
from components.settings.plugins import make
from components.training.encoding import Encoder
from components.training.jobs import Job, network_of

# Rows in one call of the teacher: as OrderedBatches, some tens of megabytes for a usual network.
BATCH_ROWS = 8_192


def first_encoder(job: Job, frame: pl.DataFrame) -> Encoder:
    """The encoder of the model to begin with, else of the teacher, else learned from these training rows.

    Raises:
        ModelRefused: If that model's encoder is missing or broken.
        SchemaMismatch: If a feature column is not there.
    """
    before = job.start or job.teacher
    return Encoder.fit(frame, job.schema) if before is None else _encoder(before)


def load_weights(network: LightningModule, folder: Path) -> None:
    """Put the weights and buffers of the model that was fitted there into the network.

    Raises:
        ModelRefused: If they are missing, broken, or of other shapes than the network's.
    """
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except (OSError, ValueError, RuntimeError) as err:
        raise ModelRefused(
            f"{folder} must hold the weights of a {type(network).__name__}, but loading them failed: {err}; "
            "train that model again"
        ) from err


def blend(labels: Tensor, frame: pl.DataFrame, job: Job) -> Tensor:
    """The labels, blended with the teacher's answers to the same rows; unchanged without a teacher.

    Args:
        labels: Shape (rows,): 0 and 1, values, or places in the schema's classes.
        frame: The raw rows.
        job: Names the teacher and its weight.

    Returns:
        Float32 of shape (rows,): probabilities of class 1, or values; or (rows, classes): probabilities, each row
        summing to 1.

    Raises:
        ModelRefused: If the teacher's files are missing or broken.
    """
    if job.teacher is None:
        return labels
    answers = _answers(job.teacher, frame, job.schema)
    hard = functional.one_hot(labels, answers.shape[1]) if job.schema.target_kind == "multiclass" else labels
    return torch.lerp(hard.to(answers.dtype), answers, job.teacher_weight)


def _answers(teacher: Path, frame: pl.DataFrame, schema: Schema) -> Tensor:
    """The teacher's probabilities or values, from its own encoding of the rows."""
    numbers, categories = (torch.from_numpy(values) for values in _encoder(teacher).encode(frame))
    network = make(network_of(teacher), _inputs(teacher))
    load_weights(network, teacher)
    network.eval()
    with torch.inference_mode():
        batches = zip(numbers.split(BATCH_ROWS), categories.split(BATCH_ROWS), strict=True)
        scores = torch.cat([network(*batch) for batch in batches])
    if schema.target_kind == "multiclass":
        return scores.softmax(dim=1).clone()
    values = scores.reshape(-1)
    return (values.sigmoid() if schema.target_kind == "binary" else values).clone()


def _inputs(folder: Path) -> dict[str, object]:
    inputs: dict[str, object] = json.loads((folder / "model.json").read_text(encoding="utf-8"))["inputs"]
    return inputs


def _encoder(folder: Path) -> Encoder:
    try:
        return Encoder.read(folder / "encoder.json")
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise ModelRefused(
            f"{folder}/encoder.json must say how raw columns are encoded, but reading it failed: {err!r}; "
            "train that model again"
        ) from err
