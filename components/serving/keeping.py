"""What was asked and what was answered, as the ledger keeps it: the same for a request and for a file."""

from components.data.ledger import PredictionBatch, ids_of, new_request_id
from components.errors import LedgerError
from components.serving.predictor import Outputs, Predictor
from components.serving.rows import Rows


def to_keep(
    predictor: Predictor, rows: Rows, outputs: Outputs, *, received_us: int, latency_ms: float
) -> PredictionBatch:
    """The rows with their answers and new ids; every column has one entry a row.

    Args:
        predictor: The version that answered.
        rows: What was asked.
        outputs: What it said.
        received_us: When the rows came, microseconds since 1970 (UTC).
        latency_ms: How long the answer took.

    Raises:
        LedgerError: If there is not one answer for each row.
    """
    request_id = new_request_id()
    version = predictor.version
    answers = outputs.columns()
    for name, values in answers.items():
        if len(values) != len(rows):
            raise LedgerError(
                f"{version.name} version {version.version}: wanted {len(rows):,} values of {name}, one for each row, "
                f"found {len(values):,}; train it again"
            )
    return PredictionBatch(
        request_id=request_id,
        model=version.name,
        version=version.version,
        config_sha256=predictor.files.config_sha256,
        received_at=received_us,
        latency_ms=latency_ms,
        ids=ids_of(request_id, len(rows)),
        timestamps=rows.timestamps,
        entity_ids=rows.entity_ids,
        inputs=rows.columns,
        outputs=answers,
    )
