"""Finds columns that know the answer: alone, one of them ranks the target better than any honest column could.

Each column is cut into bins, half of the rows tell the target's mean in each bin, and the other half are ranked by it.
So a leak need not be a straight line, a missing value counts as a bin, and a column of many categories gets no credit
for what it has learned by heart.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from components.errors import LeakFound
from components.records.rows import Column, Schema
from components.settings.project import DataSettings

# Area under the ROC curve from which a column of a classification counts as a leak. On the flights of January to April
# dep_delay reaches 0.90 and the best honest column 0.61.
HIGHEST_AREA = 0.85
# Rank correlation for a regression: yesterday's price honestly ranks today's at 0.95 and more.
HIGHEST_CORRELATION = 0.98
# Fewer rows rank anything well by chance.
FEWEST_ROWS = 100
# More rows do not change the second decimal, and a year of flights would take seconds.
MOST_ROWS = 100_000
MOST_BINS = 256

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """How well one column alone ranks the target.

    Attributes:
        column: Name of the column.
        score: Area under the ROC curve, 0.5 to 1 (of several classes the highest); for a regression the absolute rank
            correlation, 0 to 1.
    """

    column: str
    score: float


def check_leaks(frame: pl.DataFrame, schema: Schema, data: DataSettings) -> None:
    """Nothing, if no feature alone ranks the target suspiciously well.

    Raises:
        LeakFound: With every feature that does, and its score.
    """
    regression = schema.target_kind == "regression"
    limit = data.leak_score or (HIGHEST_CORRELATION if regression else HIGHEST_AREA)
    found = [one for one in suspicions(frame, schema) if one.score >= limit]
    if found:
        measure = "a rank correlation" if regression else "an area under the ROC curve"
        named = ", ".join(f"{one.column!r} reaches {one.score:.3f}" for one in found)
        raise LeakFound(
            f"no column alone may rank {schema.target!r} with {measure} of {limit:g} or more, but {named}; "
            f"if it is known only afterwards put it under data.drop, if it is honest raise data.leak_score"
        )


def suspicions(frame: pl.DataFrame, schema: Schema) -> list[Suspicion]:
    """Every feature with its score, highest first; none if there are too few rows to say.

    Args:
        frame: Labelled rows; of more than 100,000 evenly spaced ones are looked at.
        schema: What a row looks like.
    """
    rows = frame.filter(pl.col(schema.target).is_not_null())
    if rows.height < FEWEST_ROWS:
        return []
    rows = rows.gather_every(-(-rows.height // MOST_ROWS))
    targets = _targets(rows[schema.target], schema)
    found = [Suspicion(column.name, _score(rows[column.name], column, targets, schema)) for column in schema.features]
    return sorted(found, key=lambda one: -one.score)


def _targets(series: pl.Series, schema: Schema) -> list[Array]:
    """The target as numbers; for several classes one array each, 1 where a row is of it."""
    if schema.target_kind == "multiclass":
        return [(series == name).to_numpy().astype(np.float64) for name in schema.classes]
    return [series.to_numpy().astype(np.float64)]


def _score(series: pl.Series, column: Column, targets: list[Array], schema: Schema) -> float:
    bins = _bins(series, column)
    # Shuffled, since a table is in the order of time and neighbours are alike.
    halves = np.random.default_rng(0).permutation(bins.size) % 2
    scores = []
    for target in targets:
        for half in (0, 1):
            known, asked = halves == half, halves != half
            guess = _means(bins[known], target[known], int(bins.max()) + 1)[bins[asked]]
            scores.append(_rank_score(guess, target[asked], schema))
    return float(np.max(np.asarray(scores).reshape(len(targets), 2).mean(axis=1)))


def _bins(series: pl.Series, column: Column) -> Array:
    """The bin of each row, from 0 on; missing is bin 0."""
    if column.kind == "category" or series.n_unique() <= MOST_BINS:
        codes = series.rank("dense")
    else:
        ranks = series.rank("average")
        codes = (ranks * (min(MOST_BINS, int(series.len() ** 0.5)) / series.len())).floor() + 1
    return codes.fill_null(0).cast(pl.Int64).to_numpy()


def _means(bins: Array, target: Array, size: int) -> Array:
    """The target's mean in each of `size` bins; the overall mean in a bin without rows."""
    sums, counts = np.bincount(bins, target, size), np.bincount(bins, minlength=size)
    return np.where(counts, sums / np.maximum(counts, 1), target.mean())


def _rank_score(guess: Array, target: Array, schema: Schema) -> float:
    ranks = _ranks(guess)
    if schema.target_kind == "regression":
        if guess.min() == guess.max() or target.min() == target.max():
            return 0.0
        return abs(float(np.corrcoef(ranks, _ranks(target))[0, 1]))
    positives = float(target.sum())
    negatives = target.size - positives
    if not positives or not negatives:
        return 0.5
    # Mann and Whitney (1947): the area is the share of pairs in which the positive one is ranked higher.
    area = (ranks[target == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return max(area, 1 - area)


def _ranks(values: Array) -> Array:
    return pl.Series(values).rank("average").to_numpy()
