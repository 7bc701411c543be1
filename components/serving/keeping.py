"""What was asked and what was answered, as the ledger keeps it: the same for a request and for a file."""

from components.data.ledger import PredictionBatch, new_ids
from components.serving.predictor import Outputs, Predictor
from components.serving.rows import Rows


def to_keep(
    predictor: Predictor, rows: Rows, outputs: Outputs, *, received_us: int, latency_ms: float
) -> PredictionBatch:
    """The rows with their answers and new ids.

    Args:
        predictor: The version that answered.
        rows: What was asked.
        outputs: What it said.
        received_us: When the rows came, microseconds since 1970 (UTC).
        latency_ms: How long the answer took.
    """
    ids = new_ids(len(rows))
    version = predictor.version
    return PredictionBatch(
        request_id=request_id(ids),
        model=version.name,
        version=version.version,
        config_sha256=predictor.files.config_sha256,
        received_at=received_us,
        latency_ms=latency_ms,
        ids=ids,
        timestamps=rows.timestamps,
        entity_ids=rows.entity_ids,
        inputs=rows.columns,
        outputs=outputs.columns(),
    )


def request_id(ids: list[str]) -> str:
    """The part that the ids of one request share."""
    return ids[0].rpartition("-")[0]
