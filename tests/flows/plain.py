"""`everfit` without a Prefect server: a home folder with live rows in its ledger, and commands as processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from components.data.decisions import DecisionEntry, Decisions
from components.data.ledger import LabelBatch, Ledger, PredictionBatch, new_ids
from components.data.sources import read_source
from components.records.models import ModelFiles
from components.settings.reading import load_project
from tests.flows.small import NAME

SERVERS = ("EVERFIT_", "MLFLOW_", "PREFECT_")
# Ends its own process the hard way, before or after a method of the outbox is called for the n-th time.
DIES = """
import os, signal, sys
from components.data.decisions import Decisions
method, moment = sys.argv[1].split(":")
does = getattr(Decisions, method)
def dies(*arguments, **named):
    if moment == "after":
        does(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(Decisions, method, dies)
sys.argv = ["everfit", *sys.argv[2:]]
from flows.cli import main
main()
"""


@dataclass
class Command:
    """A process of everfit, and the file that has what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def wait(self) -> tuple[str, int]:
        """What it said until its end, and its status."""
        try:
            status = self.process.wait(timeout=600)
        finally:
            self.end()
        return self.log.read_text(), status

    def end(self) -> None:
        """Kill what is left of it: the temporary Prefect server of a process that was killed outlives it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Plain:
    """A home folder that no stack runs in.

    Attributes:
        home: The folder.
        project_file: The project.
        registry: Address of the MLflow server that knows its versions; empty where they are in the home folder.
    """

    home: Path
    project_file: Path
    registry: str = ""

    def start(self, *arguments: str, dies: str = "", **variables: str) -> "Command":
        """A command of everfit under way; with `dies`, such as `claim:after`, it is killed at that moment."""
        program = ["-c", DIES, dies] if dies else ["-m", "flows"]
        env = {name: value for name, value in os.environ.items() if not name.startswith(SERVERS)}
        env |= {"EVERFIT_HOME": str(self.home), "EVERFIT_SERVICE_URL": "http://127.0.0.1:9"}
        env |= ({"EVERFIT_TRACKING_URI": self.registry} if self.registry else {}) | variables
        self.home.mkdir(parents=True, exist_ok=True)
        log = self.home / f"said-{time.monotonic_ns()}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, *program, arguments[0], str(self.project_file), *arguments[1:]],
                env=env,
                cwd=Path(__file__).parents[2],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Command(process, log)

    def run(self, *arguments: str, dies: str = "", **variables: str) -> str:
        """What a command said, run to its end; killed if it was to be, else without an error."""
        command = self.start(*arguments, dies=dies, **variables)
        said, status = command.wait()
        assert status == (-signal.SIGKILL if dies else 0), said
        return said

    @property
    def outbox(self) -> Decisions:
        """What was decided here."""
        return Decisions(f"sqlite:///{self.home}/ledger/{NAME}/decisions.db")

    def entries(self) -> list[DecisionEntry]:
        """Every decision, by the end of its window."""
        return self.outbox.history(NAME)

    def receive(self, start: datetime, length: timedelta, champion: ModelFiles) -> int:
        """The flights of that time stand in the ledger as if the champion had answered them, with labels; how many."""
        data = load_project(self.project_file).data
        dates = {"first": f"{start:%Y-%m-%d}", "last": f"{start + length:%Y-%m-%d}"}
        source = data.source.model_copy(update={"init_args": dates})
        frame = read_source(data.model_copy(update={"source": source}), self.project_file.parent)
        moment = pl.col(data.timestamp)
        frame = frame.filter(moment >= start, moment < start + length).drop_nulls(data.target.column)
        ids, micros = new_ids(frame.height), frame[data.timestamp].dt.epoch("us").to_list()
        batch = PredictionBatch(
            request_id="plain",
            model=NAME,
            version=champion.version.version,
            config_sha256="c" * 64,
            received_at=micros[-1],
            latency_ms=1.0,
            ids=ids,
            timestamps=micros,
            entity_ids=[str(one) for one in frame[str(data.id)].to_list()],
            inputs={one.name: frame[one.name].to_list() for one in champion.schema.features},
            outputs={"prediction": [0] * len(ids), "probability": [0.2] * len(ids)},
        )
        labels = [int(one) for one in frame[data.target.column].to_list()]
        ledger = Ledger(self.home / "ledger" / NAME)
        ledger.record(batch)
        ledger.label(LabelBatch(request_id="labels", received_at=micros[-1], ids=ids, labels=labels))
        ledger.close()
        return frame.height
