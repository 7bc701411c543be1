"""The outbox of decisions: each is written down once, carried out by one run, and closed with what came of it.

A decision to retrain goes decided -> emitted -> running -> done. One whose run died is given back (`release`), and
after three attempts it is failed. Decisions to keep or to ask are closed at once: a "no" is part of the history too.
What follows from a decision is not known here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from components.data.databases import Database, UtcTime
from components.errors import LedgerError
from components.records.watching import Decision

OPEN = ("decided", "emitted")
# A run that died three times dies of its data or its settings: a person must look.
MAX_ATTEMPTS = 3

_metadata = sa.MetaData()
_table = sa.Table(
    "decisions",
    _metadata,
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
        outcome: What came of it, such as `promote` or `reject`; None until then.
        detail: One sentence on the outcome, or why the last run gave it back.
        candidate_version: The model version that was made; None if none was.
        decided_at: When it was written down (UTC).
        updated_at: When it changed last (UTC).
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


class Decisions:
    """The decisions of one database.

    Args:
        url: SQLAlchemy address, such as `sqlite:////path/decisions.db` or `postgresql+psycopg://host/name`. The table,
            and the file and folder of SQLite, are made when they are first needed.

    Raises:
        PassingFault: From every method, if the database cannot be reached or is busy for too long.
        LedgerError: From every method, if it is reached but cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, _metadata)

    def add(self, decision: Decision) -> bool:
        """Writes a decision down; False, and nothing changes, if its id is there already."""
        now = datetime.now(UTC)
        row = {
            "id": decision.id,
            "project": decision.project,
            "window_end": decision.window.end,
            "verdict": decision.verdict,
            "document": msgspec.json.encode(decision, enc_hook=_plain).decode(),
            "state": "decided" if decision.verdict == "retrain" else "closed",
            "attempts": 0,
            "decided_at": now,
            "updated_at": now,
        }
        with self._database.connect(writes=True) as connection:
            there = connection.scalar(sa.select(_table.c.id).where(_table.c.id == decision.id))
            if there is not None:
                return False
            try:
                connection.execute(_table.insert().values(row))
                connection.commit()
            except IntegrityError:  # on PostgreSQL another process may have been faster since we looked
                return False
        return True

    def history(self, project: str, limit: int | None = None) -> list[DecisionEntry]:
        """The project's decisions by the end of their windows, oldest first; with a limit, the newest so many."""
        return self._read(sa.select(_table).where(_table.c.project == project), limit)

    def pending(self, project: str | None = None) -> list[DecisionEntry]:
        """Decisions to retrain that no run has taken, oldest first; of all projects if none is named."""
        query = sa.select(_table).where(_table.c.verdict == "retrain", _table.c.state.in_(OPEN))
        return self._read(query if project is None else query.where(_table.c.project == project))

    def running(self, project: str) -> list[DecisionEntry]:
        """The project's decisions that a run has taken, oldest first."""
        return self._read(sa.select(_table).where(_table.c.project == project, _table.c.state == "running"))

    def last_retraining(self, project: str) -> DecisionEntry | None:
        """The decision, by the end of its window, that last led to a retraining, finished or under way."""
        started = _table.c.state.in_(("running", "done"))
        entries = self._read(
            sa.select(_table).where(_table.c.project == project, _table.c.verdict == "retrain", started), limit=1
        )
        return entries[0] if entries else None

    def is_unheard(self, decision_id: str) -> bool:
        """Whether it is open and nobody was told of it yet."""
        unheard = sa.select(_table.c.id).where(_table.c.id == decision_id, _table.c.state == "decided")
        with self._database.connect(writes=False) as connection:
            return connection.scalar(unheard) is not None

    def mark_emitted(self, decision_id: str) -> bool:
        """Notes that whoever should carry it out was told; False if it was told before, or taken already."""
        return self._change(decision_id, ("decided",), {"state": "emitted"})

    def claim(self, decision_id: str, run_id: str, now: datetime | None = None) -> bool:
        """Takes a decision for a run: True for exactly one caller, however many try at once.

        Args:
            decision_id: The decision.
            run_id: The run that will carry it out.
            now: The moment (UTC); None for the present one.
        """
        return self._change(decision_id, OPEN, {"state": "running", "run_id": run_id}, now=now)

    def finish(
        self, decision_id: str, outcome: str, detail: str, version: int | None, *, run_id: str | None = None
    ) -> bool:
        """Closes a decision that was carried out; False if it is not running (any more).

        Args:
            decision_id: The decision.
            outcome: What came of it, such as `promote`, `reject` or `inconclusive`.
            detail: One sentence on it.
            version: The model version that was made, or None.
            run_id: Only if this run has it; None for whichever has.
        """
        values = {"state": "done", "outcome": outcome, "detail": detail, "candidate_version": version}
        return self._change(decision_id, ("running",), values, run_id=run_id)

    def release(self, decision_id: str, reason: str, *, run_id: str | None = None) -> bool:
        """Gives a decision back that a run did not finish, for another to take; after three attempts it is failed.

        Args:
            decision_id: The decision.
            reason: Why, as one sentence.
            run_id: Only if this run has it; None for whichever has.

        Returns:
            False if it is not running (any more).
        """
        attempts = _table.c.attempts + 1
        state = sa.case((attempts >= MAX_ATTEMPTS, "failed"), else_="decided")
        values = {"state": state, "attempts": attempts, "detail": reason}
        return self._change(decision_id, ("running",), values, run_id=run_id)

    def _change(
        self,
        decision_id: str,
        states: tuple[str, ...],
        values: dict[str, Any],
        *,
        run_id: str | None = None,
        now: datetime | None = None,
    ) -> bool:
        """Compares and sets in one statement: only a decision that is in one of the states is changed."""
        change = _table.update().where(_table.c.id == decision_id, _table.c.state.in_(states))
        if run_id is not None:
            change = change.where(_table.c.run_id == run_id)
        with self._database.connect(writes=True) as connection:
            result = connection.execute(change.values({**values, "updated_at": now or datetime.now(UTC)}))
            changed = result.rowcount == 1
            if not changed and connection.scalar(sa.select(_table.c.id).where(_table.c.id == decision_id)) is None:
                raise LedgerError(
                    f"wanted to change decision {decision_id}, but {self._database.address} holds none of that id; "
                    "take an id from everfit's history of decisions"
                )
            connection.commit()
        return changed

    def _read(self, query: sa.Select[Any], limit: int | None = None) -> list[DecisionEntry]:
        """The entries that the query finds, oldest first."""
        newest_first = query.order_by(_table.c.window_end.desc(), _table.c.sequence.desc()).limit(limit)
        with self._database.connect(writes=False) as connection:
            rows = connection.execute(newest_first).all()
        return [_entry(row) for row in reversed(rows)]


def _entry(row: Any) -> DecisionEntry:
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
    )


def _plain(value: Any) -> Any:
    """A number of numpy's, which measured facts may hold, as one of Python's."""
    if callable(getattr(value, "item", None)):
        return value.item()
    raise TypeError(f"a decision holds texts, numbers and times, but found {type(value).__name__}")
