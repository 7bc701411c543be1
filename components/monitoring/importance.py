"""How much each column moves the answers of a version, so that drift where it matters weighs more.

No labels are needed, so it is not how much a column helps: a column that the model follows into error is important too.
"""

import numpy as np
import polars as pl

from components.data.feeds import feeds
from components.monitoring.references import Array, ask, open_graph
from components.records.models import ModelFiles

# The mean over so many rows is within 2 % of that over all; twenty columns take 50 ms.
ROWS = 2_000
SEED = 11
# Of the last version asked: the same for each of its windows, and half the time of measuring one without a page.
_last: dict[tuple[str, ...], dict[str, float]] = {}


def importances(files: ModelFiles, trained: pl.DataFrame, names: list[str]) -> dict[str, float]:
    """Share of each column in what moves the version's answer, 0 to 1; together 1.

    Each column in turn is shuffled among the rows, and the graph that is served asked again: the mean absolute change
    of the probability, the classes' probabilities, or the value. Two columns that say the same share their importance.

    Args:
        files: The version.
        trained: The sample of training rows.
        names: The columns that are looked at; others stay as they are and get no share.

    Returns:
        By column; empty if no column moves the answer.

    Raises:
        ModelRefused: If the graph cannot be run on these rows.
    """
    key = (files.version.sha256, str(files.graph), str(trained.hash_rows().sum()), *trained.columns, "", *names)
    if key not in _last:
        found = _measured(files, trained, names)
        _last.clear()
        _last[key] = found
    return dict(_last[key])


def _measured(files: ModelFiles, trained: pl.DataFrame, names: list[str]) -> dict[str, float]:
    """The shares, asked of the graph."""
    rng = np.random.default_rng(SEED)
    drawn = trained if trained.height <= ROWS else trained[np.sort(rng.choice(trained.height, ROWS, replace=False))]
    graph = open_graph(files)
    output = _telling_output({each.name for each in graph.get_outputs()}, files)
    fed = feeds(drawn, files.schema)
    usual = ask(graph, fed, files, output)
    moved = {}
    for name in names:
        shuffled = fed | {name: fed[name][rng.permutation(drawn.height)]}
        moved[name] = _change(usual, ask(graph, shuffled, files, output))
    total = sum(moved.values())
    return {name: change / total for name, change in moved.items()} if total > 0 else {}


def _telling_output(outputs: set[str], files: ModelFiles) -> str:
    """The output that changes with the least change of the answer."""
    finest = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}
    output = finest[files.schema.target_kind]
    return output if output in outputs else "prediction"


def _change(usual: Array, shuffled: Array) -> float:
    """Mean absolute change; of class numbers, which have no distance, the share that changed."""
    if usual.dtype.kind == "f":
        changes = np.abs(shuffled.astype(np.float64) - usual)
    else:
        changes = (shuffled != usual).astype(np.float64)
    finite = changes[np.isfinite(changes)]
    return float(finite.mean()) if finite.size else 0.0
