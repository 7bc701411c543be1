"""Moves what stands in the ledger's segments into two Delta tables, each frame exactly once.

The commit that adds rows also says up to which byte of which segment they were read (a Delta application transaction).
So a killed compaction has either added its rows and moved on, or done neither; and of two that run at once, the second
to commit is refused by Delta, reads where the first one stopped, and goes on from there.
"""

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from components.data.batches import COMMON_TYPES, extend, known_types, typed_frame
from components.data.ledger import LABELS, PREDICTIONS, segment_folder
from components.data.segments import is_abandoned, read_frames, retire, segments
from components.data.writers import sync_path
from components.errors import LedgerError, PassingFault
from components.records.rows import Schema

log = logging.getLogger(__name__)

# 8 MB of frames are some 100,000 rows of 20 columns, which take 300 MB as Python objects on their way.
COMMIT_BYTES = 8 * 1024 * 1024
# Two compactions that meet take turns; twenty defeats in a row mean that something else is wrong.
ATTEMPTS = 20
# Below this many files a scan of the table costs less than merging them.
MANY_FILES = 32
# Of two that work on one table at once, Delta (1.6) refuses the second append of the same frames, but neither the
# second merge of the same files nor the second first version: these take a lock beside the table.
LOCK_SUFFIX = ".lock"
# Longer than any reader takes; older table versions of the ledger are nobody's reference.
KEEP_HOURS = 24
# The system brings a file to the disk within a minute by itself; an hour is far on the safe side.
FLUSH_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Compacted:
    """How many rows one compaction moved.

    Attributes:
        predictions: Rows added to the predictions.
        labels: Rows added to the labels, repeated ones included.
    """

    predictions: int
    labels: int


def compact(folder: Path, schema: Schema | None = None) -> Compacted:
    """Moves all new predictions and labels from the segments into the tables; deletes segments that are done with.

    Args:
        folder: The project's ledger folder.
        schema: Types of the inputs; without it a type is learned from the first value that is not missing.

    Raises:
        LedgerError: If a frame cannot be read, or a value does not fit its column.
        PassingFault: If other compactions were faster again and again.
    """
    moved = Compacted(
        predictions=_drain(folder, PREDICTIONS, known_types(PREDICTIONS, schema)),
        labels=_drain(folder, LABELS, known_types(LABELS, schema)),
    )
    if moved.predictions or moved.labels:
        log.info("ledger compacted path=%s predictions=%d labels=%d", folder, moved.predictions, moved.labels)
    return moved


def table_path(folder: Path, kind: str) -> Path:
    """Where the Delta table of that kind stands."""
    return folder / kind


def _drain(folder: Path, kind: str, known: dict[str, Any]) -> int:
    """Moves the frames that stand there now, then clears up; the number of rows moved."""
    moved = defeats = 0
    more = True
    while more:
        try:
            rows, more = _move(folder, kind, known)
            moved += rows
        except CommitFailedError as err:
            defeats += 1
            if defeats == ATTEMPTS:
                raise PassingFault(
                    f"wanted to add to {table_path(folder, kind)}, but other compactions were faster {defeats} times: "
                    f"{err}; try again, and run fewer compactions of one project at once"
                ) from err
            time.sleep(0.01 * defeats)
        except (DeltaError, OSError) as err:
            raise LedgerError(
                f"wanted to add to {table_path(folder, kind)}, but that failed: {err}; nothing is lost: make room on "
                "the disk, or make the folder writable, and compact again"
            ) from err
    table = _open(table_path(folder, kind))
    if table is not None:
        _retire_segments(folder, kind, table)
        if len(table.file_uris()) >= MANY_FILES:
            _tidy(table_path(folder, kind))
    return moved


