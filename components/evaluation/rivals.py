"""What was seen of a challenger beside the champion, as numbers that a decision can rest on.

A shadow answered the very rows that the champion did: answers are compared row by row, quality by the paired interval.
A canary answered other rows, chosen by chance: only distributions and averages can be compared, with wider doubt.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from components.evaluation.comparing import Comparison, compare, compare_apart
from components.evaluation.intervals import Answers
from components.evaluation.metrics import metric_named
from components.evaluation.predicting import Array
from components.evaluation.truths import true_answers
from components.records.rows import Schema
from components.settings.evaluation import EvaluationSettings

# So sure is the interval of a quantile or of a share: at each of a few hundred looks, so it must hold at all of them.
SURE = 0.999
SIGMAS = 3.29
# The p99 of fewer requests is their slowest one.
FEWEST_REQUESTS = 100
# Of the interval of the gain on live labels: with 95 % at each of many looks, 6 of 300 rollouts of equal models ended.
SURE_OF_QUALITY = 0.995
# On fewer labelled rows of a side the interval promises more than it holds.
FEWEST_LABELLED = 100
# A regression's answer counts as another one if it is this share of the spread of the champion's answers away.
TOLERANCE = 0.25


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A number that was measured on some rows, and the interval that holds the true one."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that `advance` may look at; None for what is not known.

    Attributes:
        champion: Number of the version that is champion now.
        rows: Rows that the challenger answered in this step.
        champion_rows: Rows that the champion answered in this step.
        asked: Requests that the challenger was asked, since its endpoint started; None if the endpoint does not say.
        failed: Requests of these that it failed.
        p99_ms: Latency that 1 % of the requests with its answer exceeded in this step; None with too few requests.
        champion_p99_ms: The champion's, in the same time.
        disagreement: Share of rows answered otherwise than by the champion; of a canary, the share that it must be at
            least, as the distributions of the answers show.
        labelled_rows: Rows that the challenger answered since the rollout began and whose labels have come.
        quality: The challenger against the champion on live labels since the rollout began; None with fewer than 100
            of either side.
        refused: Why an endpoint did not take it; empty if none refused.
    """

    champion: int
    rows: int
    champion_rows: int
    asked: int | None = None
    failed: int | None = None
    p99_ms: Doubtful | None = None
    champion_p99_ms: Doubtful | None = None
    disagreement: Doubtful | None = None
    labelled_rows: int = 0
    quality: Comparison | None = None
    refused: str = ""


def p99(frame: pl.DataFrame) -> Doubtful | None:
    """The latency that 1 % of the requests exceed, in ms, with an interval of order statistics; None with too few.

    Args:
        frame: One side's rows, with `request_id` and `latency_ms`; the rows of one request share them.
    """
    latencies = np.sort(frame.unique("request_id", keep="any")["latency_ms"].drop_nulls().to_numpy())
    count = latencies.size
    if count < FEWEST_REQUESTS:
        return None
    reach = SIGMAS * math.sqrt(count * 0.99 * 0.01)
    low, middle, high = (latencies[min(max(int(count * 0.99 + by), 0), count - 1)] for by in (-reach, 0, reach))
    return Doubtful(float(middle), float(low), float(high))


def disagreement(frame: pl.DataFrame, schema: Schema, *, is_paired: bool) -> Doubtful | None:
    """Share of rows that the two answer otherwise, 0 to 1; None while one side has no rows.

    Paired, it is counted. Else it is the least share that explains how far the distributions of the answers lie apart
    (total variation of classes; of values, the same up to a tolerance). Its doubt is that of Hoeffding's and of the
    Dvoretzky-Kiefer-Wolfowitz inequality.

    Source:
        Strassen (1965), The Existence of Probability Measures with Given Marginals, for the least share.
    """
    ours, theirs = _sides(frame)
    if is_paired:
        both = ours.join(theirs, on="prediction_id", suffix="_of_champion")
        answers = [both[name].cast(pl.Float64).to_numpy() for name in ("prediction", "prediction_of_champion")]
        if not answers[0].size:
            return None
        away = np.abs(answers[0] - answers[1]) > _tolerance(answers[1], schema)
        return _doubtful(float(away.mean()), _hoeffding(away.size))
    answers = [side["prediction"].cast(pl.Float64).drop_nulls().to_numpy() for side in (ours, theirs)]
    if not all(values.size for values in answers):
        return None
    is_number = schema.target_kind == "regression"
    apart = _least_share(answers[0], answers[1], _tolerance(answers[1], schema), is_number=is_number)
    return _doubtful(apart, sum(_hoeffding(values.size) for values in answers))


