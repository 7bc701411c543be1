"""Proof that the exported graph gives the answers of the network it was made from.

Both answer the same rows: the validation rows, and rows at the edges of what an application may send. The network gets
what `encoders` makes of a row in numpy, the graph gets the raw row, so the encoding is proven with the network.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import polars
import torch

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.optimization.encoders import Array, Encoder
from components.optimization.networks import OUTPUTS, Answering
from components.records.rows import Schema
from components.settings.optimization import OptimizationSettings

# More validation rows than this prove no more; they are taken evenly from all of them.
MOST_ROWS = 20_000
BATCH_ROWS = 4_096
# What an application may send and no table holds: missing, unseen, of another script, empty, blank, very long.
EDGE_NUMBERS = (np.nan, 1e300, -1e300, 0.0)
EDGE_TEXTS = ("", "never-seen-before", "Zürich 東京 🛫", " ", "x" * 1_000)

Columns = dict[str, Array]


def check_parity(
    graph: Path,
    network: Answering,
    encoder: Encoder,
    validation: Path,
    schema: Schema,
    settings: OptimizationSettings,
) -> float:
    """The largest difference between the graph's answers and the network's; at most the budget's `max_difference`.

    Probabilities differ absolutely; values of a regression relative to their size where that is above 1, as float32
    itself is exact to 7 digits only. A class may differ only where its probability is a tie within the budget.

    Args:
        graph: The exported file.
        network: The network it was made from.
        encoder: How raw columns become the network's inputs.
        validation: Parquet file of the validation rows.
        schema: What a row looks like.
        settings: The budget.

    Raises:
        ModelRefused: If the difference is above the budget, an answer is not finite, or the graph cannot be run.
    """
    columns = _with_edges(_sample(validation, schema), schema)
    session = _session(graph)
    names = OUTPUTS[network.kind]
    worst, budget = 0.0, settings.budget.max_difference
    rows = len(next(iter(columns.values())))
    for start in range(0, rows, BATCH_ROWS):
        batch = {name: values[start : start + BATCH_ROWS] for name, values in columns.items()}
        wanted = _answers(network, encoder, batch)
        found = dict(zip(names, session.run(names, batch), strict=True))
        worst = max(worst, _difference(found, wanted), _flips(found, wanted, budget))
    if not worst <= budget:
        raise ModelRefused(
            f"{graph} must answer as the network does, to within {budget:g}, but on {rows:,} rows the largest "
            f"difference is {worst:.3g} (inf: an answer is not finite, or a class differs); look for an operator "
            "that exports differently, or raise optimization.budget.max_difference"
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
            gaps = np.abs(found[name].astype(np.float64) - values) / scale
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


def _session(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime raises a class of its own for each kind of failure
        raise ModelRefused(
            f"{graph} must be a graph that onnxruntime {onnxruntime.__version__} can run, but loading failed: {err}; "
            "look for an operator it does not know"
        ) from err
