"""Parts of a long piece of work for the ledger: kept as they are done, seen by readers together, at the end.

Who was killed goes on with the parts that are there. A part that is done again replaces itself, and publishing again
publishes only what was not: so each prediction comes to stand in the ledger once.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.data.ledger import PREDICTIONS, Ledger, segment_folder
from components.data.privacy import Privacy
from components.data.segments import SUFFIX, Durability, segments
from components.data.writers import sync_path
from components.errors import LedgerError


class Stage:
    """The parts of one run, in a hidden folder beside the segments: moving a file there is one step of the file system.

    Args:
        folder: The project's ledger folder.
        run: Name of the run; letters and digits. The names of its segments begin with it, and are its own.
        durability: `process` survives a kill of this process; `disk` also a power cut.
        privacy: What is never kept as it came; None keeps everything.
    """

    def __init__(
        self, folder: Path, run: str, durability: Durability = "process", privacy: Privacy | None = None
    ) -> None:
        self._privacy = privacy
        self._folder = folder
        self._run = run
        self._durability = durability
        self._staged = folder / f".staged-{run}"

    @contextmanager
    def part(self, number: int) -> Iterator[Ledger]:
        """A pen for one part, which is kept once the block has ended well; after an error nothing of it is.

        Every 64 MB (some 300,000 rows of 20 columns) are a segment.

        Raises:
            LedgerError: If it cannot be kept.
        """
        self.forget(number)
        with self._scratch() as scratch:
            pen = Ledger(scratch, "process", privacy=self._privacy)
            try:
                yield pen
            finally:
                pen.close()
            with self._possible():
                self._take(scratch, number)

    def forget(self, number: int) -> None:
        """Drop this part and all that come behind it: they were never said to be done."""
        for file in segments(self._staged, PREDICTIONS):
            if int(file.stem.split("-")[-2]) >= number:
                file.unlink()

    def publish(self) -> None:
        """Let readers see all parts; those that they see already are left alone.

        Raises:
            LedgerError: If they cannot be moved.
        """
        there = segment_folder(self._folder)
        with self._possible():
            there.mkdir(parents=True, exist_ok=True)
            for file in segments(self._staged, PREDICTIONS):
                file.rename(there / file.name)
            if self._durability == "disk":
                sync_path(there)
        self.discard()

    def discard(self) -> None:
        """Drop whatever was not published."""
        shutil.rmtree(self._staged, ignore_errors=True)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for what is not finished; no empty one is left behind."""
        with self._possible():
            self._staged.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.TemporaryDirectory(prefix=".part-", dir=self._staged)
        try:
            yield Path(scratch.name)
        finally:
            scratch.cleanup()
            with suppress(OSError):  # not empty: parts are there
                self._staged.rmdir()

    def _take(self, scratch: Path, number: int) -> None:
        for place, file in enumerate(segments(segment_folder(scratch), PREDICTIONS)):
            sync_path(file)
            file.rename(self._staged / f"{PREDICTIONS}-{self._run}-{number:06}-{place:03}{SUFFIX}")
        sync_path(self._staged)

    @contextmanager
    def _possible(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise LedgerError(
                f"wanted to keep predictions in {self._folder}, but the system said: {err}; make room there, or make "
                "the folder writable, and run it again: it goes on where it was"
            ) from err
