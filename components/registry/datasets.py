"""The rows a version was made from, as MLflow datasets: named by content, traced to the version of the table."""

import mlflow
import polars as pl
from mlflow.data.delta_dataset_source import DeltaDatasetSource

from components.records.rows import Part, Split

# MLflow keeps digests of at most 36 characters; 12 are as many as a person compares.
DIGEST_CHARACTERS = 12
CONTEXTS = {"train": "training", "validation": "validation", "test": "testing"}


def log_datasets(split: Split) -> None:
    """Log train, validation and test as inputs of the active run.

    The Delta version is a tag too, because MLflow drops version 0 from a source's JSON.
    """
    parts = {name: getattr(split, name) for name in CONTEXTS}
    mlflow.log_inputs(
        datasets=[_dataset(name, part, split) for name, part in parts.items()],
        contexts=list(CONTEXTS.values()),
        tags_list=[_tags(part, split) for part in parts.values()],
    )


def _dataset(name: str, part: Part, split: Split) -> mlflow.data.dataset.Dataset:
    columns = [*(column.name for column in split.schema.features), split.schema.target]
    frame = pl.read_parquet(part.path, columns=columns)
    source = DeltaDatasetSource(path=str(split.table.path), delta_table_version=split.table.version)
    digest = part.sha256[:DIGEST_CHARACTERS]
    return mlflow.data.from_polars(frame, source=source, targets=split.schema.target, name=name, digest=digest)


def _tags(part: Part, split: Split) -> dict[str, str]:
    return {
        "delta_version": str(split.table.version),
        "table_sha256": split.table.sha256,
        "content_sha256": part.sha256,
        "rows": str(part.rows),
        "first": part.first.isoformat(),
        "last": part.last.isoformat(),
    }
