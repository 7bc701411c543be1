"""The table of decisions, one row each, and a row as a record."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from components.data.databases import UtcTime
from components.records.watching import Decision

# States in which a decision to retrain waits for a run.
OPEN = ("decided", "emitted")

METADATA = sa.MetaData()
TABLE = sa.Table(
    "decisions",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(200), nullable=False, unique=True),
    sa.Column("project", sa.String(63), nullable=False, index=True),
    sa.Column("window_end", UtcTime, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String(200)),
    sa.Column("outcome", sa.String(64)),
    sa.Column("detail", sa.Text),
    sa.Column("candidate_version", sa.Integer),
    sa.Column("gain", sa.Float),
    sa.Column("cost", sa.Float),
    sa.Column("decided_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """A decision, and what became of it.

    Attributes:
        decision: The decision.
        state: `decided`, `emitted`, `running`, `done`, `failed`, or `closed` (nothing was to be done).
        attempts: Runs that took it and gave it back.
        run_id: The run that has it, or had it last.
        outcome: What came of it, such as `promote`, `reject`, `superseded` or `stale`; None until then.
        detail: One sentence on the outcome, or why the last run gave it back.
        candidate_version: The model version that was made; None if none was.
        decided_at: When it was written down (UTC).
        updated_at: When it changed last (UTC).
        gain: How much better the new version was than the champion on the judge's rows; None if that is not known.
        cost: Price of its training; None if that is not known.
    """

    decision: Decision
    state: str
    attempts: int
    run_id: str | None
    outcome: str | None
    detail: str | None
    candidate_version: int | None
    decided_at: datetime
    updated_at: datetime
    gain: float | None = None
    cost: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it waits for a run to take it."""
        return self.decision.verdict == "retrain" and self.state in OPEN


def entry_of(row: Any) -> DecisionEntry:
    """The row as a record."""
    return DecisionEntry(
        decision=msgspec.json.decode(row.document, type=Decision),
        state=row.state,
        attempts=row.attempts,
        run_id=row.run_id,
        outcome=row.outcome,
        detail=row.detail,
        candidate_version=row.candidate_version,
        decided_at=row.decided_at,
        updated_at=row.updated_at,
        gain=row.gain,
        cost=row.cost,
    )


def plain(value: Any) -> Any:
    """A number of numpy's, which measured facts may hold, as one of Python's."""
    if callable(getattr(value, "item", None)):
        return value.item()
    raise TypeError(f"a decision holds texts, numbers and times, but found {type(value).__name__}")
