"""What the routes answer, without HTTP: predict, keep in the ledger, then say so."""

import html
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from components.data.ledger import CANARY, LabelBatch, Ledger, new_request_id
from components.registry.standings import read_standing
from components.serving import openapi, page
from components.serving.answers import as_arrow, as_json
from components.serving.bodies import ARROW, JSON
from components.serving.bulk import read_bulk
from components.serving.challenging import Challenging
from components.serving.counters import Counters
from components.serving.explaining import explain
from components.serving.keeping import Keeper, Said, to_keep
from components.serving.predictor import Live, Outputs, Predictor
from components.serving.refusals import NO_CHAMPION, Refused, without_folders
from components.serving.rows import Rows
from components.serving.shadowing import Shadowing
from components.serving.signatures import signature


class Holder(Protocol):
    """What holds the version that answers: a `Follower`, which replaces it, or `Pinned`, which does not.

    Attributes:
        name: Name of the registered model.
        live: The version that answers; None while there is none.
        last_error: Why another one, or none, answers; empty if all is well.
        looked_at: When it last looked for a version.
        challenger: The version that is asked beside it; None while there is none.
    """

    name: str
    live: Live | None
    last_error: str
    looked_at: datetime | None
    challenger: Challenging | None

    def challenger_facts(self) -> dict[str, Any] | None:
        """What GET /model says of the challenger; None if there is none."""

    def start(self, *, wait_seconds: float) -> None:
        """Begin; returns after the first look, or after that time."""

    def stop(self) -> None:
        """Look no more."""


