"""The outbox of decisions: each is written down once, carried out by one run, and closed with what came of it.

    decided ──> emitted ──> running ──> done         its outcome is the verdict on the new version
       ^           │           │ └────> failed       three runs died of it: a person must look
       └───────────┼───────────┘                     one that died gives it back (`release`)
                   └──────────────────> closed       nothing is to be done (any more)

Closed at once are decisions to keep and to ask: a "no" is part of the history too. A decision to retrain is closed
without a retraining in two cases, and `outcome` says which:

    superseded  Of several open ones only the newest is carried out: whatever breaches while a retraining runs waits as
                one. So is one whose window ends no later than that of a retraining which has finished meanwhile, since
                that has learned from data at least as new.
    stale       The version it was measured under was replaced meanwhile. What it found is no reason to replace the one
                that came after, which the next window looks at.

What follows from a decision, and how many are carried out at once, is not known here.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from components.data.databases import Database
from components.data.entries import METADATA, OPEN, TABLE, DecisionEntry, entry_of, plain
from components.data.queueing import supersede
from components.errors import LedgerError
from components.records.watching import Decision, Retraining

__all__ = ["DecisionEntry", "Decisions"]

# A run that died three times dies of its data or its settings: a person must look.
MAX_ATTEMPTS = 3


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
        self._database = Database(url, METADATA)

    def add(self, decision: Decision) -> bool:
        """Writes a decision down; False, and nothing changes, if its id is there already.

        Of the project's decisions that are open then, only the newest stays so.
        """
        now = datetime.now(UTC)
        row = {
            "id": decision.id,
            "project": decision.project,
            "window_end": decision.window.end,
            "verdict": decision.verdict,
            "document": msgspec.json.encode(decision, enc_hook=plain).decode(),
            "state": "decided" if decision.verdict == "retrain" else "closed",
            "attempts": 0,
            "decided_at": now,
            "updated_at": now,
        }
        with self._database.connect(writes=True) as connection:
            there = connection.scalar(sa.select(TABLE.c.id).where(TABLE.c.id == decision.id))
            if there is not None:
                return False
            try:
                connection.execute(TABLE.insert().values(row))
                supersede(connection, decision.project)
                connection.commit()
            except IntegrityError:  # on PostgreSQL another process may have been faster since we looked
                return False
        return True

    def history(self, project: str, limit: int | None = None) -> list[DecisionEntry]:
        """The project's decisions by the end of their windows, oldest first; with a limit, the newest so many."""
        return self._read(sa.select(TABLE).where(TABLE.c.project == project), limit)

    def entry(self, decision_id: str) -> DecisionEntry | None:
        """The decision of that id; None if there is none."""
        found = self._read(sa.select(TABLE).where(TABLE.c.id == decision_id))
        return found[0] if found else None

    def retrainings(self, project: str) -> tuple[Retraining, ...]:
        """The project's retrainings as far as the next decision must know them, oldest first.

        Those of closed decisions are none: nothing was trained for them. A failed one has the outcome `failed`.
        """
        found = self._read(
            sa.select(TABLE).where(TABLE.c.project == project, TABLE.c.verdict == "retrain", TABLE.c.state != "closed")
        )
        return tuple(
            Retraining(
                one.decision.id,
                one.decision.window,
                "failed" if one.state == "failed" else one.outcome,
                gain=one.gain,
                cost=one.cost,
            )
            for one in found
        )

    def pending(self, project: str | None = None) -> list[DecisionEntry]:
        """Decisions to retrain that no run has taken, oldest first; of all projects if none is named."""
        query = sa.select(TABLE).where(TABLE.c.verdict == "retrain", TABLE.c.state.in_(OPEN))
        return self._read(query if project is None else query.where(TABLE.c.project == project))

    def running(self, project: str) -> list[DecisionEntry]:
        """The project's decisions that a run has taken, oldest first."""
        return self._read(sa.select(TABLE).where(TABLE.c.project == project, TABLE.c.state == "running"))

    def is_unheard(self, decision_id: str) -> bool:
        """Whether it is open and nobody was told of it yet."""
        unheard = sa.select(TABLE.c.id).where(TABLE.c.id == decision_id, TABLE.c.state == "decided")
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
        self,
        decision_id: str,
        outcome: str,
        detail: str,
        version: int | None,
        *,
        run_id: str | None = None,
        gain: float | None = None,
        cost: float | None = None,
    ) -> bool:
        """Ends a decision that was carried out; False if it is not running (any more).

        Open decisions on windows that end no later are superseded by it.

        Args:
            decision_id: The decision.
            outcome: What came of it, such as `promote`, `reject` or `inconclusive`.
            detail: One sentence on it.
            version: The model version that was made, or None.
            run_id: Only if this run has it; None for whichever has.
            gain: How much better that version was than the champion; None if unknown.
            cost: Price of its training; None if unknown.
        """
        values = {"state": "done", "outcome": outcome, "detail": detail, "candidate_version": version}
        return self._change(decision_id, ("running",), {**values, "gain": gain, "cost": cost}, run_id=run_id)

    def close(self, decision_id: str, outcome: str, detail: str, *, run_id: str | None = None) -> bool:
        """Closes a decision to retrain without a retraining; False if it is not open and not running (any more).

        Args:
            decision_id: The decision.
            outcome: Why, in a word: `stale`.
            detail: The same as a sentence.
            run_id: Only if this run has it; None for whichever has, or none.
        """
        return self._change(
            decision_id, (*OPEN, "running"), {"state": "closed", "outcome": outcome, "detail": detail}, run_id=run_id
        )

    def release(self, decision_id: str, reason: str, *, run_id: str | None = None, counts: bool = True) -> bool:
        """Gives a decision back that a run did not finish, for another to take; after three attempts it is failed.

        Args:
            decision_id: The decision.
            reason: Why, as one sentence.
            run_id: Only if this run has it; None for whichever has.
            counts: Whether it is an attempt; not if something was away that will come back.

        Returns:
            False if it is not running (any more).
        """
        attempts = TABLE.c.attempts + (1 if counts else 0)
        state = sa.case((attempts >= MAX_ATTEMPTS, "failed"), else_="decided")
        values = {"state": state, "attempts": attempts, "detail": reason}
        return self._change(decision_id, ("running",), values, run_id=run_id)

    def supersede(self, project: str) -> int:
        """Closes every open decision of the project but the newest; how many these were.

        Everything that opens or finishes one does so by itself; this is for what an older Everfit left open.
        """
        with self._database.connect(writes=True) as connection:
            closed = supersede(connection, project)
            connection.commit()
        return closed

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
        change = TABLE.update().where(TABLE.c.id == decision_id, TABLE.c.state.in_(states))
        if run_id is not None:
            change = change.where(TABLE.c.run_id == run_id)
        with self._database.connect(writes=True) as connection:
            result = connection.execute(change.values({**values, "updated_at": now or datetime.now(UTC)}))
            changed = result.rowcount == 1
            if not changed and connection.scalar(sa.select(TABLE.c.id).where(TABLE.c.id == decision_id)) is None:
                raise LedgerError(
                    f"wanted to change decision {decision_id}, but {self._database.address} holds none of that id; "
                    "take an id from everfit's history of decisions"
                )
            if changed:
                project = connection.scalars(sa.select(TABLE.c.project).where(TABLE.c.id == decision_id)).one()
                supersede(connection, project)
            connection.commit()
        return changed

    def _read(self, query: sa.Select[Any], limit: int | None = None) -> list[DecisionEntry]:
        """The entries that the query finds, oldest first."""
        newest_first = query.order_by(TABLE.c.window_end.desc(), TABLE.c.sequence.desc()).limit(limit)
        with self._database.connect(writes=False) as connection:
            rows = connection.execute(newest_first).all()
        return [entry_of(row) for row in reversed(rows)]
