"""Which decisions stand for others: of a project's open ones only the newest is ever carried out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from components.data.entries import OPEN, TABLE


def supersede(connection: sa.Connection, project: str) -> int:
    """Closes the open decisions that a newer one stands for, itself open or done since; how many these were."""
    waiting = _newest_first(connection, project, OPEN)
    trained = _newest_first(connection, project, ("done",)) if waiting else []
    reasons = {row.id: _stood_for(row, waiting[0], trained) for row in waiting}
    closed = {decision_id: reason for decision_id, reason in reasons.items() if reason}
    for decision_id, reason in closed.items():
        connection.execute(
            TABLE.update()
            .where(TABLE.c.id == decision_id)
            .values(state="closed", outcome="superseded", detail=reason, updated_at=datetime.now(UTC))
        )
    return len(closed)


def _newest_first(connection: sa.Connection, project: str, states: Sequence[str]) -> Sequence[sa.Row[Any]]:
    """The project's decisions to retrain in these states, by the end of their windows."""
    return connection.execute(
        sa.select(TABLE.c.id, TABLE.c.window_end, TABLE.c.decided_at, TABLE.c.updated_at)
        .where(TABLE.c.project == project, TABLE.c.verdict == "retrain", TABLE.c.state.in_(states))
        .order_by(TABLE.c.window_end.desc(), TABLE.c.sequence.desc())
    ).all()


def _stood_for(row: sa.Row[Any], newest: sa.Row[Any], trained: Sequence[sa.Row[Any]]) -> str:
    """Which decision stands for this one, as a sentence; empty if none does."""
    for done in trained:
        # One that ended before this was decided has not met it: whoever measures an old window again means it.
        if done.window_end >= row.window_end and done.updated_at >= row.decided_at:
            return f"decision {done.id} has been carried out since, on data until {done.window_end:%Y-%m-%d %H:%M}"
    if row.id != newest.id:
        return f"decision {newest.id} asks for the same with newer data, until {newest.window_end:%Y-%m-%d %H:%M}"
    return ""
