"""Windows that say little: none of them breaks a monitor run, and each ends in a decision that a person can read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from components.records.watching import Decision
from flows.demo.application import Application, Batch
from flows.folders import outbox
from flows.monitor import monitor
from tests.flows.harness import Harness
from tests.flows.small import NAME

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

# Long before all other traffic, so that no other window has these rows, nor any of them a rest after this.
EMPTY, SIX, UNLABELLED, TORN = (datetime(2012, month, 1, tzinfo=UTC) for month in (3, 5, 7, 9))
Look = Callable[[datetime], Decision]


@pytest.fixture
def look(live: Harness) -> Look:
    """What is decided of the window that ends there, as it stands in the outbox."""

    def measured(until: datetime) -> Decision:
        monitor(Path(live.project.file), until=until)
        (entry,) = (one for one in outbox(NAME).history(NAME) if one.decision.window.end == until)
        if entry.is_open:  # these rows are made up, and nothing is to be learned from them
            outbox(NAME).close(entry.decision.id, "stale", "its rows were made up by a test")
        return entry.decision

    return measured


def test_a_window_with_no_rows_is_a_no(look: Look):
    """Nothing was asked: nothing is known, and nothing follows."""
    decision = look(EMPTY)

    assert decision.verdict == "keep"
    assert decision.reason.startswith("no, because")
    assert "has 0 predictions" in decision.reason


def test_a_window_with_six_rows_is_a_no(look: Look, live: Harness, batches: list[Batch]):
    """Six rows say nothing about drift, and are not pressed to."""
    six = next(batch for batch in batches if len(batch.rows) >= 6)
    send_rows(live, six, until=SIX, rows=6)

    decision = look(SIX)

    assert decision.facts.rows == 6
    assert decision.facts.drift_share is None
    assert decision.verdict == "keep"
    assert "has 6 predictions, and 100 are needed" in decision.reason


def test_a_window_without_labels_is_decided_on_what_is_known(look: Look, live: Harness, batches: list[Batch]):
    """Drift alone is reason enough: the quality is not known, and no number is made up for it."""
    for batch in batches[:12]:
        send_rows(live, batch, until=UNLABELLED, rows=len(batch.rows))

    decision = look(UNLABELLED)

    facts = decision.facts
    assert facts.rows >= 100
    assert (facts.labelled_rows, facts.quality) == (0, None)
    assert facts.drift_share is not None
    assert decision.verdict == "retrain"
    assert "of the columns drifted" in decision.reason
    assert "roc_auc" not in decision.reason


def test_labels_that_contradict_each_other_are_for_a_person_to_look_at(look: Look, live: Harness, batches: list[Batch]):
    """Each row is told late and then not late, or the other way round: nobody learns from that before it is mended.

    The answers count once, as they came last.
    """
    told: list[tuple[str, int]] = []
    for batch in batches[:12]:
        ids = send_rows(live, batch, until=TORN, rows=len(batch.rows))
        told += [(one, label) for one, label in zip(ids, batch.labels, strict=True) if label is not None]
    _label(live, [(one, 1 - label) for one, label in told])
    _label(live, told)

    decision = look(TORN)

    facts = decision.facts
    assert facts.labelled_rows == len(told)
    assert facts.label_conflicts == len(told)
    assert facts.quality is not None
    assert decision.verdict == "ask"
    assert f"{len(told)} of {len(told)} labelled rows have labels that contradict each other" in decision.reason


def send_rows(live: Harness, batch: Batch, *, until: datetime, rows: int) -> list[str]:
    """Rows of a batch, sent as if they were of the day before that moment; their prediction ids."""
    moment = live.project.data.timestamp
    sent = [row | {moment: until - timedelta(hours=20)} for row in batch.rows[:rows]]
    answer = Application(live.environment.service, timedelta(0))._post("/predict", {"rows": sent})
    assert answer is not None
    return [str(one["id"]) for one in msgspec.convert(answer["predictions"], list[dict[str, object]])]


def _label(live: Harness, told: list[tuple[str, int]]) -> None:
    body = {"labels": [{"id": one, "label": label} for one, label in told]}
    httpx.post(f"{live.environment.service}/labels", json=body, timeout=30).raise_for_status()
