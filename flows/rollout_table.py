"""What `everfit rollout` prints and does: where the challenger stands, and a person's word that ends its rollout.

After a rollout, and after a promotion without one, the same of the champion's probation.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.errors import ModelNotFound, ModelRefused
from components.evaluation.advancing import advance
from components.evaluation.probation import ProbationEvidence, probation
from components.evaluation.rivals import Evidence
from components.records.models import Challenger, ModelFiles
from components.records.rollouts import Step
from components.records.scores import Rule
from components.registry import challengers, fetching, rollout_log
from components.settings.environment import Environment
from components.settings.project import Project
from flows import notices, probations, rollouts
from flows.rollback import whoever

COLOURS = {
    "hold": "yellow",
    "next": "green",
    "promote": "green",
    "keep": "green",
    "abort": "red",
    "roll_back": "red",
}


def carry_out(project: Project, *, abort: str, promote: bool) -> None:
    """Do what a person typed: end the rollout, end it well, or show where it stands.

    Raises:
        ModelNotFound: If there is no challenger.
        ModelRefused: If both were asked for.
    """
    console = Console(highlight=False)
    if abort and promote:
        raise ModelRefused("wanted --abort or --promote, found both; name one")
    if abort or promote:
        console.print(send_away(project, abort) if abort else crown(project), markup=False, soft_wrap=True)
    else:
        tell(project, console)


def tell(project: Project, console: Console) -> None:
    """Print the challenger's step, what was seen of it up to the last compaction, and what is missing for the next.

    Raises:
        ModelNotFound: If there is no challenger.
    """
    running = _challenger(project.name)
    if running.purpose == "probation":
        _tell_probation(project, running, console)
        return
    step, evidence = _looked_at(project, running)
    now = step.challenger
    console.print(f"[bold]{project.name} version {now.version.version}[/bold] is challenger: {place(now)}")
    console.print(f"[bold {COLOURS[step.outcome]}]{step.outcome}[/]: {escape(step.reason)}\n")
    console.print(f"rows in this step: {evidence.rows:,}, of the champion {evidence.champion_rows:,}")
    console.print(f"its rows with labels so far: {evidence.labelled_rows:,}\n")
    console.print(rules_table("for the next step", step.rules))


def place(challenger: Challenger) -> str:
    """Where it is, in words."""
    since = f"since {challenger.since:%Y-%m-%d %H:%M:%S} UTC"
    if challenger.purpose == "probation":
        return f"shadow in the probation of version {challenger.champion}, {since}"
    share = f" of {challenger.share:.3g} of the requests" if challenger.variant == "canary" else ""
    against = f" against version {challenger.champion}" if challenger.champion else ""
    return f"{challenger.variant}{share}{against}, step {challenger.step} {since}"


def send_away(project: Project, reason: str) -> str:
    """End the rollout because a person says so; what was done, as a sentence.

    Raises:
        ModelNotFound: If there is no challenger.
    """
    step = _said(_challenger(project.name), "abort", reason)
    if step.challenger.purpose == "probation":
        probations.end(step, whoever())
        return f"the probation of version {step.challenger.champion} of {project.name} is over: {reason}"
    rollout_log.log_step(step)
    rollouts.send_away(step, whoever())
    notices.note(project, notices.of_rejection(project, step.challenger.version, reason))
    return f"version {step.challenger.version.version} of {project.name} is challenger no more: {reason}"


def crown(project: Project) -> str:
    """Make the challenger champion because a person says so; what was done, as a sentence.

    Raises:
        ModelNotFound: If there is no challenger.
        ModelRefused: If its rollout changed meanwhile, or it was the champion before.
    """
    running = _challenger(project.name)
    if running.purpose == "probation":
        number = running.version.version
        raise ModelRefused(
            f"wanted to promote the challenger of {project.name}, found version {number}, which was champion before "
            f"and is {place(running)}; to have it back use everfit rollback --to {number}"
        )
    step = _said(running, "promote", f"{whoever()} did not wait for the steps after {place(running)}")
    rollout_log.log_step(step)
    rollouts.crown(step, whoever())
    notices.note(project, notices.of_promotion(project, running.version, step.reason))
    return f"version {running.version.version} of {project.name} is champion; the endpoint follows by itself"


def steps_table(steps: list[dict[str, Any]]) -> Table:
    """Every move of a rollout, with the time and the reason."""
    table = Table(title="its rollout", title_justify="left")
    for head in ("at (UTC)", "as", "step", "share", "then", "because"):
        table.add_column(head, overflow="fold")
    for one in steps:
        was = one["challenger"]
        at = datetime.fromisoformat(one["at"])
        numbers = [str(was["step"]), f"{was['share']:.3g}"]
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", was["variant"], *numbers, one["outcome"], escape(one["reason"]))
    return table


def _looked_at(project: Project, running: Challenger) -> tuple[Step, Evidence]:
    environment = Environment()
    evidence = rollouts.seen(project, running, _champion(project), environment)
    return advance(running, evidence, project.serving.rollout, datetime.now(UTC)), evidence


def _tell_probation(project: Project, running: Challenger, console: Console) -> None:
    seen: ProbationEvidence = probations.seen(project, running, _champion(project), Environment())
    step = probation(running, seen, project.monitoring.probation, datetime.now(UTC))
    number = running.version.version
    console.print(f"[bold]{project.name} version {running.champion}[/bold] is champion, and on probation")
    console.print(f"version {number}, which was champion before, is {place(running)}")
    console.print(f"[bold {COLOURS[step.outcome]}]{step.outcome}[/]: {escape(step.reason)}\n")
    console.print(f"rows with labels that both answered so far: {seen.labelled_rows:,}\n")
    console.print(rules_table("for the champion to stay", step.rules))


def _champion(project: Project) -> ModelFiles:
    return fetching.fetch(rollouts.champion_of(project.name), Environment().cache())


def _challenger(name: str) -> Challenger:
    found = challengers.challenger(name)
    if found is None:
        raise ModelNotFound(
            f"wanted the challenger of {name}, found none; a version that the judge lets through becomes one where "
            "serving.rollout.mode is shadow or canary"
        )
    return found


def _said(running: Challenger, outcome: Any, reason: str) -> Step:
    return Step(outcome, reason, running, datetime.now(UTC), rules=())


def rules_table(title: str, rules: Sequence[Rule]) -> Table:
    """Rules as a table: the name, whether it held, what was wanted and found."""
    table = Table(title=title, title_justify="left")
    table.add_column("rule", no_wrap=True)
    table.add_column("held")
    table.add_column("wanted and found", overflow="fold")
    for rule in rules:
        table.add_row(rule.name, "yes" if rule.passed else "[bold red]no[/bold red]", escape(rule.detail))
    return table
