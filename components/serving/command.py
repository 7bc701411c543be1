"""How the service is started: its commands and their environment, the same for supervisor, sandbox and container."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import components
from components.settings.environment import Environment

SERVICE = "components.serving.service:EverfitService"
# The folder that holds the package: where BentoML looks for the service.
ROOT = Path(components.__file__).resolve().parents[1]
# Names the process that a lone worker must not outlive.
STARTER_VARIABLE = "EVERFIT_STARTER_PID"
KEY_VARIABLES = frozenset({"EVERFIT_API_KEYS", "EVERFIT_API_KEYS_FILE", "EVERFIT_API_KEY"})
# A request in flight gets this long when the service is asked to stop.
GRACEFUL_SECONDS = 20
KEEP_ALIVE_SECONDS = 75


def serve_command(environment: Environment, project_file: Path, workers: int) -> tuple[list[str], dict[str, str]]:
    """The command that serves a project, and what must be added to its environment.

    Args:
        environment: Where things run.
        project_file: The project file.
        workers: Processes that answer requests.

    Returns:
        The command, which works in any folder, and the variables to set beside those that are there.
    """
    command = [
        *(sys.executable, "-m", "bentoml", "serve", SERVICE),
        *("--working-dir", str(ROOT)),
        *("--host", environment.host, "--port", str(environment.service_port)),
        *("--timeout-keep-alive", str(KEEP_ALIVE_SECONDS)),
        *("--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)),
    ]
    return command, _variables(environment, project_file, workers)


def worker_command(environment: Environment, project_file: Path, listener: int) -> tuple[list[str], dict[str, str]]:
    """The command of one worker without BentoML's supervisor, which would start it with these very words.

    It is up 2 s sooner and ends with the process that starts it; for a sandbox, where nobody restarts a worker.

    Args:
        environment: Where things run.
        project_file: The project file.
        listener: Descriptor of the bound socket it answers on, which it inherits.

    Returns:
        The command, which must be run in `ROOT`, and the variables to set beside those that are there.
    """
    command = [
        *(sys.executable, "-m", "_bentoml_impl.worker.service", SERVICE),
        *("--fd", str(listener), "--worker-id", "1"),
        *("--timeout-keep-alive", str(KEEP_ALIVE_SECONDS)),
        *("--timeout-graceful-shutdown", str(GRACEFUL_SECONDS)),
    ]
    return command, {**_variables(environment, project_file, workers=1), STARTER_VARIABLE: str(os.getpid())}


def _variables(environment: Environment, project_file: Path, workers: int) -> dict[str, str]:
    """Variables of the service: absolute, since it runs in another folder."""
    return {
        **_everfit(environment, project_file),
        "BENTOML_DO_NOT_TRACK": "True",
        # BentoML keeps its counters and its store here, and empties the counters of whoever shares it.
        "BENTOML_HOME": str(environment.folder / "bentoml" / str(environment.service_port)),
        # `bentoml serve --api-workers` is ignored by services of this style.
        "BENTOML_CONFIG_OVERRIDES": json.dumps({"services": {"EverfitService": {"workers": workers}}}),
        # The follower looks again soon anyway; a registry that hangs must not hold it for minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def without_keys(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without the keys of the endpoint: a server that only its starter can reach asks for none."""
    return {name: value for name, value in variables.items() if name not in KEY_VARIABLES}


def _everfit(environment: Environment, project_file: Path) -> dict[str, str]:
    # The key that our own clients send is no business of the server.
    facts = environment.model_dump(exclude_none=True, exclude={"api_key"})
    named = {f"EVERFIT_{name.upper()}": value for name, value in facts.items()}
    if environment.api_keys_file is not None:
        named |= {"EVERFIT_API_KEYS_FILE": environment.api_keys_file.expanduser().absolute()}
    named |= {"EVERFIT_HOME": environment.folder, "EVERFIT_TRACKING_URI": environment.tracking}
    named |= {"EVERFIT_PROJECT_FILE": project_file.absolute()}
    return {name: str(value) for name, value in named.items()}
