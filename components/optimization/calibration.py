"""One temperature for the logits, so that probabilities mean what they say: of ten rows at 0.7, seven are positive.

A network trained to the end is often too sure. One number fitted on the validation rows mends most of that, and changes
neither the order of the rows nor any class. It is part of the network from then on, so every variant has it.
"""

import logging
import math
from pathlib import Path

import numpy as np
import polars
import torch

from components.data.feeds import feeds
from components.errors import SchemaMismatch
from components.optimization.encoders import Array, Encoder
from components.optimization.networks import Answering
from components.records.rows import Schema

log = logging.getLogger(__name__)

# Farther from 1 the network has learned nothing, or the validation rows are others than it knows.
COOLEST, HOTTEST = 0.05, 20.0
# Each step leaves 0.618 of the interval: 40 of them find the temperature to within a millionth.
STEPS = 40
GOLDEN = (math.sqrt(5) - 1) / 2


def calibrated(network: Answering, encoder: Encoder, validation: Path, schema: Schema) -> Answering:
    """The network with the temperature that these rows ask for; itself for a regression, or if none is better than 1.

    Args:
        network: The trained network.
        encoder: How raw columns become its inputs.
        validation: Parquet file of the validation rows, with their labels.
        schema: What a row looks like.

    Raises:
        SchemaMismatch: If the labels are not there, or not of the classes that the schema knows.
    """
    if schema.target_kind == "regression":
        return network
    frame = polars.read_parquet(validation)
    numbers, categories = encoder.encode(feeds(frame, schema))
    with torch.inference_mode():
        scores = network.network(torch.from_numpy(numbers), torch.from_numpy(categories)).double().numpy()
    labels = _labels(frame, schema)
    temperature = best_temperature(scores.reshape(len(labels), -1), labels)
    before, after = (_log_loss(scores.reshape(len(labels), -1) / value, labels) for value in (1.0, temperature))
    log.info("probabilities calibrated temperature=%.4f log_loss=%.5f before=%.5f", temperature, after, before)
    return network.with_temperature(temperature) if temperature != 1.0 else network


def best_temperature(scores: Array, labels: Array) -> float:
    """The temperature with the lowest log loss, 0.05 to 20; 1 if none has a lower one than that.

    Args:
        scores: Logits, shape (rows, 1) for a binary target, else (rows, classes).
        labels: Class of each row, shape (rows,), integers from 0.

    Source:
        Guo et al. (2017), On Calibration of Modern Neural Networks, arXiv:1706.04599, section 4.2.
    """
    scores = np.asarray(scores, np.float64)
    if not len(labels) or not np.isfinite(scores).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        return _log_loss(scores / math.exp(log_temperature), labels)

    # The loss falls and then rises in the temperature's logarithm, so a golden section finds its one valley.
    low, high = math.log(COOLEST), math.log(HOTTEST)
    for _ in range(STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    temperature = round(math.exp((low + high) / 2), 6)
    return temperature if _log_loss(scores / temperature, labels) < _log_loss(scores, labels) else 1.0


def _log_loss(scores: Array, labels: Array) -> float:
    """Mean negative log-likelihood of the labels under logits of shape (rows, 1) or (rows, classes)."""
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    highest = scores.max(axis=1)
    total = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    return float((total - scores[np.arange(len(labels)), labels]).mean())


def _labels(frame: polars.DataFrame, schema: Schema) -> Array:
    """The target as integers from 0, shape (rows,)."""
    if schema.target not in frame.columns or frame[schema.target].null_count():
        raise SchemaMismatch(
            f"calibration wants a label in every validation row of {schema.target!r}, but some or all are missing; "
            "leave rows without a label out, or set optimization.calibration: none"
        )
    column = frame[schema.target]
    if schema.target_kind == "binary":
        labels = column.cast(polars.Int64)
    else:
        codes = {name: place for place, name in enumerate(schema.classes)}
        labels = column.cast(polars.String).replace_strict(codes, default=-1, return_dtype=polars.Int64)
    known = range(2 if schema.target_kind == "binary" else len(schema.classes))
    unknown = column.filter(~labels.is_in(list(known)))
    if len(unknown):
        raise SchemaMismatch(
            f"calibration wants classes that the model knows in {schema.target!r}, but {len(unknown):,} rows "
            f"hold others, such as {unknown[0]!r}; train again on a table that has them"
        )
    return labels.to_numpy()
