"""Append-only files of framed bytes: what a process has appended survives its kill.

A process writes only to segments of its own, so no two writers ever meet in one file. The writer holds a lock (`flock`)
on its segment: a free lock means that nobody will write there again. This module does not know what the bytes mean, and
who has read them how far.
"""

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from components.data.frames import framed, is_torn, scan
from components.errors import LedgerError

log = logging.getLogger(__name__)

Durability = Literal["process", "disk"]

SUFFIX = ".seg"
DAMAGED_SUFFIX = ".damaged"
# A full segment can be deleted once it was read, while its writer goes on: 64 MB is an hour at 1,000 rows a second.
ROTATE_BYTES = 64 * 1024 * 1024


class SegmentWriter:
    """Appends frames to a segment of its own, from any thread; the file is made by the first append.

    Args:
        folder: Where segments stand; made when missing.
        kind: First word of the file name; readers ask for segments of a kind.
        durability: `process` survives a kill of this process; `disk` also a power cut, at the price of an fdatasync.
        rotate_bytes: Size in bytes from which the next frame begins a new segment.
    """

    def __init__(
        self, folder: Path, kind: str, *, durability: Durability = "process", rotate_bytes: int = ROTATE_BYTES
    ) -> None:
        self.folder = folder
        self.kind = kind
        self.durability = durability
        self.rotate_bytes = rotate_bytes
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    def append(self, payload: bytes) -> None:
        """Appends one frame; when this returns, the frame is kept.

        Raises:
            LedgerError: If the frame cannot be written whole; the file then ends where it ended before.
        """
        frame = framed(payload)
        with self._lock:
            descriptor, size = self._open_segment()
            self._write_whole(descriptor, frame, size)
            if self.durability == "disk":
                self._sync(descriptor)

    def close(self) -> None:
        """Lets go of the segment; a later append begins a new one."""
        with self._lock:
            self._let_go()

    def _open_segment(self) -> tuple[int, int]:
        """The descriptor to write to, and where its file ends."""
        if self._descriptor is not None:
            status = os.fstat(self._descriptor)
            # No links: someone deleted the file under us, and what is written there could never be read.
            if status.st_nlink and status.st_size < self.rotate_bytes:
                return self._descriptor, status.st_size
            self._let_go()
        try:
            self._descriptor = self._create()
        except OSError as err:
            raise LedgerError(
                f"wanted to begin a segment in {self.folder}, but the system said: {err}; "
                "make room there, or make the folder writable"
            ) from err
        return self._descriptor, 0

    def _create(self) -> int:
        """A new, empty, locked segment; readers see it only once it is locked, and so never take it for abandoned."""
        self.folder.mkdir(parents=True, exist_ok=True)
        started = datetime.now(UTC)
        name = f"{self.kind}-{started:%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        unseen = self.folder / f".{name}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(unseen, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unseen.rename(self.folder / name)
            if self.durability == "disk":
                _sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _write_whole(self, descriptor: int, frame: bytes, size: int) -> None:
        """One write; where the system takes only a part of it (a full disk), the rest or nothing."""
        try:
            written = os.write(descriptor, frame)
            while written < len(frame):
                written += os.write(descriptor, frame[written:])
        except OSError as err:
            self._undo(descriptor, size)
            raise LedgerError(
                f"wanted to append {len(frame):,} bytes to a segment in {self.folder}, but the system said: {err}; "
                "nothing of it was kept: make room on that disk and send the request again"
            ) from err

    def _undo(self, descriptor: int, size: int) -> None:
        try:
            os.ftruncate(descriptor, size)
        except OSError:
            self._let_go()  # its last frame is torn, which readers ignore; the next frame goes to a new segment

    def _sync(self, descriptor: int) -> None:
        try:
            os.fdatasync(descriptor)
        except OSError as err:
            # Not undone: a reader may have taken the frame, and would then skip whatever came in its place.
            self._let_go()
            raise LedgerError(
                f"wanted the last frame in {self.folder} on the disk, but the system said: {err}; check the disk, or "
                "set serving.durability to process"
            ) from err

    def _let_go(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


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


def _sync_folder(folder: Path) -> None:
    """Makes a new name in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
