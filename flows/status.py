"""What `everfit status` and `everfit decisions` print."""

from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from components.errors import PassingFault, ServerNotHealthy
from components.serving.rollout import live_model
from components.settings.environment import Environment
from components.settings.reading import load_project
from flows.folders import outbox
from flows.stack.state import Running, Stack


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


def decision_table(project_file: Path) -> None:
    """Every window's decision and what came of it, oldest first."""
    project = load_project(project_file)
    table = Table(title=f"Decisions of {project.name}", title_justify="left")
    for head in ("window", "version", "decision", "reason", "state", "outcome"):
        table.add_column(head, overflow="fold")
    for entry in outbox(project.name).history(project.name):
        decision = entry.decision
        came_of_it = ": ".join(filter(None, (entry.outcome, entry.detail)))
        table.add_row(
            str(decision.window),
            str(decision.version or ""),
            decision.verdict,
            decision.reason,
            entry.state,
            came_of_it,
        )
    Console(highlight=False).print(table)
