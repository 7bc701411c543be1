"""What a row of a model looks like: learned from the table, and held against a table.

Works on typed tables (`components.data.kinds`): numbers are float64, categories text, missing is null.
"""

from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from components.data.kinds import TIME, kind_of
from components.errors import SchemaMismatch
from components.records.rows import Column, Schema
from components.settings.project import ColumnSettings, DataSettings

# Categories are listed in the schema, and on the OpenAPI page, up to this many.
MOST_VALUES = 50
TYPES = {"number": pl.Float64, "category": pl.String}


def infer_schema(frame: pl.DataFrame, data: DataSettings) -> Schema:
    """The schema that these rows show, in the order of the frame's columns.

    Every column but target, timestamp, id and dropped ones is a feature: text is a category, numbers are numbers,
    unless `data.columns` says otherwise.

    Args:
        frame: Typed rows, such as `read_table` gives.
        data: The project's data settings.

    Raises:
        SchemaMismatch: If no feature is left, or one is neither numbers nor text.
    """
    beside = {data.target.column, data.timestamp, data.id, *data.drop}
    features = tuple(_column(series, data) for series in frame if series.name not in beside)
    if not features:
        raise SchemaMismatch(
            f"the table must hold a feature, but beside target, timestamp, id and drop its columns {frame.columns} "
            "leave none; add columns to the source, or take some out of data.drop"
        )
    multiclass = data.target.kind == "multiclass" and data.target.column in frame.columns
    classes = frame[data.target.column].drop_nulls().unique().sort().to_list() if multiclass else []
    return Schema(features, data.target.column, data.target.kind, data.timestamp, data.id, tuple(map(str, classes)))


def check_frame(frame: pl.DataFrame, schema: Schema, *, where: str, data: DataSettings | None = None) -> None:
    """Nothing, if the rows are what the schema and the project file say.

    Args:
        frame: Typed rows; columns that the schema does not know are not looked at, the target may be absent.
        schema: What a row looks like.
        where: What the frame is called in a message.
        data: The project's data settings, for the smallest and largest values allowed.

    Raises:
        SchemaMismatch: With every column that is missing, mistyped, not finite, out of range or lacks values it must
            have; what was wanted, what was found, and in how many rows.
    """
    if mistakes := mistakes_in(frame, schema, data):
        raise SchemaMismatch(
            f"{where}: {'; '.join(mistakes)}; mend the source, or say under data.columns in the project file what is "
            "allowed"
        )


def mistakes_in(frame: pl.DataFrame, schema: Schema, data: DataSettings | None = None) -> list[str]:
    """What `check_frame` would refuse, one sentence a mistake; empty if the rows are sound."""
    try:
        _pandera(schema, data).validate(frame, lazy=True)
    except SchemaErrors as err:
        # A check that could not be made of text among numbers: that it is text is told already.
        told = [one for one in err.schema_errors if one.reason_code != SchemaErrorReason.CHECK_ERROR]
        return sorted(_sentence(one, frame) for one in told)
    return []


def _column(series: pl.Series, data: DataSettings) -> Column:
    kind = kind_of(series, data)
    if kind is None or series.dtype != TYPES[kind]:
        raise SchemaMismatch(
            f"column {series.name!r} must be read as numbers (Float64) or categories (String), but is {series.dtype}; "
            "ingest the table first, or name the column under data.drop"
        )
    settings = data.columns.get(series.name, ColumnSettings())
    missing = series.null_count() / max(series.len(), 1)
    if kind == "category":
        values = _by_frequency(series)
        listed = values if len(values) <= MOST_VALUES else ()
        example = values[0] if values else None
        return Column(series.name, kind, settings.nullable, None, None, listed, missing, example)
    figures: Any = (series.min(), series.max(), series.quantile(0.5, "nearest"))
    low, high, median = figures
    return Column(series.name, kind, settings.nullable, low, high, (), missing, median)


def _by_frequency(series: pl.Series) -> tuple[str, ...]:
    """The categories, most frequent first; of equally frequent ones the first of the alphabet."""
    counts = series.drop_nulls().alias("value").value_counts(name="rows")
    return tuple(counts.sort(["rows", "value"], descending=[True, False])["value"])


def _pandera(schema: Schema, data: DataSettings | None) -> pa.DataFrameSchema:
    settings = data.columns if data else {}
    columns = {
        column.name: pa.Column(
            TYPES[column.kind], nullable=column.nullable, checks=_checks(column, settings.get(column.name))
        )
        for column in schema.features
    }
    columns[schema.timestamp] = pa.Column(TIME, nullable=False)
    columns[schema.target] = _target(schema)
    return pa.DataFrameSchema(columns)


def _checks(column: Column, settings: ColumnSettings | None) -> list[pa.Check]:
    if column.kind == "category":
        return []
    checks = [pa.Check(_are_finite, error="finite")]
    if settings is not None and settings.low is not None:
        checks.append(pa.Check.ge(settings.low, error=f"at least {settings.low:g}"))
    if settings is not None and settings.high is not None:
        checks.append(pa.Check.le(settings.high, error=f"at most {settings.high:g}"))
    return checks


def _are_finite(data: Any) -> pl.LazyFrame:
    finite: pl.LazyFrame = data.lazyframe.select(pl.col(data.key).is_finite())
    return finite


def _target(schema: Schema) -> pa.Column:
    if schema.target_kind == "multiclass":
        known = pa.Check.isin(schema.classes, error=f"one of the classes {list(schema.classes)}")
        return pa.Column(pl.String, nullable=False, required=False, checks=known)
    if schema.target_kind == "regression":
        return pa.Column(pl.Float64, nullable=False, required=False, checks=pa.Check(_are_finite, error="finite"))
    return pa.Column(pl.Int64, nullable=False, required=False, checks=pa.Check.isin([0, 1], error="0 or 1"))


def _sentence(error: SchemaError, frame: pl.DataFrame) -> str:
    """One of pandera's mistakes, with the values and how many rows."""
    if error.reason_code == SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        return f"column {error.failure_cases!r} is wanted, but not there"
    name = error.schema.name
    if error.reason_code == SchemaErrorReason.WRONG_DATATYPE:
        return f"column {name!r} must be {error.schema.dtype}, but is {frame[name].dtype}"
    if error.reason_code == SchemaErrorReason.SERIES_CONTAINS_NULLS:
        return f"column {name!r} must not be missing, but {frame[name].null_count():,} of {frame.height:,} rows are"
    wrong = error.failure_cases.to_series()
    return (
        f"column {name!r} must be {error.check.error}, but {wrong.len():,} of {frame.height:,} rows are not "
        f"(from {_shown(wrong.min())} to {_shown(wrong.max())})"
    )


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
