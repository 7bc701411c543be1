"""Simple models fitted on the same rows: what a network must beat before its numbers mean anything.

They are thrown away after the comparison: never exported, never served, never tuned. A network that gains nothing over
`constant` has learned nothing; one that gains nothing over `linear` is not worth its size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from components.data.feeds import feeds
from components.errors import NotEnoughRows, ProjectFileError
from components.evaluation.predicting import Array, Outputs
from components.evaluation.truths import true_answers
from components.records.rows import Part, Schema

# More rows change little: flights' linear ROC AUC is 0.6403 from 50,000 rows and 0.6408 from 77,911.
MOST_ROWS = 50_000
# Rarer categories share one column. HistGradientBoosting takes 255 bins, of which one is for what is missing.
MOST_CATEGORIES = 100
# Standard deviations: a broken number in one row must not decide a linear model's mean error.
FARTHEST = 10.0

Predict = Callable[[polars.DataFrame], Array]


@dataclass(frozen=True, slots=True)
class Comparator:
    """A fitted simple model.

    Attributes:
        name: `constant`, `linear` or `trees`.
        schema: The columns that it was fitted on.
        rows: Number of rows that it was fitted on.
        predict: Raw rows to float64 values, shape (rows,), or to probabilities, shape (rows, classes).
    """

    name: str
    schema: Schema
    rows: int
    predict: Predict

    def answers(self, frame: polars.DataFrame) -> Outputs:
        """Its answers to raw rows, in the form of a graph's answers.

        Raises:
            SchemaMismatch: If a feature column is missing.
        """
        values = self.predict(frame)
        if self.schema.target_kind == "regression":
            return Outputs(values, None)
        if self.schema.target_kind == "binary":
            return Outputs((values[:, 1] >= 0.5).astype(np.int64), values[:, 1])
        return Outputs(values.argmax(axis=1), values)


def fit_comparator(name: str, train: Part, schema: Schema, *, seed: int) -> Comparator:
    """A simple model fitted on the training rows; on 50,000 of them, evenly taken, where there are more.

    Args:
        name: `constant`: the mean, or the share of each class. `linear`: ridge or logistic regression on standardised
            numbers, flags for missing ones, and a column for each category. `trees`: gradient boosting on histograms.
        train: The rows that the model was fitted on; its own validation and test rows are not needed.
        schema: What a row looks like.
        seed: Of the trees, which choose bins by chance.

    Returns:
        The fitted model; where the target has one value only, any of them is the constant one.

    Raises:
        ProjectFileError: If there is no comparator of that name.
        NotEnoughRows: If there is no row to learn from.
        SchemaMismatch: If a feature or the target is missing, or a row has no label.
    """
    if name not in FITS:
        raise ProjectFileError(
            f"evaluation.comparators must be among {', '.join(FITS)}, but one is {name!r}; correct the project file"
        )
    names = [column.name for column in schema.features]
    frame = polars.read_parquet(train.path, columns=[*names, schema.target])
    if not frame.height:
        raise NotEnoughRows(f"the comparator {name} wants training rows, found none in {train.path}; split anew")
    if frame.height > MOST_ROWS:
        frame = frame[np.linspace(0, frame.height - 1, MOST_ROWS).astype(np.int64)]
    truth = true_answers(frame, schema)
    fit = FITS[name] if np.unique(truth).size > 1 else _constant
    return Comparator(name, schema, frame.height, fit(frame, truth, schema, seed))


def _constant(frame: polars.DataFrame, truth: Array, schema: Schema, seed: int) -> Predict:
    if schema.target_kind == "regression":
        mean = float(truth.mean())
        return lambda rows: np.full(rows.height, mean)
    shares = np.bincount(truth, minlength=_classes(schema)) / truth.size
    return lambda rows: np.tile(shares, (rows.height, 1))


def _linear(frame: polars.DataFrame, truth: Array, schema: Schema, seed: int) -> Predict:
    inputs = _linear_inputs(frame, schema)
    # tol 1e-3: 0.5 s of one core for 50,000 flights of about 150 columns.
    model = Ridge() if schema.target_kind == "regression" else LogisticRegression(max_iter=200, tol=1e-3)
    model.fit(inputs(frame), truth)
    return _asked(model, inputs, schema)


def _trees(frame: polars.DataFrame, truth: Array, schema: Schema, seed: int) -> Predict:
    inputs = _tree_inputs(frame, schema)
    kind = HistGradientBoostingRegressor if schema.target_kind == "regression" else HistGradientBoostingClassifier
    categorical = [False] * len(schema.numbers) + [True] * len(schema.categories)
    model = kind(categorical_features=categorical, random_state=seed, early_stopping=False)
    model.fit(inputs(frame), truth)
    return _asked(model, inputs, schema)


FITS: dict[str, Callable[[polars.DataFrame, Array, Schema, int], Predict]] = {
    "constant": _constant,
    "linear": _linear,
    "trees": _trees,
}


def _classes(schema: Schema) -> int:
    return len(schema.classes) if schema.target_kind == "multiclass" else 2


def _asked(
    model: LogisticRegression | Ridge | HistGradientBoostingClassifier | HistGradientBoostingRegressor,
    inputs: Callable[[polars.DataFrame], Array],
    schema: Schema,
) -> Predict:
    """The fitted model as a function of raw rows; a class that it never saw has probability 0."""
    if schema.target_kind == "regression":
        return lambda rows: np.asarray(model.predict(inputs(rows)), dtype=np.float64)

    def probabilities(rows: polars.DataFrame) -> Array:
        found: Array = np.zeros((rows.height, _classes(schema)))
        found[:, model.classes_] = model.predict_proba(inputs(rows))
        return found

    return probabilities


def _linear_inputs(frame: polars.DataFrame, schema: Schema) -> Callable[[polars.DataFrame], Array]:
    """Standardised numbers, a flag for each number that may be missing, and a column for each category."""
    numbers, texts = _columns(frame, schema)
    known = np.isfinite(numbers)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, numbers, 0).sum(axis=0) / counts
    spread = np.sqrt((np.square(np.where(known, numbers - mean, 0))).sum(axis=0) / counts)
    spread[spread == 0] = 1
    sometimes = ~known.all(axis=0)
    encoder = None
    if schema.categories:
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False
        ).fit(texts)

    def inputs(rows: polars.DataFrame) -> Array:
        numbers, texts = _columns(rows, schema)
        missing = ~np.isfinite(numbers)
        scaled = np.clip(np.where(missing, 0, (numbers - mean) / spread), -FARTHEST, FARTHEST)
        flags = missing[:, sometimes].astype(np.float64)
        places = [encoder.transform(texts)] if encoder is not None else []
        return np.hstack([scaled, flags, *places], dtype=np.float32, casting="same_kind")

    return inputs


def _tree_inputs(frame: polars.DataFrame, schema: Schema) -> Callable[[polars.DataFrame], Array]:
    """Numbers as they are, then categories as numbers; what is missing or unseen is NaN, which trees can ask for."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=MOST_CATEGORIES, dtype=np.float64
    )
    encoder = encoder.fit(_columns(frame, schema)[1]) if schema.categories else None

    def inputs(rows: polars.DataFrame) -> Array:
        numbers, texts = _columns(rows, schema)
        known = np.where(np.isfinite(numbers), numbers, np.nan)
        return np.hstack([known, encoder.transform(texts)]) if encoder is not None else known

    return inputs


def _columns(frame: polars.DataFrame, schema: Schema) -> tuple[Array, Array]:
    """The numbers, float64 of shape (rows, numbers), and the categories, `str` of shape (rows, categories)."""
    fed = feeds(frame, schema)
    numbers = [fed[column.name] for column in schema.numbers]
    texts = [fed[column.name] for column in schema.categories]
    return (
        np.stack(numbers, axis=1) if numbers else np.zeros((frame.height, 0)),
        np.stack(texts, axis=1) if texts else np.zeros((frame.height, 0), dtype=object),
    )
