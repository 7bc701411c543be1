"""What it costs to judge a version, and to take in a year: each beside the plainest way to do the same work.

    python tests/benchmarks/judging.py

On real flights: the rows of deploy/projects/flight-delays.yaml, of which about 12,000 are judged, and two networks of
one epoch each. An interval stands beside a loop that draws the rows again and asks scikit-learn each time; a contest
beside two graphs that answer and an area under the curve for each; a scorecard beside one graph that answers and five
metrics; the year beside polars, which reads the same source and writes it to one Parquet file. The sides take turns;
best of three rounds, since what else the machine does only ever adds time.
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn import metrics as sklearn_metrics

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.data import schema as schemas  # noqa: E402 - the repository's root must be found first
from components.data import splits, tables  # noqa: E402
from components.data.sources import read_source  # noqa: E402
from components.evaluation.comparing import bootstrap_gains, compare  # noqa: E402
from components.evaluation.contest import Contender, contest  # noqa: E402
from components.evaluation.intervals import Answers  # noqa: E402
from components.evaluation.metrics import metric_named  # noqa: E402
from components.evaluation.predicting import predict  # noqa: E402
from components.evaluation.scorecards import score  # noqa: E402
from components.optimization.variants import build  # noqa: E402
from components.records.models import Variant  # noqa: E402
from components.records.rows import Split  # noqa: E402
from components.settings.evaluation import EvaluationSettings  # noqa: E402
from components.settings.optimization import OptimizationSettings  # noqa: E402
from components.settings.project import Project  # noqa: E402
from components.settings.reading import load_project  # noqa: E402
from components.training.fit import fit_model  # noqa: E402

ROUNDS = 3
TEST_DAYS = 14.0
SKLEARN = {
    "roc_auc": sklearn_metrics.roc_auc_score,
    "average_precision": sklearn_metrics.average_precision_score,
    "log_loss": sklearn_metrics.log_loss,
    "brier": sklearn_metrics.brier_score_loss,
    "accuracy": lambda truth, chance: sklearn_metrics.accuracy_score(truth, chance >= 0.5),
}
TABLE = Path(__file__).parent / "results" / "judging.txt"

Work = Callable[[], object]


def main() -> None:
    """Train two networks, measure in turns, print the table and keep it."""
    project = load_project(ROOT / "deploy" / "projects" / "flight-delays.yaml")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        split = flights(project, folder)
        graphs = [network(project, split, seed, folder / f"seed-{seed}") for seed in (7, 8)]
        works = intervals(split, graphs, project.evaluation)
        works |= judged(split, graphs, project.evaluation, folder)
        works |= year(project, folder)
        found = {name: [min(times) for times in take_turns(pair)] for name, pair in works.items()}
    lines = [
        f"$ python tests/benchmarks/judging.py    # {os.cpu_count()} cores, {platform.machine()}; "
        f"{split.train.rows:,} rows learned, {split.test.rows:,} judged; {datetime.now(UTC):%Y-%m-%d}",
        f"{'work':<42}{'ours (s)':>10}{'plainest (s)':>14}{'ratio':>8}",
    ]
    lines += [f"{name:<42}{ours:>10.3f}{plain:>14.3f}{ours / plain:>8.3f}" for name, (ours, plain) in found.items()]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    TABLE.write_text(text)


def flights(project: Project, folder: Path) -> Split:
    """The flights of the project file, with a shorter test part."""
    table = tables.ingest(project, folder / "tables")
    schema = schemas.infer_schema(tables.read_table(table), project.data)
    return splits.split(table, schema, project, folder / "split", test_days=TEST_DAYS)


def network(project: Project, split: Split, seed: int, folder: Path) -> Variant:
    """A network after one epoch, exported."""
    fitted = fit_model(split, project.training.model_copy(update={"max_epochs": 1, "seed": seed}), folder / "fit")
    variants, _ = build(fitted, {}, split, OptimizationSettings(variants=("fp32",)), folder / "variants")
    return variants[0]


def intervals(split: Split, graphs: list[Variant], settings: EvaluationSettings) -> dict[str, tuple[Work, Work]]:
    """The interval of the gain of one network over the other, by metric."""
    frame = pl.read_parquet(split.test.path)
    truth = frame["late"].to_numpy()
    outputs = [predict(graph.path, frame, graph.schema) for graph in graphs]
    sides = [Answers(one.prediction, one.probability) for one in outputs]
    works: dict[str, tuple[Work, Work]] = {}
    for name in ("roc_auc", "average_precision", "log_loss"):
        metric = metric_named(name)
        plain = partial(plain_bootstrap, SKLEARN[name], truth, sides, settings.bootstrap)
        works[f"compare {name}"] = partial(compare, metric, truth, sides[0], sides[1], settings), plain
        if name == "roc_auc":
            drawn = partial(bootstrap_gains, metric, truth, sides[0], sides[1], resamples=settings.bootstrap)
            works = {
                "compare roc_auc, DeLong": works.pop("compare roc_auc"),
                "compare roc_auc, drawn again": (drawn, plain),
            }
    return works


def plain_bootstrap(metric: Callable[..., float], truth: Any, sides: list[Answers], resamples: int) -> Any:
    """The same interval as a loop."""
    generator, gains = np.random.default_rng(0), []
    for _ in range(resamples):
        rows = generator.integers(truth.size, size=truth.size)
        first, second = (metric(truth[rows], side.probability[rows]) for side in sides)
        gains.append(first - second)
    return np.quantile(gains, [0.025, 0.975])


def judged(
    split: Split, graphs: list[Variant], settings: EvaluationSettings, folder: Path
) -> dict[str, tuple[Work, Work]]:
    """A whole contest, and a whole scorecard with its pictures and page."""
    candidate, champion = (Contender(graph.path, graph.schema) for graph in graphs)
    return {
        "contest of two graphs": (
            partial(contest, candidate, champion, split, settings),
            lambda: [plain_score(graph, split, ("roc_auc",)) for graph in graphs],
        ),
        "scorecard of a graph": (
            partial(score, graphs[0], split, settings, folder / "card"),
            lambda: plain_score(graphs[0], split, tuple(SKLEARN)),
        ),
    }


def plain_score(graph: Variant, split: Split, names: tuple[str, ...]) -> Mapping[str, float]:
    """The graph's answers, and scikit-learn's metrics of them."""
    frame = pl.read_parquet(split.test.path)
    chance = predict(graph.path, frame, graph.schema).probability
    return {name: SKLEARN[name](frame["late"].to_numpy(), chance) for name in names}


def year(project: Project, folder: Path) -> dict[str, tuple[Work, Work]]:
    """The year of flights from its source to a table on disk: written the first time, found unchanged after that."""
    source = project.data.source.model_copy(update={"init_args": {}})
    data = project.data.model_copy(update={"source": source})
    whole = project.model_copy(update={"data": data})
    numbers = iter(range(ROUNDS + 1))

    def plain() -> None:
        read_source(data, project.file.parent).write_parquet(folder / "year.parquet")

    return {
        "ingest the year, new": (lambda: tables.ingest(whole, folder / f"year-{next(numbers)}"), plain),
        "ingest the year, unchanged": (lambda: tables.ingest(whole, folder / "year-0"), plain),
    }


def take_turns(works: tuple[Work, ...]) -> list[list[float]]:
    """Wall seconds of each round of each work."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, found in zip(works, times, strict=True):
            begun = time.perf_counter()
            work()
            found.append(time.perf_counter() - begun)
    return times


if __name__ == "__main__":
    main()
