"""Small frozen facts that pass between rooms: a path, a hash, a few numbers.

What one room makes and another uses is one of these, and a flow carries it. None holds a client, an open file or a
model in memory, so each can be pickled into a Prefect result, written as JSON and compared by value.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

TargetKind = Literal["binary", "multiclass", "regression"]
ColumnKind = Literal["number", "category"]
Outcome = Literal["promote", "reject", "inconclusive"]
DecisionVerdict = Literal["retrain", "keep", "ask"]


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
    this model saw.
    """

    train: Part
    validation: Part
    test: Part
    reference: Part
    schema: Schema
    table: TableVersion


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What training made: weights without pickle, the encoder beside them, and how it went.

    Attributes:
        folder: Holds `weights.safetensors`, `encoder.json`, `model.json` (class path and arguments), `history.json`.
        epochs: Epochs that were run.
        best_epoch: Epoch whose weights were kept, counted from 1.
        validation_loss: Loss on the validation part at that epoch.
        seconds: Wall seconds of the training process.
        parameters: Number of trainable parameters.
    """

    folder: Path
    epochs: int
    best_epoch: int
    validation_loss: float
    seconds: float
    parameters: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One ONNX graph from raw row to prediction, proven equal to the network it was made from.

    Attributes:
        name: `fp32`, later also the reduced ones.
        path: The ONNX file.
        sha256: Hash of the file.
        schema: What a row looks like.
        max_difference: Largest absolute difference of an output to the PyTorch network, on validation rows.
        megabytes: Size of the file in MB (10^6 bytes).
    """

    name: str
    path: Path
    sha256: str
    schema: Schema
    max_difference: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Scorecard:
    """How good one model is on one set of rows.

    Attributes:
        metrics: Metric name to value.
        rows: Number of rows scored.
        table_sha256: Content hash of those rows: scores with different hashes are never compared.
        slices: Slice (`origin=EWR`) to metric name to value; only slices with enough rows.
        plots: PNG files, one a picture.
    """

    metrics: dict[str, float]
    rows: int
    table_sha256: str
    slices: dict[str, dict[str, float]] = field(default_factory=dict)
    plots: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from: enough to make it again.

    Attributes:
        project_file: The project file that was run.
        project_sha256: Its hash.
        commit: Git commit of the code, with `-dirty` behind it if the tree had changes; or `unknown`.
        reason: Why it was trained: `first`, `schedule`, `manual`, or the decision's reason.
        decision_id: The decision that asked for it, or None.
        until: Event time up to which data was used (UTC), or None for all.
    """

    project_file: Path
    project_sha256: str
    commit: str
    reason: str = "manual"
    decision_id: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version of a model.

    Attributes:
        name: Name of the registered model: the project's name.
        version: Version number.
        run_id: The MLflow run that made it.
        sha256: Hash of its ONNX file.
    """

    name: str
    version: int
    run_id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A version's files on this machine, checked against the manifest.

    Attributes:
        version: Which version.
        graph: The ONNX file.
        schema: What a row looks like.
        reference: Parquet file with the sample of training rows.
        metrics: The scorecard's metrics at registration.
        config_sha256: Hash of the project file it was trained with.
    """

    version: ModelVersion
    graph: Path
    schema: Schema
    reference: Path
    metrics: dict[str, float]
    config_sha256: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a verdict or a decision, with the numbers it looked at.

    Attributes:
        name: Which rule.
        passed: Whether it held.
        detail: What was wanted and what was found, as one sentence with the values.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer: may the candidate replace the champion?

    Attributes:
        outcome: `promote`, `reject` or `inconclusive`.
        reason: One sentence with the numbers it rests on.
        metric: Name of the metric that decided.
        candidate: Candidate's value.
        champion: Champion's value on the same rows; None when there is no champion yet.
        difference_low: Lower end of the interval of candidate minus champion (positive is better).
        difference_high: Upper end of that interval.
        rows: Number of rows both were scored on.
        table_sha256: Content hash of those rows.
        rules: Every rule that was looked at.
    """

    outcome: Outcome
    reason: str
    metric: str
    candidate: float
    champion: float | None
    difference_low: float | None
    difference_high: float | None
    rows: int
    table_sha256: str
    rules: tuple[Rule, ...] = ()

    @property
    def promote(self) -> bool:
        """Whether the candidate takes the alias."""
        return self.outcome == "promote"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of event time: from `start` (inclusive) to `end` (exclusive), both UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d}..{self.end:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """What was measured in one window, all that `decide` may look at.

    Attributes:
        window: The stretch of event time.
        version: Version that answered most of the window's rows; the drift is measured against its reference.
        rows: Predictions in the window.
        labelled_rows: Predictions whose label has arrived.
        drifted_columns: Input columns whose distribution moved by more than the effect size allowed.
        drift_share: Share of input columns that drifted, 0 to 1; None with too few rows.
        prediction_drifted: Whether the distribution of the prediction moved; None with too few rows.
        broken_columns: Columns that are broken rather than moved: missing far more often than in training, or empty.
        quality: The project's metric on the labelled rows; None with too few.
        reference_quality: The same metric on the version's own test part; None if unknown.
        report: Where the report stands, as a path or URL; empty when none was made.
        version_live_since: Event time since which that version is live; None if unknown.
    """

    window: Window
    version: int | None
    rows: int
    labelled_rows: int
    drifted_columns: tuple[str, ...] = ()
    drift_share: float | None = None
    prediction_drifted: bool | None = None
    broken_columns: tuple[str, ...] = ()
    quality: float | None = None
    reference_quality: float | None = None
    report: str = ""
    version_live_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a window, also when nothing does.

    Attributes:
        id: Idempotency key, made from project, window and version: deciding twice gives the same id.
        project: Name of the project.
        window: The window that was looked at.
        version: The version that was live.
        verdict: `retrain`, `keep`, or `ask` (a person: data are broken).
        reason: One sentence with the numbers.
        rules: Every rule that was looked at.
        facts: The measured facts it rests on.
    """

    id: str
    project: str
    window: Window
    version: int | None
    verdict: DecisionVerdict
    reason: str
    rules: tuple[Rule, ...]
    facts: WindowFacts


def to_jsonable(record: Any) -> Any:
    """A record as what `json.dumps` accepts: paths and times as text, tuples as lists."""
    if hasattr(record, "__dataclass_fields__"):
        return {name: to_jsonable(getattr(record, name)) for name in record.__dataclass_fields__}
    if isinstance(record, dict):
        return {str(key): to_jsonable(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_jsonable(item) for item in record]
    if isinstance(record, datetime):
        return record.isoformat()
    if isinstance(record, Path):
        return str(record)
    return record
