"""`everfit` without servers: a home folder with a champion and live rows in its ledger, and commands as processes."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from components.data.decisions import DecisionEntry, Decisions
from components.data.ledger import LabelBatch, Ledger, PredictionBatch, new_ids
from components.data.sources import read_source
from components.records.rows import Schema
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
class Plain:
    """A home folder without servers."""

    home: Path
    project_file: Path

    def start(self, *arguments: str, dies: str = "", **variables: str) -> "subprocess.Popen[str]":
        """A command of everfit under way; with `dies`, such as `claim:after`, it is killed at that moment."""
        program = ["-c", DIES, dies] if dies else ["-m", "flows"]
        env = {name: value for name, value in os.environ.items() if not name.startswith(SERVERS)}
        env |= {"EVERFIT_HOME": str(self.home), "EVERFIT_SERVICE_URL": "http://127.0.0.1:9"} | variables
        return subprocess.Popen(
            [sys.executable, *program, arguments[0], str(self.project_file), *arguments[1:]],
            env=env,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, dies: str = "", **variables: str) -> str:
        """What a command said, run to its end; killed if it was to be, else without an error."""
        process = self.start(*arguments, dies=dies, **variables)
        said, _ = process.communicate(timeout=240)
        assert process.returncode == (-signal.SIGKILL if dies else 0), said
        return said

    @property
    def outbox(self) -> Decisions:
        """What was decided here."""
        return Decisions(f"sqlite:///{self.home}/ledger/{NAME}/decisions.db")

    def entries(self) -> list[DecisionEntry]:
        """Every decision, by the end of its window."""
        return self.outbox.history(NAME)

    def receive(self, start: datetime, length: timedelta, schema: Schema) -> None:
        """The flights of that time stand in the ledger as if version 1 had answered them, with their labels."""
        ledger = Ledger(self.home / "ledger" / NAME)
        data = load_project(self.project_file).data
        dates = {"first": f"{start:%Y-%m-%d}", "last": f"{start + length:%Y-%m-%d}"}
        source = data.source.model_copy(update={"init_args": dates})
        frame = read_source(data.model_copy(update={"source": source}), self.project_file.parent)
        moment = pl.col(data.timestamp)
        frame = frame.filter(moment >= start, moment < start + length).drop_nulls(data.target.column)
        ids = new_ids(frame.height)
        micros = frame[data.timestamp].dt.epoch("us").to_list()
        inputs = {one.name: frame[one.name].to_list() for one in schema.features}
        ledger.record(
            PredictionBatch(
                request_id="plain",
                model=NAME,
                version=1,
                config_sha256="c" * 64,
                received_at=micros[-1],
                latency_ms=1.0,
                ids=ids,
                timestamps=micros,
                entity_ids=[str(one) for one in frame[str(data.id)].to_list()],
                inputs=inputs,
                outputs={"prediction": [0] * len(ids), "probability": [0.2] * len(ids)},
            )
        )
        labels = [int(one) for one in frame[data.target.column].to_list()]
        ledger.label(LabelBatch(request_id="labels", received_at=micros[-1], ids=ids, labels=labels))
        ledger.close()
