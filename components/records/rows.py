"""Raw columns, tables and the parts they are divided into."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

TargetKind = Literal["binary", "multiclass", "regression"]
ColumnKind = Literal["number", "category"]


@dataclass(frozen=True, slots=True)
class Column:
    """One raw feature column, as the application sends it.

    Attributes:
        name: The column's name, the same in the table, the request, the graph and the ledger.
        kind: `number` (float64 in requests and in the graph) or `category` (text).
        nullable: Whether a missing value is accepted.
        low: Smallest number seen in training; None for a category.
        high: Largest number seen in training; None for a category.
        values: The categories seen in training, most frequent first, for a category of few values; else empty.
        missing_share: Share of missing values in training, 0 to 1.
        example: A typical value, for the OpenAPI page: the median, or the most frequent category.
    """

    name: str
    kind: ColumnKind
    nullable: bool = True
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    missing_share: float = 0.0
    example: float | str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """What a row of this model looks like: the raw features, and the columns beside them.

    Attributes:
        features: The raw feature columns in their fixed order.
        target: Name of the target column.
        target_kind: Kind of the target.
        timestamp: Name of the event-time column (UTC), which travels with every row and is not a feature.
        id: Name of the application's own row id, which travels with every row and is not a feature; or None.
        classes: Names of the classes, for a multiclass target.
    """

    features: tuple[Column, ...]
    target: str
    target_kind: TargetKind
    timestamp: str
    id: str | None = None
    classes: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[Column, ...]:
        """The numeric features, in order."""
        return tuple(column for column in self.features if column.kind == "number")

    @property
    def categories(self) -> tuple[Column, ...]:
        """The text features, in order."""
        return tuple(column for column in self.features if column.kind == "category")

    def to_json(self) -> str:
        """The schema as JSON, for the model's manifest."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """The schema read back from `to_json`."""
        facts = json.loads(text)
        facts["features"] = tuple(Column(**{**c, "values": tuple(c["values"])}) for c in facts["features"])
        facts["classes"] = tuple(facts["classes"])
        return cls(**facts)


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of a table, kept in Delta and named by its content.

    Attributes:
        path: Folder of the Delta table.
        version: Delta version.
        rows: Number of rows.
        sha256: Hash of the content, independent of file layout.
        first: Event time of the earliest row (UTC).
        last: Event time of the latest row (UTC).
        unlabelled: Rows that were set aside because they have no target.
    """

    path: Path
    version: int
    rows: int
    sha256: str
    first: datetime
    last: datetime
    unlabelled: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a split, kept as a Parquet file.

    Attributes:
        path: The Parquet file.
        rows: Number of rows.
        sha256: Hash of the content, independent of file layout.
        first: Event time of the earliest row (UTC).
        last: Event time of the latest row (UTC).
    """

    path: Path
    rows: int
    sha256: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of one table version: learn on `train`, choose on `validation`, score on `test`.

    `reference` is a sample of the training rows that travels with the version, so that drift is measured against what
    this model saw. `holdout` are the rows that no version ever learns from, by a hash of the row: the same ones for
    every version, so that old and new can be compared on them; None where the project keeps none.
    """

    train: Part
    validation: Part
    test: Part
    reference: Part
    schema: Schema
    table: TableVersion
    holdout: Part | None = None
