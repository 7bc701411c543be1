"""What `everfit verdict` prints: whether a version may go live, every rule with its numbers, and its rollout."""

from rich.console import Console
from rich.markup import escape

from components.errors import ModelNotFound
from components.records.models import ModelVersion
from components.records.scores import Verdict
from components.registry import rollout_log, versions
from flows.rollout_table import rules_table, steps_table


def print_verdict(text: str, console: Console) -> None:
    """Print the verdict on the version that `text` names, such as NAME/3 or NAME@champion.

    Raises:
        ModelNotFound: If there is no such version, or it was not judged.
    """
    version = versions.named(text)
    verdict = versions.read_verdict(version)
    if verdict is None:
        raise ModelNotFound(
            f"wanted the verdict on version {version.version} of {version.name}, found that it was not judged (yet); "
            "look at its run in the MLflow UI"
        )
    console.print(_head(version, verdict))
    console.print(rules_table(f"{len(verdict.rules)} rules on {verdict.rows:,} rows", verdict.rules))
    if steps := rollout_log.read_steps(version):
        console.print(steps_table(steps))


def _head(version: ModelVersion, verdict: Verdict) -> str:
    colour = {"promote": "green", "reject": "red", "inconclusive": "yellow"}[verdict.outcome]
    return (
        f"[bold]{version.name} version {version.version}[/bold]: [bold {colour}]{verdict.outcome}[/bold {colour}]\n"
        f"{escape(verdict.reason)}\n"
    )
