"""What the network sees of a raw row: numbers on one scale, categories as indices. Learned from the training part only.

    number     ((value - mean) / std), clipped, in double, then float32; missing stays NaN, the network handles it
    category   0 for a value never seen in training, 1 for missing, 2 and on for the known values, most frequent first

`encoder.json` is the contract with the optimization room, which builds the same rules as ONNX operators; it has one
entry a column, in the schema's order:

    {"numbers": {"temp": {"mean": 12.5, "std": 9.1, "clip": 10.0}}, "categories": {"origin": ["EWR", "JFK", "LGA"]}}

Anything beyond this (quantiles, embeddings) belongs into the network, as buffers or weights, so it is exported with it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from components.errors import SchemaMismatch
from components.records.rows import Schema

UNSEEN, MISSING, FIRST_KNOWN = 0, 1, 2
# Ten standard deviations: beyond every honest value of a bell, near enough that 1e300 cannot swamp the first layer.
CLIP = 10.0
# A value seen less often teaches its embedding only noise; it shares the index of the values never seen.
MIN_COUNT = 10
# Keeps an id that slipped in among the features from becoming a table of a million rows.
MAX_VALUES = 5_000


@dataclass(frozen=True, slots=True)
class NumberScale:
    """How one number is scaled: mean and standard deviation in the column's unit; clip in standard deviations."""

    mean: float
    std: float
    clip: float = CLIP


@dataclass(frozen=True, slots=True)
class Encoder:
    """The scale of each number and the vocabulary of each category, by column name in the schema's order."""

    numbers: dict[str, NumberScale]
    categories: dict[str, tuple[str, ...]]

    @classmethod
    def fit(cls, frame: pl.DataFrame, schema: Schema) -> "Encoder":
        """The encoder as these rows teach it: the training part, never more.

        Raises:
            SchemaMismatch: If a feature column is not there.
        """
        _check_columns(frame, [column.name for column in schema.features])
        return cls(
            {column.name: _scale(frame[column.name]) for column in schema.numbers},
            {column.name: _vocabulary(frame[column.name]) for column in schema.categories},
        )

    @property
    def cardinalities(self) -> list[int]:
        """How many indices each category has, the two for unseen and missing among them."""
        return [FIRST_KNOWN + len(values) for values in self.categories.values()]

    def encode(self, frame: pl.DataFrame) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The network's inputs.

        Returns:
            Scaled numbers, shape (rows, numbers), within the clip, NaN where missing; and indices, shape
            (rows, categories), from 0.

        Raises:
            SchemaMismatch: If a feature column is not there.
        """
        _check_columns(frame, [*self.numbers, *self.categories])
        numbers = np.empty((frame.height, len(self.numbers)), np.float32)
        for place, (name, scale) in enumerate(self.numbers.items()):
            numbers[:, place] = np.clip((_doubles(frame[name]) - scale.mean) / scale.std, -scale.clip, scale.clip)
        categories = np.empty((frame.height, len(self.categories)), np.int64)
        for place, (name, values) in enumerate(self.categories.items()):
            categories[:, place] = _indices(frame[name], values)
        return numbers, categories

    def write(self, path: Path) -> None:
        """Write `encoder.json`."""
        scales = {name: asdict(scale) for name, scale in self.numbers.items()}
        path.write_text(json.dumps({"numbers": scales, "categories": self.categories}, ensure_ascii=False, indent=1))

    @classmethod
    def read(cls, path: Path) -> "Encoder":
        """The encoder as `write` left it."""
        facts = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            {name: NumberScale(**scale) for name, scale in facts["numbers"].items()},
            {name: tuple(values) for name, values in facts["categories"].items()},
        )


def _check_columns(frame: pl.DataFrame, wanted: list[str]) -> None:
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        raise SchemaMismatch(
            f"the network wants the columns {wanted}, but the rows lack {absent}; take rows of the schema it is for"
        )


def _doubles(series: pl.Series) -> npt.NDArray[np.float64]:
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _scale(series: pl.Series) -> NumberScale:
    """Mean and deviation of the finite values; a column without two different ones is only centred."""
    values = _doubles(series)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return NumberScale(0.0, 1.0)
    std = float(finite.std())
    return NumberScale(float(finite.mean()), std if np.isfinite(std) and std > 0 else 1.0)


def _vocabulary(series: pl.Series) -> tuple[str, ...]:
    """The known values, most frequent first, then by name, so that the order of rows plays no part."""
    texts = series.cast(pl.String).drop_nulls()
    counts = texts.filter(texts != "").alias("value").value_counts(name="count")
    known = counts.filter(pl.col("count") >= MIN_COUNT).sort(["count", "value"], descending=[True, False])
    return tuple(known["value"].head(MAX_VALUES).to_list())


def _indices(series: pl.Series, values: tuple[str, ...]) -> npt.NDArray[np.int64]:
    places = {"": MISSING, **{value: FIRST_KNOWN + place for place, value in enumerate(values)}}
    texts = series.cast(pl.String).fill_null("")
    return texts.replace_strict(places, default=UNSEEN, return_dtype=pl.Int64).to_numpy()
