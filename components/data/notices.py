"""The outbox of notices: each is written down once for each receiver, and sent until it was received or given up.

    waiting ──> sending ──> told
       ^           ├──────> given_up    it failed too often
       └───────────┘                    it failed, and is tried again by whoever comes next

A notice is taken before it is sent, so two runs never send the same one. Whoever was killed between taking and noting
leaves it `sending`; after a while it is sent again, since twice is better than never.
How it is sent is not known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from components.data.databases import Database, UtcTime
from components.records.notices import Notice

# The first try and four by `reconcile`, which comes every five minutes.
MAX_TRIES = 5
# No sending takes as long: whoever had it is gone.
ABANDONED = timedelta(minutes=2)

METADATA = sa.MetaData()
TABLE = sa.Table(
    "notices",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("block", sa.String(200), nullable=False),
    sa.Column("project", sa.String(63), nullable=False, index=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("failure", sa.Text, nullable=False),
    sa.Column("noted_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.UniqueConstraint("project", "key", "block"),
)


@dataclass(frozen=True, slots=True)
class NoticeEntry:
    """A notice to one receiver.

    Attributes:
        sequence: Its number.
        notice: What happened.
        block: Who is told.
        state: `waiting`, `sending`, `told` or `given_up`.
        tries: How often it was sent.
        failure: Why the last try failed; empty if none did.
        noted_at: When it was written down (UTC).
        updated_at: When it changed last (UTC).
    """

    sequence: int
    notice: Notice
    block: str
    state: str
    tries: int
    failure: str
    noted_at: datetime
    updated_at: datetime


class Notices:
    """The notices of one database.

    Args:
        url: SQLAlchemy address; the table is made when it is first needed.

    Raises:
        PassingFault: From every method, if the database cannot be reached or is busy for too long.
        LedgerError: From every method, if it is reached but cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, METADATA)

    def add(self, notice: Notice, blocks: Sequence[str]) -> int:
        """Writes the notice down for each receiver; how many of these have not been written down before."""
        known = sa.select(TABLE.c.block).where(TABLE.c.project == notice.project, TABLE.c.key == notice.key)
        now = datetime.now(UTC)
        with self._database.connect(writes=True) as connection:
            there = set(connection.scalars(known))
            new = [
                {
                    "key": notice.key,
                    "block": block,
                    "project": notice.project,
                    "document": msgspec.json.encode(notice).decode(),
                    "state": "waiting",
                    "tries": 0,
                    "failure": "",
                    "noted_at": now,
                    "updated_at": now,
                }
                for block in dict.fromkeys(blocks)
                if block not in there
            ]
            if new:
                connection.execute(TABLE.insert(), new)
                connection.commit()
        return len(new)

    def due(self, project: str, now: datetime | None = None) -> list[NoticeEntry]:
        """What waits to be sent, oldest first, with what was taken by someone who is gone."""
        late = (now or datetime.now(UTC)) - ABANDONED
        abandoned = sa.and_(TABLE.c.state == "sending", TABLE.c.updated_at < late)
        return self._read(
            sa.select(TABLE).where(TABLE.c.project == project, sa.or_(TABLE.c.state == "waiting", abandoned))
        )

    def history(self, project: str, limit: int | None = None) -> list[NoticeEntry]:
        """The project's notices, oldest first; with a limit, the newest so many."""
        newest = sa.select(TABLE).where(TABLE.c.project == project).order_by(TABLE.c.sequence.desc()).limit(limit)
        return self._read(sa.select(newest.subquery()))

    def take(self, entry: NoticeEntry) -> bool:
        """Takes it to be sent: true for exactly one caller, however many try at once."""
        return self._change(
            entry,
            {"state": "sending", "tries": TABLE.c.tries + 1},
            TABLE.c.state == entry.state,
            TABLE.c.updated_at == entry.updated_at,
        )

    def told(self, entry: NoticeEntry) -> bool:
        """Notes that it was received."""
        return self._change(entry, {"state": "told", "failure": ""}, TABLE.c.state == "sending")

    def failed(self, entry: NoticeEntry, why: str) -> bool:
        """Notes that it was not received; whether it is given up with this."""
        is_last = entry.tries + 1 >= MAX_TRIES
        state = "given_up" if is_last else "waiting"
        return self._change(entry, {"state": state, "failure": why}, TABLE.c.state == "sending") and is_last

    def _change(self, entry: NoticeEntry, values: dict[str, Any], *conditions: Any) -> bool:
        change = TABLE.update().where(TABLE.c.sequence == entry.sequence, *conditions)
        with self._database.connect(writes=True) as connection:
            changed = connection.execute(change.values(**values, updated_at=datetime.now(UTC))).rowcount == 1
            connection.commit()
        return changed

    def _read(self, query: sa.Select[Any]) -> list[NoticeEntry]:
        with self._database.connect(writes=False) as connection:
            rows = connection.execute(query.order_by(sa.text("sequence"))).all()
        return [
            NoticeEntry(
                sequence=row.sequence,
                notice=msgspec.json.decode(row.document, type=Notice),
                block=row.block,
                state=row.state,
                tries=row.tries,
                failure=row.failure,
                noted_at=row.noted_at,
                updated_at=row.updated_at,
            )
            for row in rows
        ]
