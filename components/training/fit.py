"""A fitted model from a split: starts the training process, passes on what it says, and reads what it left."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from datetime import timedelta
from pathlib import Path

from components.errors import TrainingFailed
from components.records.models import FittedModel
from components.records.rows import Split
from components.settings.project import TrainingSettings
from components.training.jobs import Job

log = logging.getLogger(__name__)

# Enough to hold a traceback's end, little enough for an error message.
LAST_LINES = 20


def fit_model(
    split: Split,
    settings: TrainingSettings,
    folder: Path,
    *,
    start: FittedModel | None = None,
    teacher: FittedModel | None = None,
    teacher_weight: float = 0.0,
    half_life: timedelta | None = None,
) -> FittedModel:
    """The model that these settings make of this split; goes on from the checkpoint of a run that was killed.

    Args:
        split: Learns on its train part, chooses on its validation part.
        settings: The network and how it is fitted.
        folder: Where the model goes; made if it is not there.
        start: A model to begin with: its weights, its encoder, its class and arguments instead of `settings.model`.
        teacher: A model whose answers are learned beside the labels; its encoder is used, unless `start` gives one.
        teacher_weight: Weight of the teacher's answer in each row's target, 0 to 1; the label has the rest.
        half_life: Age, in event time, at which a training row counts half of the newest; None: all count alike.

    Raises:
        ModelRefused: If the files of `start` or `teacher` are missing or broken.
        TrainingFailed: If the training process ends without a model, or takes longer than its `timeout_minutes`.
    """
    others = {"start": start, "teacher": teacher}
    job = Job.of(split, settings, folder, **others, teacher_weight=teacher_weight, half_life=half_life)
    job.folder.mkdir(parents=True, exist_ok=True)
    job.write(job.folder / "job.json")
    _run(job)
    facts = json.loads((job.folder / "fitted.json").read_text(encoding="utf-8"))
    # With the model there, the checkpoints have served; a later training in this folder must begin anew.
    shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
    fitted = FittedModel(folder=folder, **facts)
    log.info(
        "model fitted folder=%s epochs=%d best_epoch=%d validation_loss=%.4f seconds=%.1f peak_mb=%.0f",
        *(folder, fitted.epochs, fitted.best_epoch, fitted.validation_loss, fitted.seconds, fitted.peak_mb),
    )
    return fitted


def _run(job: Job) -> None:
    """Runs the training process to its end; it ends with this one, since its stdin closes then."""
    command = [sys.executable, "-m", "components.training.worker", str(job.folder / "job.json"), "--with-parent"]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        env=_environment(job.settings.threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    timer = threading.Timer(job.settings.timeout_minutes * 60, process.kill)
    timer.start()
    try:
        last_lines = _pass_on(process, job.folder / "worker.log")
        status = process.wait()
    finally:
        is_late = not timer.is_alive()
        timer.cancel()
        process.kill()
        process.wait()
    if status:
        raise TrainingFailed(_why(status, is_late, last_lines, job))


def _pass_on(process: "subprocess.Popen[str]", log_file: Path) -> list[str]:
    """Logs each line that the process says, and keeps all in a file; its last lines."""
    kept: deque[str] = deque(maxlen=LAST_LINES)
    assert process.stdout is not None
    with log_file.open("w", encoding="utf-8") as copy:
        for line in process.stdout:
            copy.write(line)
            if line.strip():
                kept.append(line.rstrip())
                log.info("%s", kept[-1])
    return list(kept)


def _why(status: int, is_late: bool, last_lines: list[str], job: Job) -> str:
    said = last_lines[-1] if last_lines else "nothing"
    if is_late:
        return (
            f"training must end within {job.settings.timeout_minutes:g} minutes (training.timeout_minutes), but was "
            f"still running and was stopped; its last line: {said}; allow more time, or train less"
        )
    return (
        f"training must leave a model in {job.folder}, but its process ended with status {status}: {said} "
        f"(all it said: {job.folder / 'worker.log'}); mend this and run again, it goes on from its last checkpoint"
    )


def _environment(threads: int) -> dict[str, str]:
    """This process's environment, with its import path and as many threads as were asked for.

    With waiting threads spinning, another busy process made two threads three times slower than one.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    threading_settings = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **threading_settings, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
