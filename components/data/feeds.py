"""Raw columns as the arrays that the graph takes: the one way rows reach onnxruntime, in serving as in scoring.

Needs numpy alone, so the service can use it; a polars frame is recognised by what it can do.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.errors import SchemaMismatch
from components.records.rows import Schema

Array = npt.NDArray[Any]


def feeds(columns: Any, schema: Schema) -> dict[str, Array]:
    """The schema's feature columns by name, as onnxruntime takes them; other columns are left out.

    Args:
        columns: A mapping of column name to a list or array, each of shape (rows,); or a polars frame. Missing is None,
            NaN or "".
        schema: What a row of this model looks like.

    Returns:
        Arrays of shape (rows,): float64 with NaN where missing for a number, objects of `str` with "" where missing for
        a category.

    Raises:
        SchemaMismatch: If a feature column is not there, or a number's column holds something else.
    """
    there = columns if isinstance(columns, Mapping) else columns.columns
    absent = [column.name for column in schema.features if column.name not in there]
    if absent:
        raise SchemaMismatch(
            f"the rows must hold the columns {absent}, but hold {list(there)}; "
            "add them, or take a model that was trained without them"
        )
    fed = {column.name: numbers(columns[column.name], column.name) for column in schema.numbers}
    fed |= {column.name: texts(columns[column.name]) for column in schema.categories}
    return {column.name: fed[column.name] for column in schema.features}


def numbers(values: Any, name: str = "") -> Array:
    """Numbers as float64, NaN where one is missing.

    Raises:
        SchemaMismatch: If a value is not a number.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise SchemaMismatch(
            f"column {name!r} must hold numbers, but does not: {err}; "
            f"send numbers, or set data.columns.{name}.kind: category and train again"
        ) from err


def texts(values: Any) -> Array:
    """Categories as an array of `str` objects, "" where one is missing."""
    listed = values if isinstance(values, list) else list(values)
    fed = np.empty(len(listed), dtype=object)
    fed[:] = [value if type(value) is str else text_of(value) for value in listed]
    return fed


def text_of(value: Any) -> str:
    """A category's value as the text it has in the table, the request and the graph; "" for a missing one.

    A whole number reads the same whether it came as 3 or as 3.0, since a missing value beside it turns integers into
    floats in many tools; booleans read as JSON writes them.
    """
    if value is None:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return ""
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)