class Answering:
    """One worker's answers: the version that is live now, the ledger, the counters.

    Args:
        follower: Holds the version that answers.
        ledger: The ledger, for what a shadow says behind the answers.
        ledger_folder: Where it stands, to look up what was answered.
        counters: What is counted.
        max_rows: Largest number of rows in one request.
        max_bytes: Largest body of one request.
        keeper: Writes to the ledger, before anything is answered.
    """

    def __init__(
        self,
        follower: Holder,
        ledger: Ledger,
        ledger_folder: Path,
        counters: Counters,
        *,
        max_rows: int,
        max_bytes: int,
        keeper: Keeper,
    ) -> None:
        self.counters = counters
        self.max_bytes = max_bytes
        self.keeper = keeper
        self._follower = follower
        self._ledger_folder = ledger_folder
        self._max_rows = max_rows
        self._encoder = msgspec.json.Encoder()
        self._shadowing = Shadowing(ledger, counters.rollout)

    def close(self) -> None:
        """Ask no shadow any more; the ledger is not used when this returns."""
        self._shadowing.close()

    def predict(self, body: bytes, kind: str = JSON, wants: str = JSON, caller_request_id: str | None = None) -> Said:
        """The answer to POST /predict; when it returns, every prediction is written to the ledger, but not settled.

        Args:
            body: The rows.
            kind: Content type of the body: `JSON`, `ARROW` or `PARQUET`.
            wants: Content type of the answer: `JSON` or `ARROW`.
            caller_request_id: What the caller calls the request.

        Raises:
            Refused: 400, 413 or 422 if the rows are wrong, 503 if there is no version to ask.
            LedgerError: If the predictions could not be kept; they must not be answered then.
        """
        started = time.perf_counter()
        received_us = time.time_ns() // 1000
        predictor = self._live().predictor
        if kind == JSON:
            rows = predictor.rows.read(body, now_us=received_us)
        else:
            limits = {"max_rows": self._max_rows, "max_bytes": self.max_bytes}
            rows = read_bulk(body, kind, predictor.schema, now_us=received_us, **limits)
        challenger, asked = self._follower.challenger, time.perf_counter()
        if challenger is None:
            outputs = predictor.run(rows.columns)
        else:
            predictor, outputs = _answer_beside(challenger, predictor, rows)
        answered = time.perf_counter()
        latency_ms = (answered - started) * 1000
        kept = to_keep(predictor, rows, outputs, received_us=received_us, latency_ms=latency_ms)
        kept.caller_request_id = caller_request_id
        if challenger is not None and predictor is challenger.predictor:
            kept.variant = CANARY
        is_kept = self.keeper.predictions(kept)
        if is_kept and challenger is not None and challenger.is_shadow:
            self._shadowing.add(challenger, rows, kept, other_ms=(asked - started) * 1000)
        answer = (as_arrow if wants == ARROW else as_json)(kept, outputs, predictor.schema)
        return Said(answer, kept.request_id, len(rows), is_kept)

    def label(self, body: bytes) -> Said:
        """The answer to POST /labels; when it returns, every label is written to the ledger, but not settled.

        Raises:
            Refused: 400 or 422 if the labels are wrong, 503 if there is no version whose target they could be.
            LedgerError: If the labels could not be kept.
        """
        labels = self._live().predictor.labels.read(body)
        received_us, request_id = time.time_ns() // 1000, new_request_id()
        self.keeper.labels(
            LabelBatch(request_id=request_id, received_at=received_us, ids=labels.ids, labels=list(labels.labels))
        )
        self.counters.labels.inc(len(labels.ids))
        return Said(self._encoder.encode({"accepted": len(labels.ids)}), request_id)

    def explain(self, name: str) -> bytes:
        """The answer to GET /explain/{id}.

        Raises:
            Refused: 404 if the ledger holds no such prediction.
            LedgerError: If the ledger cannot be read.
        """
        live = self._follower.live
        schema = live.predictor.schema if live is not None else None
        return self._encoder.encode(explain(self._ledger_folder, name, schema))

    def model(self) -> dict[str, Any]:
        """What GET /model says: the version that answers, and why a newer one does not."""
        follower, live = self._follower, self._follower.live
        facts: dict[str, Any] = {"name": follower.name, "version": None, "sha256": None, "live_since": None}
        if live is not None:
            files = live.predictor.files
            facts |= {"version": files.version.version, "sha256": files.version.sha256, "live_since": live.since}
            facts |= {"metrics": files.metrics, "config_sha256": files.config_sha256}
            facts |= {"columns": [asdict(column) for column in files.schema.features]}
            facts |= {"signature": signature(files.schema)} | read_standing(files.graph.parent)
        why = self.why_not_ready() or without_folders(follower.last_error)
        facts |= {"challenger": follower.challenger_facts()}
        return facts | {"looked_at": follower.looked_at, "last_error": why}

    def document(self, *, wants_key: bool) -> dict[str, Any]:
        """The OpenAPI document of the version that answers now."""
        live = self._follower.live
        return openapi.document(self._follower.name, live, max_rows=self._max_rows, wants_key=wants_key)

    def client_document(self) -> dict[str, Any]:
        """What BentoML's own clients want to know."""
        return openapi.client_document(self._follower.live, max_rows=self._max_rows)

    def page(self) -> bytes:
        """The page at /."""
        return page.PAGE.format(title=html.escape(self._follower.name)).encode()

    def script(self) -> bytes:
        """What starts Swagger UI on the page."""
        return page.SCRIPT.encode()

    def why_not_ready(self) -> str:
        """Why no request can be answered yet; empty when it can."""
        if self._follower.live is not None:
            return ""
        error = without_folders(self._follower.last_error)
        return f"no version could be loaded yet: {error}" if error else NO_CHAMPION

    def _live(self) -> Live:
        live = self._follower.live
        if live is None:
            raise Refused(503, self.why_not_ready())
        return live


def _answer_beside(challenger: Challenging, champion: Predictor, rows: Rows) -> tuple[Predictor, Outputs]:
    """Who answers, and what: the canary the requests that are its, the champion all others and those that it cannot.

    Raises:
        Refused: 422 if the champion has no answer; the rows are to blame then, and the canary is not.
    """
    if not challenger.answers(rows.entity_ids[0]):
        return champion, champion.run(rows.columns)
    try:
        return challenger.predictor, challenger.run(rows.columns)
    except Exception as err:  # noqa: BLE001 - whatever is wrong with the canary, the caller gets the champion's answer
        outputs = champion.run(rows.columns)
        challenger.failed(err)
        return champion, outputs
