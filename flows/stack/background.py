"""The stack as a process in the background: `everfit up`, detached, until `everfit down`."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prefect.context import refresh_global_settings_context

from components.errors import ServerError
from components.settings.environment import Environment
from flows.stack import state
from flows.stack.servers import QUIET


def start_stack(environment: Environment, project_file: Path, say: Callable[[str], None]) -> Environment:
    """The environment with the addresses of the stack, once every server is healthy; this process's clients use it too.

    Args:
        environment: Folders and ports.
        project_file: The project that is served.
        say: Takes each line of `everfit up`.

    Raises:
        ServerError: If it cannot be started, with what it said.
    """
    log = environment.folder / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "flows", "up", str(project_file)],
            env=os.environ | as_variables(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    said = 0
    while True:
        lines = log.read_text().splitlines()
        for line in lines[said:]:
            say(line)
        said = len(lines)
        stack = state.read(environment)
        if stack is not None and stack.ready:
            _use(stack)
            addresses = {"tracking_uri": stack.addresses["EVERFIT_TRACKING_URI"], "service_url": environment.service}
            return environment.model_copy(update=addresses)
        if process.poll() is not None:
            raise ServerError("the servers could not be started: " + "\n".join(lines).removeprefix("everfit: "))
        time.sleep(0.2)


def _use(stack: state.Stack) -> None:
    """Let this process's own clients talk to the stack, whatever addresses it had before."""
    os.environ.update(QUIET | stack.addresses)
    # Prefect reads its settings when it is imported, and would start a server of its own on this stack's database.
    refresh_global_settings_context()


def as_variables(environment: Environment) -> dict[str, str]:
    """The environment as variables, so that the child has the very same."""
    facts = environment.model_dump(exclude_none=True)
    return {f"EVERFIT_{name.upper()}": str(value) for name, value in facts.items()}