def _move(folder: Path, kind: str, known: dict[str, Any]) -> tuple[int, bool]:
    """One commit: a stretch of new frames from every segment, together with how far each was read.

    Returns:
        The rows moved, and whether a segment may hold more. (One that is only as long as its writer is fast holds no
        more: else a busy service would keep its compaction from ever ending.)
    """
    path = table_path(folder, kind)
    # Offsets are read and rows are written through one handle: Delta refuses the commit if the offsets moved meanwhile.
    table = _open(path)
    columns: dict[str, list[Any]] = {name: [] for name in COMMON_TYPES[kind]}
    ends: dict[str, int] = {}
    more = False
    for segment in segments(segment_folder(folder), kind):
        start = _consumed(table, segment)
        try:
            payloads, end = read_frames(segment, start, max_bytes=COMMIT_BYTES)
        except FileNotFoundError:
            continue  # another compaction has read it whole, and deleted it
        if end > start:
            extend(columns, kind, segment.name, start, payloads)
            ends[segment.name] = end
            more = more or end - start >= COMMIT_BYTES
    if ends and table is None:
        # Nothing is added by whoever makes the table: its handle may have seen more than the offsets that it read.
        _create(path, typed_frame(columns, known, where=str(path)))
        return 0, True
    if ends:
        _commit(path, table, columns, known, ends)
    return len(columns["prediction_id"]), more


def _commit(
    path: Path, table: DeltaTable, columns: dict[str, list[Any]], known: dict[str, Any], ends: dict[str, int]
) -> None:
    """Adds the rows and the new offsets in one atomic step."""
    existing = dict(pl.scan_delta(table).collect_schema())
    frame = typed_frame(columns, known | existing, where=str(path))
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in existing.items() if name not in frame.columns]
    frame = frame.with_columns(absent)
    write_deltalake(
        table,
        frame,
        mode="append",
        # Only where a column is new: changing the table's metadata makes every commit of others fail.
        schema_mode="merge" if set(frame.columns) - set(existing) else None,
        commit_properties=CommitProperties(
            app_transactions=[Transaction(app_id=name, version=end) for name, end in ends.items()]
        ),
    )


def _open(path: Path) -> DeltaTable | None:
    """A handle on the newest version of the table, if there is one."""
    try:
        return DeltaTable(path)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as err:
        raise LedgerError(
            f"wanted the Delta table {path}, but it cannot be opened: {err}; restore the folder from a backup"
        ) from err


def _create(path: Path, frame: pl.DataFrame) -> None:
    """The table's empty first version, made by whoever comes first: Delta lets two who make it at once both do it."""
    with _alone(path, wait=True):
        if not DeltaTable.is_deltatable(str(path)):
            DeltaTable.create(path, frame.head(0).to_arrow().schema, mode="error")


def _consumed(table: DeltaTable | None, segment: Path) -> int:
    """Offset in bytes up to which the segment's frames stand in the table."""
    return int(table.transaction_version(segment.name) or 0) if table is not None else 0


def _retire_segments(folder: Path, kind: str, table: DeltaTable) -> None:
    abandoned = [segment for segment in segments(segment_folder(folder), kind) if is_abandoned(segment)]
    if abandoned:
        _flush(table_path(folder, kind))
    for segment in abandoned:
        retire(segment, _consumed(table, segment))


def _flush(path: Path) -> None:
    """Brings the table's new files to the disk: a power cut then finds the rows there, or else in the segment."""
    since = time.time() - FLUSH_SECONDS
    folders = [path, path / "_delta_log"]
    files = [file for folder in folders for file in folder.iterdir() if file.is_file() and file.stat().st_mtime > since]
    for entry in files + folders:
        sync_path(entry)


def _tidy(path: Path) -> None:
    """Merges the files of many small commits into one, and deletes those that no reader can be reading.

    One at a time: Delta lets two merges of the same files both commit, and every row would be there twice.
    """
    with _alone(path, wait=False) as is_mine:
        if not is_mine:
            return
        table = DeltaTable(path)  # as the last one left it
        files = len(table.file_uris())
        if files < MANY_FILES:
            return
        try:
            table.optimize.compact()
            removed = table.vacuum(
                retention_hours=KEEP_HOURS, enforce_retention_duration=False, dry_run=False, full=True
            )
        except CommitFailedError:
            return  # the merge met an append in an unlucky moment; the next compaction tidies
        log.debug("ledger table tidied path=%s files=%d removed=%d", table.table_uri, files, len(removed))


@contextmanager
def _alone(path: Path, *, wait: bool) -> Iterator[bool]:
    """Holds the table's lock, which ends with its process; whether it was free, or waits until it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(LOCK_SUFFIX).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
