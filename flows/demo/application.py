"""The application of the demo: it sends rows as flights are scheduled, and their labels some days after.

It knows the endpoint and nothing else of Everfit, as an application would.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

import httpx
import msgspec
import polars as pl

LABELS_A_REQUEST = 1000
CONNECTIONS = 2


@dataclass(frozen=True)
class Batch:
    """The rows of one hour, as the application sends them in one request.

    Attributes:
        rows: Raw rows, ready for JSON.
        times: Event time of each row.
        labels: True answer of each row; None where there will never be one.
    """

    rows: list[dict[str, object]]
    times: list[datetime]
    labels: list[int | None]

    @property
    def last(self) -> datetime:
        """Event time of the newest row."""
        return self.times[-1]


@dataclass
class Traffic:
    """What has been sent and answered so far."""

    requests: int = 0
    failed_requests: int = 0
    rows_sent: int = 0
    labels_sent: int = 0
    failures: list[str] = field(default_factory=list)
    first_answers: dict[int, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


class Application:
    """Sends batches and labels to the endpoint, and keeps count.

    Args:
        service: Address of the endpoint.
        label_delay: How long after its event time a row's label is known.
    """

    def __init__(self, service: str, label_delay: timedelta) -> None:
        self.traffic = Traffic()
        key = os.environ.get("EVERFIT_API_KEY")
        self._client = httpx.Client(base_url=service, timeout=30, headers={"x-api-key": key} if key else {})
        self._label_delay = label_delay
        self._unlabelled: list[tuple[datetime, str, int]] = []
        self._lock = Lock()

    def send_all(self, batches: list[Batch]) -> Iterator[int]:
        """Send many batches over a few connections; yields the rows of each as it is answered."""
        with ThreadPoolExecutor(CONNECTIONS) as connections:
            yield from connections.map(self.send, batches)

    def send(self, batch: Batch) -> int:
        """Send one batch and keep the prediction ids for its labels; the number of rows sent."""
        answer = self._post("/predict", {"rows": batch.rows})
        with self._lock:
            self.traffic.rows_sent += len(batch.rows)
            if answer is not None:
                self._keep(batch, answer)
        return len(batch.rows)

    def send_labels(self, now: datetime) -> int:
        """Send every label that is known by now (event time); how many."""
        due = [entry for entry in self._unlabelled if entry[0] + self._label_delay <= now]
        self._unlabelled = [entry for entry in self._unlabelled if entry[0] + self._label_delay > now]
        for start in range(0, len(due), LABELS_A_REQUEST):
            labels = [{"id": id_, "label": label} for _, id_, label in due[start : start + LABELS_A_REQUEST]]
            if self._post("/labels", {"labels": labels}) is not None:
                self.traffic.labels_sent += len(labels)
        return len(due)

    def _keep(self, batch: Batch, answer: dict[str, object]) -> None:
        version = int(str(answer["version"]))
        self.traffic.first_answers.setdefault(version, time.time())
        predictions = msgspec.convert(answer["predictions"], list[dict[str, object]])
        for moment, prediction, label in zip(batch.times, predictions, batch.labels, strict=True):
            if label is not None:
                self._unlabelled.append((moment, str(prediction["id"]), label))

    def _post(self, path: str, body: dict[str, object]) -> dict[str, object] | None:
        """The endpoint's answer; None when the request failed, which is counted."""
        begun = time.perf_counter()
        try:
            headers = {"content-type": "application/json"}
            answer = self._client.post(path, content=msgspec.json.encode(body), headers=headers)
            failure = "" if answer.status_code == httpx.codes.OK else f"{answer.status_code} {answer.text[:300]}"
        except httpx.HTTPError as err:
            failure = f"{type(err).__name__}: {err}"
        with self._lock:
            self.traffic.requests += 1
            self.traffic.seconds.append(time.perf_counter() - begun)
            if failure:
                self.traffic.failed_requests += 1
                self.traffic.failures.append(f"{path}: {failure}")
                return None
        return msgspec.json.decode(answer.content, type=dict[str, object])


def hourly_batches(frame: pl.DataFrame, columns: list[str], timestamp: str, target: str) -> list[Batch]:
    """The table cut into one batch an hour of event time, oldest first.

    Args:
        frame: Rows with the columns to send, the event time and the target.
        columns: Columns that the application sends.
        timestamp: Name of the event-time column.
        target: Name of the target, which is never sent with the row.
    """
    ordered = frame.sort(timestamp).with_columns(pl.col(timestamp).dt.truncate("1h").alias("__hour"))
    return [_batch(part, columns, timestamp, target) for part in ordered.partition_by("__hour", maintain_order=True)]


def _batch(part: pl.DataFrame, columns: list[str], timestamp: str, target: str) -> Batch:
    return Batch(rows=part.select(columns).to_dicts(), times=part[timestamp].to_list(), labels=part[target].to_list())
