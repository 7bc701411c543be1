"""What `everfit status` and `everfit decisions` print."""

from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.data.decisions import DecisionEntry
from components.errors import PassingFault, ServerNotHealthy
from components.records.watching import Decision
from components.serving.rollout import live_model
from components.settings.environment import Environment
from components.settings.reading import load_project
from flows.folders import outbox
from flows.stack.state import Running, Stack

VERDICT_STYLES = {"retrain": "yellow", "keep": "dim", "ask": "red"}


def status_lines(stack: Stack | None, environment: Environment) -> list[str]:
    """One line a server, and one for the version that is live."""
    if stack is None:
        return [f"no servers are running in {environment.folder}; start them with everfit up PROJECT"]
    return [*(_server_line(server) for server in stack.servers), _live_line(stack.server("service").address)]


def _server_line(server: Running) -> str:
    restarts = f", restarted {server.restarts} times" if server.restarts else ""
    return f"{server.name:<10} {server.address:<24} process {server.pid}{restarts}"


def _live_line(service: str) -> str:
    try:
        live = live_model(service)
    except (PassingFault, ServerNotHealthy, httpx.HTTPError) as err:
        return f"live       unknown: {err}"
    if not live.get("version"):
        return "live       no version yet; make one with everfit train PROJECT"
    return f"live       {live['name']} version {live['version']}, sha256 {str(live['sha256'])[:12]}"


def decision_table(project_file: Path, console: Console | None = None) -> None:
    """Every window's decision, its trigger, its reason and what came of it, oldest first; readable at 60 characters."""
    project = load_project(project_file)
    table = Table(title=f"Decisions of {project.name}", title_justify="left", show_lines=True)
    table.add_column("window", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    table.add_column("reason, and what came of it", overflow="fold", ratio=1)
    for entry in outbox(project.name).history(project.name):
        decision = entry.decision
        version = f"\nversion {decision.version}" if decision.version else ""
        window = str(decision.window).replace("..", "..\n")
        table.add_row(f"{window}{version}", _verdict(decision), _story(entry))
    (console or Console(highlight=False)).print(table)


def _verdict(decision: Decision) -> Text:
    by = f"\nby {decision.trigger.replace('_', ' ')}" if decision.trigger else ""
    return Text(decision.verdict + by, style=VERDICT_STYLES[decision.verdict])


def _story(entry: DecisionEntry) -> Text:
    """The reason, and below it the state and the outcome of what was to be done."""
    told = Text(entry.decision.reason)
    came_of_it = ": ".join(filter(None, (entry.outcome, entry.detail)))
    if came_of_it or entry.state != "closed":
        told.append(f"\n{entry.state}" + (f", {came_of_it}" if came_of_it else ""), style="bold")
    return told
