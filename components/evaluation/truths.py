"""The true answers of a table as numbers, the way the metrics and the network count them."""

import numpy as np
import polars

from components.errors import SchemaMismatch
from components.evaluation.predicting import Array
from components.records.rows import Schema


def true_answers(frame: polars.DataFrame, schema: Schema) -> Array:
    """The target column as numbers, shape (rows,): 0 or 1, the index in `schema.classes`, or the value itself.

    Raises:
        SchemaMismatch: If the column is missing, has empty rows, or holds a class that the schema does not know.
    """
    if schema.target not in frame.columns:
        raise SchemaMismatch(
            f"scoring wants the target {schema.target!r}, but the rows hold {frame.columns}; join the labels first"
        )
    column = frame[schema.target]
    if column.null_count():
        raise SchemaMismatch(
            f"scoring wants a label in every row of {schema.target!r}, but {column.null_count():,} of {frame.height:,} "
            "rows have none; leave them out until their labels arrive"
        )
    if schema.target_kind == "regression":
        return column.cast(polars.Float64).to_numpy(writable=True)
    if schema.target_kind == "binary":
        return _checked(column, column.cast(polars.Int64, strict=False), ("0", "1"), schema.target).to_numpy(
            writable=True
        )
    codes = {name: index for index, name in enumerate(schema.classes)}
    coded = column.cast(polars.String).replace_strict(codes, default=None, return_dtype=polars.Int64)
    return _checked(column, coded, schema.classes, schema.target).to_numpy(writable=True)


def _checked(column: polars.Series, coded: polars.Series, known: tuple[str, ...], target: str) -> polars.Series:
    """The codes, if each is one of the known classes."""
    wrong = column.filter(coded.is_null() | ~coded.is_in(np.arange(len(known))))
    if len(wrong):
        raise SchemaMismatch(
            f"{target!r} must hold one of {', '.join(known)}, but {len(wrong):,} of {len(column):,} rows do not "
            f"(such as {wrong[0]!r}); correct the source, or train again so that the model knows the class"
        )
    return coded
