"""Proof that a variant gives the answers of the network it was made from.

Both answer the same rows: the validation rows, and rows at the edges of what an application may send. The network gets
what `encoders` makes of a row in numpy, the graph gets the raw row, so the encoding is proven with the network.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars
import torch

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.optimization.encoders import Array, Encoder
from components.optimization.engines import Columns, Engine
from components.optimization.networks import OUTPUTS, Answering
from components.records.rows import Schema

# More validation rows than this prove no more; they are taken evenly from all of them.
MOST_ROWS = 20_000
BATCH_ROWS = 4_096
# What an application may send and no table holds: missing, unseen, of another script, empty, blank, very long.
EDGE_NUMBERS = (np.nan, 1e300, -1e300, 0.0)
EDGE_TEXTS = ("", "never-seen-before", "Zürich 東京 🛫", " ", "x" * 1_000)


@dataclass(frozen=True, slots=True)
class Witness:
    """What the trained network answers to rows as they come and to rows at the edges.

    Attributes:
        columns: The raw columns of these rows.
        answers: The network's outputs by name.
    """

    columns: Columns
    answers: Columns

    @classmethod
    def of(cls, network: Answering, encoder: Encoder, validation: Path, schema: Schema) -> "Witness":
        """The network's answers to validation rows, 20,000 at most, and to the edge rows behind them.

        Args:
            network: The trained network.
            encoder: How raw columns become its inputs.
            validation: Parquet file of the validation rows.
            schema: What a row looks like.
        """
        columns = _with_edges(_sample(validation, schema), schema)
        answers = [_answers(network, encoder, batch) for batch in _batches(columns)]
        return cls(columns, {name: np.concatenate([part[name] for part in answers]) for name in answers[0]})

    @property
    def rows(self) -> int:
        """How many rows were answered."""
        return len(self.answers["prediction"])


def check_parity(graph: Path, engine: Engine, witness: Witness, budget: float) -> float:
    """The largest difference between the graph's answers and the network's; at most the budget.

    Probabilities differ absolutely; values of a regression relative to their size where that is above 1, as float32
    itself is exact to 7 digits only. A class may differ only where its probability is a tie within the budget.

    Args:
        graph: The file, for the message.
        engine: The graph, loaded.
        witness: The answers of the network it was made from.
        budget: Largest difference that is let through.

    Raises:
        ModelRefused: If the difference is above the budget, or an answer is not finite.
    """
    found = _run(engine, witness.columns)
    worst = max(_difference(found, witness.answers), _flips(found, witness.answers, budget))
    if not worst <= budget:
        raise ModelRefused(
            f"{graph} must answer as the network does, to within {budget:g}, but on {witness.rows:,} rows the largest "
            f"difference is {worst:.3g} (inf: an answer is not finite, or a class differs); look for an operator "
            "that exports differently, or raise optimization.budget.max_difference"
        )
    return worst


def difference(graph: Path, engine: Engine, witness: Witness) -> float:
    """The largest difference of a variant that is allowed to differ, measured as for parity; classes may differ too.

    Raises:
        ModelRefused: If an answer is not finite.
    """
    worst = _difference(_run(engine, witness.columns), witness.answers)
    if not np.isfinite(worst):
        raise ModelRefused(
            f"{graph} must have a finite answer for each of {witness.rows:,} rows, the rows at the edges among them, "
            "but has not; leave this variant out of optimization.variants"
        )
    return worst


def edge_rows(schema: Schema) -> Columns:
    """Rows of each extreme number beside each strange text, as the graph takes them: 20 of them."""
    pairs = [(number, text) for number in EDGE_NUMBERS for text in EDGE_TEXTS]
    numbers = np.array([number for number, _ in pairs])
    texts = np.array([text for _, text in pairs], dtype=object)
    return {column.name: numbers if column.kind == "number" else texts for column in schema.features}


def _sample(validation: Path, schema: Schema) -> Columns:
    frame = polars.read_parquet(validation, columns=[column.name for column in schema.features])
    return feeds(frame.gather_every(max(1, -(-frame.height // MOST_ROWS))), schema)


def _with_edges(columns: Columns, schema: Schema) -> Columns:
    edges = edge_rows(schema)
    return {name: np.concatenate([values.astype(edges[name].dtype), edges[name]]) for name, values in columns.items()}


def _batches(columns: Columns) -> list[Columns]:
    rows = len(next(iter(columns.values())))
    starts = range(0, rows, BATCH_ROWS)
    return [{name: values[start : start + BATCH_ROWS] for name, values in columns.items()} for start in starts]


def _run(engine: Engine, columns: Columns) -> Columns:
    parts = [engine.run(batch) for batch in _batches(columns)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _answers(network: Answering, encoder: Encoder, batch: Columns) -> Columns:
    numbers, categories = encoder.encode(batch)
    with torch.inference_mode():
        answers = network(torch.from_numpy(numbers), torch.from_numpy(categories))
    return {name: answer.numpy() for name, answer in zip(OUTPUTS[network.kind], answers, strict=True)}


def _difference(found: Columns, wanted: Columns) -> float:
    """Largest difference of the outputs that are measured, not counted; infinite if one is not finite."""
    worst = 0.0
    for name, values in wanted.items():
        if values.dtype.kind == "f":
            scale = np.maximum(1, np.abs(values.astype(np.float64)))
            gaps: Array = np.abs(found[name].astype(np.float64) - values) / scale
            worst = max(worst, float(gaps.max()) if np.isfinite(gaps).all() else float("inf"))
    return worst


def _flips(found: Columns, wanted: Columns, budget: float) -> float:
    """Infinite if a class differs where the network was not undecided to within the budget; else 0."""
    differs = found["prediction"] != wanted["prediction"]
    if "probability" in wanted:
        undecided = np.abs(wanted["probability"] - 0.5) <= budget
    elif "probabilities" in wanted:
        best = np.sort(wanted["probabilities"], axis=1)
        undecided = best[:, -1] - best[:, -2] <= 2 * budget
    else:
        return 0.0
    return float("inf") if bool((differs & ~undecided).any()) else 0.0
