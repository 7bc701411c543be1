"""Append-only files of framed bytes: what a process has appended survives its kill.

A process writes only to segments of its own, so no two writers ever meet in one file. The writer holds a lock (`flock`)
on its segment: a free lock means that nobody will write there again. This module reads and retires segments, and knows
neither what the bytes mean nor who has read them how far; `components.data.writers` writes them.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from components.data.frames import is_torn, scan
from components.errors import LedgerError

log = logging.getLogger(__name__)

Durability = Literal["process", "disk"]

SUFFIX = ".seg"
DAMAGED_SUFFIX = ".damaged"


def segments(folder: Path, kind: str) -> list[Path]:
    """The segments of a kind, oldest first; empty when there is no such folder."""
    return sorted(folder.glob(f"{kind}-*{SUFFIX}"))


def read_frames(path: Path, from_offset: int = 0, *, max_bytes: int | None = None) -> tuple[list[bytes], int]:
    """The payloads that stand whole from an offset on, and the offset behind the last of them.

    It stops before a torn last frame: one that is being written, or whose writer was killed and was never told that it
    is kept. Damage with whole frames behind it is skipped and logged as an error; `retire` then keeps the file.

    Args:
        path: The segment.
        from_offset: Where to begin, in bytes: 0, or what an earlier call returned.
        max_bytes: Begin no further frame once this much was read; None reads all.

    Raises:
        LedgerError: If the file cannot be read. A file that is gone raises FileNotFoundError: it was read before.
    """
    found = scan(_read(path, from_offset), max_bytes)
    if found.damaged:
        # Once more: a writer whose disk was full may have taken back a frame while we read.
        found = scan(_read(path, from_offset), max_bytes)
    for start, end in found.damaged:
        log.error(
            "ledger damaged path=%s from_byte=%d to_byte=%d; what stood there is lost, the file is kept as *%s",
            path,
            from_offset + start,
            from_offset + end,
            DAMAGED_SUFFIX,
        )
    return found.payloads, from_offset + found.end


def is_abandoned(path: Path) -> bool:
    """Whether nobody will write this segment any more: its writer let it go, or died."""
    with _locked(path) as abandoned:
        return abandoned


def retire(path: Path, consumed: int) -> bool:
    """Deletes a segment that nobody writes any more and whose frames were all taken; whether it is gone.

    A damaged one is not deleted but renamed to `*.damaged`, for whoever wants to know what stood there.

    Args:
        path: The segment.
        consumed: Offset in bytes up to which its frames were taken.
    """
    with _locked(path) as abandoned:
        if not abandoned:
            return False
        content = _read(path, 0)
        found = scan(content)
        if found.end > consumed:
            return False
        tail = content[found.end :]
        if found.damaged or not is_torn(tail):
            log.error("ledger damaged path=%s; look into the file, it is kept as *%s", path, DAMAGED_SUFFIX)
            path.rename(path.with_suffix(DAMAGED_SUFFIX))
            return True
        if tail:
            log.warning("torn frame dropped path=%s bytes=%d; its writer was killed before answering", path, len(tail))
        path.unlink()
        return True


def _read(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as err:
        raise LedgerError(
            f"wanted to read the segment {path}, but the system said: {err}; make the file readable, or repair the disk"
        ) from err


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Holds the segment's lock where it is free; whether it was free and the file still there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Linked still: another reader may have retired it between our open and our lock.
        yield os.fstat(descriptor).st_nlink > 0 and path.exists()
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
