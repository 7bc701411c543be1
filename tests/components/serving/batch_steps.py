"""Runs batches that kill themselves: `batch_steps.py FOLDER`, by `test_batch_kills`.

Each run is a fork of this process, which has everything imported. A run that kills itself does so before its n-th step
of the file system (a rename or a deletion); then the ledger is compacted, as the monitor might, and a second run ends
the work. Prints a line of JSON for each n, until a run came to its end unkilled.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.data.compaction import compact
from components.registry.opening import open_cached
from components.serving import batch
from components.serving.batch import predict_file

PART_ROWS, BATCH_ROWS = 3_000, 1_000


def forked(do: Callable[[], object]) -> bool:
    """Whether a fork that does this came to its end."""
    child = os.fork()
    if not child:
        try:
            do()
        except BaseException as err:  # noqa: BLE001 - a fork must not go on as its parent
            print(repr(err), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def kill_before(step: int) -> None:
    """Let this process die before its n-th step."""
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **named: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*values, **named)

        return call

    for name in ("rename", "replace", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))


def main(folder: Path, output: str) -> None:
    """Every n, one after the other."""
    batch.PART_ROWS, batch.BATCH_ROWS = PART_ROWS, BATCH_ROWS
    step, was_killed = 0, True
    while was_killed:
        step += 1
        place = folder / str(step)
        place.mkdir()

        def predict(place: Path = place) -> None:
            files = open_cached("tiny-flights", 3, folder)
            predict_file(files, folder / "rows.parquet", place / output, ledger=place / "ledger")

        def killed(step: int = step, predict: Callable[[], None] = predict) -> None:
            kill_before(step)
            predict()

        def compacted(place: Path = place) -> None:
            compact(place / "ledger")

        was_killed = not forked(killed)
        goes_on = (place / f".{output}.parts" / "progress.json").exists() or not (place / output).exists()
        if (place / "ledger").exists():
            forked(compacted)
        if was_killed and goes_on:
            forked(predict)
        forked(compacted)
        print(json.dumps({"place": str(place), "killed": was_killed}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
