"""How many rows of one part stand in another: a model may not be judged, or chosen, on what it learned by heart."""

import polars as pl

from components.records.rows import Part, Schema


def seen_share(part: Part, train: Part, schema: Schema) -> float:
    """Share of the part's rows that stand in the training part too, 0 to 1.

    A row is known by its id, or by its event time and features where it has none; the label is not looked at, so a row
    with another label is still the same row.

    Args:
        part: The rows that are asked about.
        train: The rows that were learned from.
        schema: Which columns are id, event time and features.
    """
    content = [schema.timestamp, *(column.name for column in schema.features)]
    if schema.id is None:
        return _common(_read(part, content), _read(train, content), content) / part.rows
    asked, learned = (_read(one, [schema.id]) for one in (part, train))
    common = _common(asked.drop_nulls(), learned.drop_nulls(), [schema.id])
    if asked[schema.id].null_count() and learned[schema.id].null_count():
        asked, learned = (
            _read(one, [schema.id, *content]).filter(pl.col(schema.id).is_null()) for one in (part, train)
        )
        common += _common(asked, learned, content)
    return common / part.rows


def _read(part: Part, names: list[str]) -> pl.DataFrame:
    return pl.read_parquet(part.path, columns=names)


def _common(asked: pl.DataFrame, learned: pl.DataFrame, names: list[str]) -> int:
    """How many of the rows that are asked about stand among those learned from; a missing value equals another."""
    return asked.join(learned, on=names, how="semi", nulls_equal=True).height
