"""Many batches for the ledger as one: they appear in it together at the end, or none of them does."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.data.ledger import PREDICTIONS, Ledger, segment_folder
from components.data.segments import Durability, segments


@contextmanager
def staged(folder: Path, durability: Durability = "process") -> Iterator[Ledger]:
    """A pen whose predictions readers see once the block has ended well; after an error nobody ever sees them.

    Every 64 MB (some 500,000 rows of 20 columns) are a file, and files appear one after the other: a kill between two
    of them keeps those before it.

    Args:
        folder: The project's ledger folder.
        durability: `process` survives a kill of this process; `disk` also a power cut.

    Raises:
        LedgerError: If a batch cannot be kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the segments, so that moving a file there is one step of the file system.
    with tempfile.TemporaryDirectory(prefix=".staged-", dir=folder) as scratch:
        pen = Ledger(Path(scratch), durability)
        try:
            yield pen
        finally:
            pen.close()
        _publish(Path(scratch), folder, durability)


def _publish(scratch: Path, folder: Path, durability: Durability) -> None:
    there = segment_folder(folder)
    there.mkdir(exist_ok=True)
    for file in segments(segment_folder(scratch), PREDICTIONS):
        file.rename(there / file.name)
    if durability == "disk":
        descriptor = os.open(there, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
