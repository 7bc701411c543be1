"""Windows by rows: the newest so many predictions, in blocks that follow each other and never share a row.

A block begins where the one before it ended, and ends with the row that makes it full, together with all rows of that
same moment. So a block that was full once stays the same, however often it is asked for, and of N of the last M blocks
no breach counts twice, which it would if each day's newest 10,000 rows were a window of their own.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from components.data.ledger import CHAMPION, PREDICTIONS
from components.data.windows import collect_rows, scan_table
from components.records.watching import Window

# Windows end before their end: the last row's own moment is inside with this.
MOMENT = timedelta(microseconds=1)


def newest_block(folder: Path, rows: int, *, until: datetime, after: Window | None = None) -> Window | None:
    """The newest full block of the champion's predictions.

    Args:
        folder: The project's ledger folder.
        rows: Predictions in a block.
        until: Only predictions with an event time before this, UTC.
        after: The newest block that was looked at; the next one begins where it ended. Rows that come later with an
            older event time then change no block that follows.

    Returns:
        `after` once more where no block is full since; without it what there is, full or not; None without a row.
    """
    times = _times(folder, after.end if after else None, until)
    found = blocks(times, rows, start=after.end if after else None)
    if found:
        return found[-1]
    if after is not None or times.is_empty():
        return after
    first, last = _at(times, 0), _at(times, -1)
    return Window(first, last + MOMENT)


def blocks(times: pl.Series, rows: int, *, start: datetime | None = None) -> list[Window]:
    """All full blocks, oldest first; of a long history too, in one pass.

    Args:
        times: Event times in ascending order, UTC, shape (rows,).
        rows: Rows in a block.
        start: Where the first one begins; at the first row if not given.
    """
    found: list[Window] = []
    at = 0
    while at + rows <= times.len():
        end = _at(times, at + rows - 1) + MOMENT
        found.append(Window(found[-1].end if found else start or _at(times, 0), end))
        at = int(times.search_sorted(end, side="left"))
    return found


def rows_before(folder: Path, rows: int, *, until: datetime) -> Window | None:
    """The stretch of the newest so many predictions before a moment, with all of its first moment; None if fewer."""
    times = _times(folder, None, until)
    return Window(_at(times, times.len() - rows), until) if times.len() >= rows else None


def _times(folder: Path, since: datetime | None, until: datetime) -> pl.Series:
    rows = scan_table(folder, PREDICTIONS).filter(pl.col("variant") == CHAMPION, pl.col("event_time") < until)
    if since is not None:
        rows = rows.filter(pl.col("event_time") >= since)
    return collect_rows(folder, rows.select("event_time"))["event_time"].sort()


def _at(times: pl.Series, index: int) -> datetime:
    moment: Any = times[index]
    assert isinstance(moment, datetime)
    return moment
