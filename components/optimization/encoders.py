"""How raw columns become the network's two inputs, read from the `encoder.json` that training wrote.

Two forms of the same rules: here in numpy, as the reference for parity; in `graphs` as ONNX operators, as it is served.

    number     ((value - mean) / std), clipped, in double, then float32; missing stays NaN, the network handles it
    category   0 for a value never seen in training, 1 for missing (""), 2 and on for the known values in their order

The file, with one entry a column:

    {"numbers": {"temp": {"mean": 12.5, "std": 9.1, "clip": 10.0}}, "categories": {"origin": ["EWR", "JFK", "LGA"]}}
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import ModelRefused
from components.records.rows import Schema

Array = npt.NDArray[Any]

UNSEEN, MISSING, FIRST_KNOWN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class NumberEncoder:
    """How one number is scaled: mean and standard deviation in the column's unit; clip in standard deviations."""

    name: str
    mean: float
    std: float
    clip: float


@dataclass(frozen=True, slots=True)
class CategoryEncoder:
    """How one category is looked up: the known values, the first of them has index 2."""

    name: str
    vocabulary: tuple[str, ...]

    @property
    def indices(self) -> dict[str, int]:
        """Each text that has an index of its own; all others have 0."""
        return {"": MISSING, **{value: FIRST_KNOWN + place for place, value in enumerate(self.vocabulary)}}


@dataclass(frozen=True, slots=True)
class Encoder:
    """The encoders of all feature columns, numbers and categories each in the schema's order."""

    numbers: tuple[NumberEncoder, ...]
    categories: tuple[CategoryEncoder, ...]

    def encode(self, columns: dict[str, Array]) -> tuple[Array, Array]:
        """The network's inputs: float32 of shape (rows, numbers) and int64 of shape (rows, categories).

        Args:
            columns: Raw columns as the graph takes them: float64 with NaN, or text with "", each of shape (rows,).
        """
        rows = len(next(iter(columns.values())))
        numbers = np.empty((rows, len(self.numbers)), np.float32)
        for place, number in enumerate(self.numbers):
            scaled = (columns[number.name] - number.mean) / number.std
            numbers[:, place] = np.clip(scaled, -number.clip, number.clip)
        categories = np.empty((rows, len(self.categories)), np.int64)
        for place, category in enumerate(self.categories):
            indices = category.indices
            categories[:, place] = [indices.get(str(text), UNSEEN) for text in columns[category.name]]
        return numbers, categories


def read_encoder(path: Path, schema: Schema) -> Encoder:
    """The encoder that training wrote, in the schema's order.

    Raises:
        ModelRefused: If the file is missing or broken, or encodes other columns than the schema's features.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        numbers = {name: NumberEncoder(name, **values) for name, values in facts["numbers"].items()}
        categories = {name: CategoryEncoder(name, tuple(values)) for name, values in facts["categories"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise ModelRefused(
            f"{path} must hold `numbers` and `categories` as training writes them, but reading it failed: {err!r}; "
            "train the model again"
        ) from err
    wanted = {column.name for column in schema.numbers}, {column.name for column in schema.categories}
    if (set(numbers), set(categories)) != wanted:
        raise ModelRefused(
            f"{path} must encode the numbers {sorted(wanted[0])} and the categories {sorted(wanted[1])}, but it "
            f"encodes {sorted(numbers)} and {sorted(categories)}; train again on the table of this schema"
        )
    return Encoder(
        tuple(numbers[column.name] for column in schema.numbers),
        tuple(categories[column.name] for column in schema.categories),
    )
