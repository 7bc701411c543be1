"""The `advance` flow: the challenger takes its next step, becomes champion, or is sent away with the reason.

After that the new champion is on probation, if the project asks for one: it stays, or the version before comes back.
"""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from components.records.models import Challenger, ModelFiles
from components.records.rollouts import Step
from components.settings.project import Project
from components.settings.reading import load_project
from flows import notices
from flows.release import release
from flows.tasks import advancing, notifying, releasing, watching


@flow(name="advance")
def advance(project_file: Path) -> Step | State:
    """Compact the ledger, look at what champion and challenger did, and carry out what follows.

    Args:
        project_file: The project.
    """
    project = load_project(project_file)
    champion = releasing.champion(project)
    challenger = advancing.challenger(project, champion)
    if champion is None or challenger is None:
        return Completed(message=f"{project.name} has no challenger", name="NoChallenger")

    watching.compact(project, champion)
    if challenger.purpose == "probation":
        return _on_probation(project, challenger, champion)
    evidence = advancing.gather(project, challenger, champion)
    step = advancing.weigh(project, challenger, evidence)

    if step.outcome == "next":
        advancing.step_on(step)
    elif step.outcome == "promote":
        advancing.crown(step)
        notifying.tell(project, notices.of_promotion, challenger.version, step.reason)
        advancing.begin_probation(project, challenger.version)
        release(project_file)
    elif step.outcome == "abort":
        advancing.send_away(step)
        notifying.tell(project, notices.of_rejection, challenger.version, step.reason)
    return step


def _on_probation(project: Project, shadow: Challenger, champion: ModelFiles) -> Step:
    """Look at what champion and the version before it did, and carry out what follows."""
    step = advancing.look_back(project, shadow, champion)
    if step.outcome == "roll_back":
        advancing.take_back(project, step)
        notifying.tell(project, notices.of_taking_back, step)
    elif step.outcome != "hold":
        advancing.end_probation(step)
    return step
