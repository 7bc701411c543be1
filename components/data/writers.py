"""Writes segments: appends frames to a file of its own, and brings them to the disk for all who wait at once.

Reading is for `components.data.segments`.
"""

import fcntl
import os
import secrets
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from components.data.frames import framed
from components.data.segments import SUFFIX, Durability
from components.errors import LedgerError

# A full segment can be deleted once it was read, while its writer goes on: 64 MB is an hour at 1,000 rows a second.
ROTATE_BYTES = 64 * 1024 * 1024
# Someone may delete the file under us, and with it all that was kept there so far; the answers of this time go the same
# way. Looking at each append would take 3 in 100 of the requests a second.
LOOK_SECONDS = 0.01
# Failed syncs that are remembered: whoever waited for one looks as soon as it has ended.
FAILURES = 16


class SegmentWriter:
    """Appends frames to a segment of its own, from any thread; the file is made by the first append.

    Args:
        folder: Where segments stand; made when missing.
        kind: First word of the file name; readers ask for segments of a kind.
        durability: `process` survives a kill of this process; `disk` also a power cut, at the price of an fdatasync.
        rotate_bytes: Size in bytes from which the next frame begins a new segment.
        syncs_apart: With `disk`: `append` leaves it to a later `sync`, which may serve many appends.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        *,
        durability: Durability = "process",
        rotate_bytes: int = ROTATE_BYTES,
        syncs_apart: bool = False,
    ) -> None:
        self.folder = folder
        self.kind = kind
        self.durability = durability
        self.rotate_bytes = rotate_bytes
        self.syncs_apart = syncs_apart
        self._descriptor: int | None = None
        self._size = 0
        self._look_at = 0.0
        self._lock = threading.Lock()
        # Of `disk`: frames that were written, synced and told as such, and those whose sync failed.
        self._written = 0
        self._synced = 0
        self._confirmed = 0
        self._failed: list[tuple[int, int, OSError]] = []
        self._full: list[int] = []
        self._is_syncing = False
        self._synced_more = threading.Condition()

    def append(self, payload: bytes) -> None:
        """Appends one frame; when this returns, the frame is kept (with `syncs_apart`: as `process` keeps it).

        Raises:
            LedgerError: If the frame cannot be written whole; the file then ends where it ended before.
        """
        frame = framed(payload)
        with self._lock:
            if self._descriptor is None or self._size >= self.rotate_bytes or time.monotonic() >= self._look_at:
                self._descriptor = self._open_segment()
            self._write_whole(self._descriptor, frame)
            self._written = number = self._written + 1
        if not self.syncs_apart and self.durability == "disk":
            self._confirm(number - 1, number)

    def sync(self) -> None:
        """With `disk`: when this returns, every frame that was appended before is on the disk.

        Raises:
            LedgerError: If the disk did not confirm one of those that were appended since the last call.
        """
        if self.durability == "disk":
            begin, self._confirmed = self._confirmed, self._written
            self._confirm(begin, self._confirmed)

    def close(self) -> None:
        """Lets go of the segment; a later append begins a new one."""
        if self.durability == "disk":
            self._confirm(self._written, self._written)
        with self._lock:
            self._let_go()
            for descriptor in self._full:
                os.close(descriptor)
            self._full = []

    def _open_segment(self) -> int:
        """The descriptor to write to; its file is there, and has room."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        if self._descriptor is not None:
            # No links: the file was deleted, and what is written there could never be read.
            if os.fstat(self._descriptor).st_nlink and self._size < self.rotate_bytes:
                return self._descriptor
            self._let_go()
        try:
            descriptor = self._create()
        except OSError as err:
            raise LedgerError(
                f"wanted to begin a segment in {self.folder}, but the system said: {err}; "
                "make room there, or make the folder writable"
            ) from err
        self._size = 0
        return descriptor

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
                sync_path(self.folder)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _write_whole(self, descriptor: int, frame: bytes) -> None:
        """One write; where the system takes only a part of it (a full disk), the rest or nothing."""
        try:
            written = os.write(descriptor, frame)
            while written < len(frame):
                written += os.write(descriptor, frame[written:])
        except OSError as err:
            self._undo(descriptor)
            raise LedgerError(
                f"wanted to append {len(frame):,} bytes to a segment in {self.folder}, but the system said: {err}; "
                "nothing of it was kept: make room on that disk and send the request again"
            ) from err
        self._size += written

    def _undo(self, descriptor: int) -> None:
        try:
            os.ftruncate(descriptor, self._size)
        except OSError:
            self._let_go()  # its last frame is torn, which readers ignore; the next frame goes to a new segment

    def _confirm(self, begin: int, end: int) -> None:
        """Frames up to the one with number `end` are on the disk, or else one behind `begin` is not, which is raised.

        Threads that come while one syncs wait for it, and then one of them syncs for all of them. Those whose frames
        were synced go on at once, also while the next sync is under way.
        """
        if self._is_mine_to_sync(end):
            try:
                self._sync_all()
            finally:
                with self._synced_more:
                    self._is_syncing = False
                    self._synced_more.notify_all()
        for low, high, err in self._failed:
            if begin < high and low < end:
                raise LedgerError(
                    f"wanted the last frame in {self.folder} on the disk, but the system said: {err}; check the disk, "
                    "or set serving.durability to process"
                ) from err

    def _is_mine_to_sync(self, end: int) -> bool:
        """Waits until the frames up to this number were synced, or until nobody is at it; whether to do it then."""
        with self._synced_more:
            while self._synced < end:
                if not self._is_syncing:
                    self._is_syncing = True
                    return True
                self._synced_more.wait()
        return False

    def _sync_all(self) -> None:
        """Brings all that was written to the disk, while others go on writing."""
        mine: list[int] = []
        with self._lock:
            upto = self._written
            mine, self._full = self._full, []
            current = self._descriptor
            if current is not None:
                # In our hands until it is synced: whoever appends meanwhile may let go of the segment.
                mine.append(os.dup(current))
        try:
            for descriptor in mine:
                os.fdatasync(descriptor)
        except OSError as err:
            # Not undone: a reader may have taken the frames, and would then skip whatever came in their place.
            self._failed = [*self._failed[-FAILURES:], (self._synced, upto, err)]
            with self._lock:
                if self._descriptor == current:
                    self._let_go()
        finally:
            for descriptor in mine:
                os.close(descriptor)
        self._synced = upto

    def _let_go(self) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if self._synced < self._written and self.durability == "disk":
            self._full.append(descriptor)  # its last frames are not on the disk yet
        else:
            os.close(descriptor)


def sync_path(path: Path) -> None:
    """Brings a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