def quality(
    frame: pl.DataFrame,
    schema: Schema,
    settings: EvaluationSettings,
    *,
    is_paired: bool,
    confidence: float = SURE_OF_QUALITY,
) -> Comparison | None:
    """Challenger against champion on the rows whose labels have come; None if either side has fewer than 100.

    Args:
        frame: Rows of both sides since the rollout began. A canary's steps are put together, though its share grew.
        schema: Kind of the target, and its classes.
        settings: The metric and the number of resamples.
        is_paired: Whether both sides answered the same rows.
        confidence: Coverage of the interval of the gain, between 0 and 1.
    """
    metric = metric_named(settings.metric)
    ours, theirs = _sides(frame.filter(pl.col("label").is_not_null()))
    if is_paired:
        ours = ours.join(theirs.select("prediction_id"), on="prediction_id", how="semi").sort("prediction_id")
        theirs = theirs.join(ours.select("prediction_id"), on="prediction_id", how="semi").sort("prediction_id")
    if min(ours.height, theirs.height) < FEWEST_LABELLED:
        return None
    truths = [true_answers(side.rename({"label": schema.target}), schema) for side in (ours, theirs)]
    candidate, champion = _answers(ours, schema), _answers(theirs, schema)
    if is_paired:
        return compare(metric, truths[0], candidate, champion, settings, confidence=confidence)
    return compare_apart(metric, (truths[0], candidate), (truths[1], champion), settings, confidence=confidence)


def _sides(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return frame.filter(pl.col("is_challenger")), frame.filter(~pl.col("is_challenger"))


def _answers(side: pl.DataFrame, schema: Schema) -> Answers:
    prediction = side["prediction"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    if schema.target_kind == "regression":
        return Answers(prediction, None)
    if schema.target_kind == "binary":
        return Answers(prediction, side["probability"].fill_null(math.nan).to_numpy())
    nothing = [math.nan] * len(schema.classes)
    return Answers(prediction, np.array([row or nothing for row in side["probabilities"].to_list()], dtype=np.float64))


def _tolerance(of_champion: Array, schema: Schema) -> float:
    """How far apart two answers may lie and still count as the same: classes must be equal."""
    return TOLERANCE * float(np.nanstd(of_champion)) if schema.target_kind == "regression" else 0.0


def _least_share(ours: Array, theirs: Array, tolerance: float, *, is_number: bool) -> float:
    if not is_number:
        classes = np.union1d(ours, theirs)
        gaps = [abs(float((ours == one).mean()) - float((theirs == one).mean())) for one in classes]
        return sum(gaps) / 2
    at = np.concatenate([ours, theirs])
    beyond = [_below(one, at) - _below(other, at + tolerance) for one, other in ((ours, theirs), (theirs, ours))]
    return max(0.0, *(float(gaps.max()) for gaps in beyond))


def _below(values: Array, at: Array) -> Array:
    return np.searchsorted(np.sort(values), at, side="right") / values.size


def _hoeffding(rows: int) -> float:
    return math.sqrt(math.log(2 / (1 - SURE)) / (2 * rows))


def _doubtful(share: float, doubt: float) -> Doubtful:
    return Doubtful(share, max(share - doubt, 0.0), min(share + doubt, 1.0))
