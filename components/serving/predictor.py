"""One version of the model, ready to answer: its graph in an onnxruntime session, and the readers of its schema."""

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import onnxruntime as ort
from pyarrow import parquet

from components.data.feeds import feeds
from components.errors import ModelRefused
from components.records.models import ModelFiles, ModelVersion
from components.serving.bound import OneRow, one_row
from components.serving.labels import LabelReader
from components.serving.refusals import Refused
from components.serving.rows import RowReader

log = logging.getLogger(__name__)

# Enough rows to meet most categories and missing values, few enough to be checked in milliseconds.
CHECKED_ROWS = 256
# The first runs of a session allocate its arena; they are not the application's to wait for.
WARM_RUNS = 20

# What lies between two layers of so many rows still fits the processor's cache: 8,192 rows of a network of 256 units
# take 17.4 ms at once, and 13.9 ms so.
BATCH_ROWS = 1_024

OUTPUTS = {
    "binary": ("prediction", "probability"),
    "multiclass": ("prediction", "probabilities"),
    "regression": ("prediction",),
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the model says of some rows.

    Attributes:
        prediction: 0 or 1 (binary), the class (multiclass) or the value (regression) of each row.
        probability: Probability of 1 (binary), 0 to 1; else None.
        probabilities: Probability of each class (multiclass), each row sums to 1; else None.
    """

    prediction: list[Any]
    probability: list[float] | None = None
    probabilities: list[list[float]] | None = None

    def columns(self) -> dict[str, list[Any]]:
        """The outputs that there are, by name, for the ledger."""
        named = {"prediction": self.prediction, "probability": self.probability, "probabilities": self.probabilities}
        return {name: values for name, values in named.items() if values is not None}


class Predictor:
    """A version that answers; it never changes, so a request that holds it gets all its answers from one version.

    Args:
        files: The version's files, checked against its manifest.
        max_rows: Largest number of rows in one request.

    Raises:
        ModelRefused: If the graph is not the one that was registered, or does not fit its schema.
    """

    def __init__(self, files: ModelFiles, *, max_rows: int) -> None:
        self.files = files
        self.schema = files.schema
        self.rows = RowReader(files.schema, max_rows=max_rows)
        self.labels = LabelReader(files.schema, max_labels=max_rows)
        self._session = _session(files)
        self._outputs = OUTPUTS[files.schema.target_kind]
        self._first = files.schema.features[0].name
        self._one_row: OneRow | None = None
        _check_names(files.version, "inputs", [node.name for node in self._session.get_inputs()], self._columns)
        made = [node.name for node in self._session.get_outputs()]
        _check_names(files.version, "outputs", [name for name in made if name in self._outputs], list(self._outputs))

    @property
    def version(self) -> ModelVersion:
        """Which version this is."""
        return self.files.version

    @property
    def _columns(self) -> list[str]:
        return [column.name for column in self.schema.features]

    def run(self, columns: dict[str, Any]) -> Outputs:
        """What the model says of these rows.

        Args:
            columns: Raw feature column to its values, a list or an array with one a row; None or NaN is missing.

        Raises:
            Refused: 422 if the model has no finite answer for a row.
        """
        if self._one_row is not None and len(columns.get(self._first, ())) == 1:
            answers = self._one_row.answers(columns)
            if answers is not None:
                return self._named(answers[0], answers[1:])
        prediction, *rest = self.answer(feeds(columns, self.schema))
        return self._named(prediction.tolist(), [values.tolist() for values in rest])

    def answer(self, fed: dict[str, Any]) -> list[Any]:
        """The graph's own answers, as arrays in the order of `OUTPUTS`: of a multiclass target, classes by index.

        Args:
            fed: Arrays of shape (rows,) as `components.data.feeds.feeds` makes them.

        Raises:
            Refused: 422 if the model has no finite answer for a row.
        """
        answers = self._in_batches(fed)
        for values in answers:
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                row = int(np.argmin(np.isfinite(values.reshape(len(values), -1)).all(axis=1)))
                raise Refused(422, f"row {row}: the model has no finite answer for these values; look for extreme ones")
        return answers

    def _in_batches(self, fed: dict[str, Any]) -> list[Any]:
        rows = len(fed[self._first])
        if rows <= BATCH_ROWS:
            answers: list[Any] = self._session.run(self._outputs, fed)
            return answers
        starts = range(0, rows, BATCH_ROWS)
        batches = [{name: values[start : start + BATCH_ROWS] for name, values in fed.items()} for start in starts]
        parts = [self._session.run(self._outputs, batch) for batch in batches]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def check(self) -> int:
        """Prove on the reference rows that came with the version that it answers, and warm it up.

        Returns:
            The number of rows that were answered.

        Raises:
            ModelRefused: If the rows cannot be read, or an answer is missing, not finite or out of range.
        """
        columns = _reference(self.files)
        rows = len(next(iter(columns.values())))
        try:
            outputs = self.run(columns)
        except (Refused, ValueError, RuntimeError) as err:
            raise ModelRefused(f"{_name(self.version)} fails on its own reference rows: {err}; train it again") from err
        for name, values in outputs.columns().items():
            if len(values) != rows:
                raise ModelRefused(f"{_name(self.version)}: wanted {rows} values of {name}, found {len(values)}")
        if outputs.probability and not 0 <= min(outputs.probability) <= max(outputs.probability) <= 1:
            raise ModelRefused(f"{_name(self.version)}: wanted probabilities from 0 to 1, found others; train it again")
        self._one_row = self._proven(
            [{name: [values[row % rows]] for name, values in columns.items()} for row in range(WARM_RUNS)]
        )
        return rows

    def _proven(self, asked: list[dict[str, Any]]) -> OneRow | None:
        """The quicker way to ask for one row, if it gives the same answers; both ways are warm then."""
        usual = [self.run(columns) for columns in asked]
        quicker = one_row(self._session, self.schema, self._outputs)
        if quicker is None:
            return None
        try:
            answers = [quicker.answers(columns) for columns in asked]
        except Exception as err:  # noqa: BLE001 - onnxruntime's errors share no base but Exception
            log.warning("one row not bound model=%s error=%s; it is asked the slower way", _name(self.version), err)
            return None
        return quicker if [one and self._named(one[0], one[1:]) for one in answers] == usual else None

    def _named(self, prediction: list[Any], rest: list[list[Any]]) -> Outputs:
        if self.schema.target_kind == "regression":
            return Outputs(prediction)
        if self.schema.target_kind == "binary":
            return Outputs(prediction, probability=rest[0])
        classes = self.schema.classes
        return Outputs([classes[number] for number in prediction], probabilities=rest[0])


@dataclass(frozen=True, slots=True)
class Live:
    """The version that answers now.

    Attributes:
        predictor: The version, ready to answer.
        since: When it took over (UTC).
    """

    predictor: Predictor
    since: datetime


def _session(files: ModelFiles) -> ort.InferenceSession:
    """The graph in a session, from the very bytes whose hash was compared; so it cannot name other files either."""
    graph = files.graph.read_bytes()
    found = hashlib.sha256(graph).hexdigest()
    if found != files.version.sha256:
        raise ModelRefused(
            f"{_name(files.version)}: wanted the graph {files.version.sha256[:12]}, found {found[:12]} in "
            f"{files.graph.name}; delete {files.graph.parent} to download it again"
        )
    options = ort.SessionOptions()
    # One thread a request: rows are few, and workers share the cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime's errors share no base but Exception
        raise ModelRefused(f"{_name(files.version)}: onnxruntime cannot open its graph: {err}; train it again") from err


def _check_names(version: ModelVersion, what: str, found: list[str], wanted: list[str]) -> None:
    if sorted(found) != sorted(wanted):
        raise ModelRefused(
            f"{_name(version)}: wanted a graph with the {what} {sorted(wanted)}, found {sorted(found)}; train it again"
        )


def _reference(files: ModelFiles) -> dict[str, list[Any]]:
    """The first reference rows, as columns."""
    names = [column.name for column in files.schema.features]
    try:
        # Not `read_table`: that imports pandas, which takes a tenth of the time to a worker's first answer.
        with parquet.ParquetFile(files.reference) as file:
            batches = file.iter_batches(CHECKED_ROWS, columns=names)
            table: dict[str, list[Any]] = next(batches).to_pydict()
    except (OSError, ValueError, StopIteration) as err:
        raise ModelRefused(f"{_name(files.version)}: its reference rows cannot be read: {err}; train it again") from err
    if sorted(table) != sorted(names) or not table[names[0]]:
        raise ModelRefused(
            f"{_name(files.version)}: wanted reference rows with the columns {names}, found {sorted(table)}"
        )
    return table


def _name(version: ModelVersion) -> str:
    return f"{version.name} version {version.version}"
