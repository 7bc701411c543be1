"""How far a file of rows has been answered, in a hidden folder beside the output, so that a killed run can go on.

The folder holds a file of answers for each part that is done, and `progress.json`, which says of which rows, which
version and which settings they are. Whatever differs, the work starts over.
"""

import fcntl
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.errors import DataError

log = logging.getLogger(__name__)

PROGRESS = "progress.json"
# Of the 20 hexadecimal digits of a request's id, these are chance.
CHANCE_DIGITS = 12


@dataclass(slots=True)
class _State:
    """What `progress.json` says.

    Attributes:
        facts: What is equal as long as the answers would be the same ones.
        run: Name of the run: seconds since 1970 and chance, as in the id of a request.
        started_us: When the run began, microseconds since 1970 (UTC).
        parts: Rows of each part that is done.
        is_whole: Whether the last row is answered.
    """

    facts: dict[str, Any]
    run: str
    started_us: int
    parts: list[int] = field(default_factory=list)
    is_whole: bool = False


class Progress:
    """The parts of one output; made by `progress_of`."""

    def __init__(self, folder: Path, state: _State) -> None:
        self.folder = folder
        self._state = state

    @property
    def run(self) -> str:
        """Name of the run; the same when it goes on after a kill."""
        return self._state.run

    @property
    def started_us(self) -> int:
        """When the run began, microseconds since 1970 (UTC)."""
        return self._state.started_us

    @property
    def rows(self) -> int:
        """How many rows the parts that are done hold."""
        return sum(self._state.parts)

    @property
    def is_whole(self) -> bool:
        """Whether the last row is answered."""
        return self._state.is_whole

    @property
    def next_part(self) -> int:
        """Number of the next part."""
        return len(self._state.parts)

    def files(self) -> list[Path]:
        """The parts that are done, in order."""
        return [self.file(number) for number in range(self.next_part)]

    def file(self, number: int) -> Path:
        """Where the answers of a part stand."""
        return self.folder / f"part-{number:06}.arrow"

    def request_id(self, first_row: int) -> str:
        """Id of the request that stands for a batch of rows: the same one when they are answered again."""
        chance = (int(self.run[-CHANCE_DIGITS:], 16) + first_row) % 16**CHANCE_DIGITS
        return f"{self.run[:-CHANCE_DIGITS]}{chance:0{CHANCE_DIGITS}x}"

    def add(self, rows: int) -> None:
        """Note that the next part is done; its answers and its predictions in the ledger are kept by now."""
        self._state.parts.append(rows)
        self.save()

    def end(self) -> None:
        """Note that the last row is answered."""
        self._state.is_whole = True
        self.save()

    def save(self) -> None:
        """Write down the state in one step."""
        unfinished = self.folder / f"{PROGRESS}.unfinished"
        with unfinished.open("w") as file:
            json.dump(asdict(self._state), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.folder / PROGRESS)

    def clear(self) -> None:
        """Remove the folder: nothing of it is needed any more."""
        (self.folder / PROGRESS).unlink(missing_ok=True)
        shutil.rmtree(self.folder)


@contextmanager
def progress_of(output: Path, facts: dict[str, Any]) -> Iterator[tuple[Progress, str | None]]:
    """The progress of an output, where an earlier run left it or from the start; nobody else has it meanwhile.

    Args:
        output: What the parts will become.
        facts: What is equal as long as the answers would be the same ones, as JSON takes it.

    Returns:
        The progress, and the name of an earlier run that cannot go on and was given up, if there is one.

    Raises:
        DataError: If another process is writing that output.
    """
    folder = output.parent / f".{output.name}.parts"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise DataError(
                f"wanted to write {output}, but another process is writing it; wait for it, or name another output"
            ) from err
        earlier = _read(folder / PROGRESS)
        given_up = None
        facts = json.loads(json.dumps(facts))
        if earlier is None or earlier.facts != facts:
            given_up = earlier.run if earlier else None
            _start_over(folder, output, earlier, facts)
            now = time.time_ns()
            run = f"{now // 10**9:08x}{secrets.token_hex(CHANCE_DIGITS // 2)}"
            progress = Progress(folder, _State(facts, run, now // 1000))
            progress.save()
        else:
            progress = Progress(folder, earlier)
            log.info("batch goes on output=%s run=%s rows_done=%d", output, progress.run, progress.rows)
        try:
            yield progress, given_up
        except BaseException:
            if not progress.next_part:
                progress.clear()  # nothing to go on from
            raise


def _start_over(folder: Path, output: Path, earlier: _State | None, facts: dict[str, Any]) -> None:
    if earlier is not None:
        changed = [name for name in {**earlier.facts, **facts} if earlier.facts.get(name) != facts.get(name)]
        log.warning(
            "batch starts over output=%s rows_given_up=%d changed=%s", output, sum(earlier.parts), ",".join(changed)
        )
    (folder / PROGRESS).unlink(missing_ok=True)
    for left in folder.iterdir():
        if left.name != "lock":
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _read(file: Path) -> _State | None:
    """The state, if there is one that can be read."""
    try:
        return _State(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as err:
        log.warning("batch progress not readable file=%s error=%s; it starts over", file, err)
        return None
