"""Where flows keep what they make on their way, and where a project's outbox stands."""

from pathlib import Path

from components.data.decisions import Decisions
from components.records.models import Lineage
from components.settings.environment import Environment
from components.settings.project import Project


def run_folder(project: Project, lineage: Lineage) -> Path:
    """The folder of one making of a model.

    Named by what is made, not by the run that makes it: a run that follows a killed one finds its checkpoint there.
    """
    until = f"{lineage.until:%Y%m%dT%H%M}" if lineage.until else "all"
    # A person may train and retrain at once, for the same reason.
    asked = lineage.decision_id or (f"retrain-{lineage.reason}" if lineage.is_retraining else lineage.reason)
    name = f"{until}-{asked}-{project.sha256[:8]}"
    return Environment().work(project.name) / "runs" / name


def turn_file(project_name: str) -> Path:
    """The file that whoever retrains the project locks, beside its outbox."""
    folder = Environment().ledger(project_name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "retraining.lock"


def outbox(project_name: str) -> Decisions:
    """The project's decisions, kept beside its ledger."""
    folder = Environment().ledger(project_name)
    folder.mkdir(parents=True, exist_ok=True)
    return Decisions(f"sqlite:///{folder}/decisions.db")
