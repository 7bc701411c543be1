"""The five servers of the local stack: their commands, ports, health checks and log files. Nothing is started here."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import ServerError
from components.serving.command import serve_command
from components.settings.environment import Environment
from components.settings.reading import load_project
from components.settings.secrets import hash_key

# Switches that keep the servers quiet, local and small. MLflow's job execution alone would start nine processes of
# 266 MB; libgomp's busy waiting makes two busy processes on two cores three times slower than one thread each.
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "OMP_WAIT_POLICY": "PASSIVE",
    # Read when onnxruntime is imported: its wheels report to their maker unless told otherwise.
    "ORT_DISABLE_TELEMETRY": "1",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "components,flows",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Without a server a flow starts one in its own process: on a busy machine that takes longer than Prefect's 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Server:
    """One supervised child process.

    Attributes:
        name: Short name, as printed.
        command: Program and arguments.
        env: Variables on top of the supervisor's own environment.
        log: File that takes its output.
        address: Where a person or a program reaches it; empty for one that listens nowhere.
        health: URL that answers 200 when it is healthy; empty when being alive is enough.
        port: Port it listens on; None for one that listens nowhere.
        port_setting: Environment variable that moves the port.
        after: Names of servers that must be healthy before this one is started.
    """

    name: str
    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    address: str = ""
    health: str = ""
    port: int | None = None
    port_setting: str = ""
    after: tuple[str, ...] = ()


def addresses(environment: Environment) -> dict[str, str]:
    """The variables by which Everfit, Prefect and MLflow clients find the servers of this stack."""
    base = f"http://{environment.host}"
    return {
        "EVERFIT_HOME": str(environment.folder),
        "EVERFIT_TRACKING_URI": f"{base}:{environment.mlflow_port}",
        "EVERFIT_SERVICE_URL": environment.service,
        "PREFECT_API_URL": f"{base}:{environment.prefect_port}/api",
        "PREFECT_HOME": str(environment.folder / "prefect"),
    }


def servers(environment: Environment, project_file: Path) -> list[Server]:
    """The servers of the stack in the order in which they are started.

    Raises:
        ServerError: If a package that a server needs is not installed.
    """
    shared = QUIET | addresses(environment)
    logs = environment.folder / "logs"
    return [
        _mlflow(environment, shared, logs),
        _prefect(environment, shared, logs),
        _service(environment, project_file, shared, logs),
        _evidently(environment, shared, logs),
        _runner(environment, project_file, shared, logs),
    ]


def _mlflow(environment: Environment, shared: dict[str, str], logs: Path) -> Server:
    address = f"http://{environment.host}:{environment.mlflow_port}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri"]
    command += [f"sqlite:///{environment.folder}/mlflow/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(environment.artifacts)]
    command += ["--host", environment.host, "--port", str(environment.mlflow_port), "--workers", "1"]
    return Server(
        name="mlflow",
        command=command,
        env=shared,
        log=logs / "mlflow.log",
        address=address,
        health=f"{address}/health",
        port=environment.mlflow_port,
        port_setting="EVERFIT_MLFLOW_PORT",
    )


def _prefect(environment: Environment, shared: dict[str, str], logs: Path) -> Server:
    address = f"http://{environment.host}:{environment.prefect_port}"
    command = [program("prefect"), "server", "start", "--host", environment.host]
    command += ["--port", str(environment.prefect_port), "--log-level", "WARNING"]
    return Server(
        name="prefect",
        command=command,
        env=shared | {"PREFECT_UI_API_URL": f"{address}/api"},
        log=logs / "prefect.log",
        address=address,
        health=f"{address}/api/health",
        port=environment.prefect_port,
        port_setting="EVERFIT_PREFECT_PORT",
    )


def _service(environment: Environment, project_file: Path, shared: dict[str, str], logs: Path) -> Server:
    joined = environment.model_copy(update={"tracking_uri": shared["EVERFIT_TRACKING_URI"]})
    project = load_project(project_file)
    hash_key(project, joined)  # said here, where someone reads it, and not in the log of a server
    command, env = serve_command(joined, project_file, project.serving.workers)
    return Server(
        name="service",
        command=command,
        env=shared | env,
        log=logs / "service.log",
        address=environment.service,
        health=f"http://{environment.host}:{environment.service_port}/livez",
        port=environment.service_port,
        port_setting="EVERFIT_SERVICE_PORT",
    )


def _evidently(environment: Environment, shared: dict[str, str], logs: Path) -> Server:
    address = f"http://{environment.host}:{environment.evidently_port}"
    command = [program("evidently"), "ui", "--workspace", str(environment.workspace)]
    command += ["--host", environment.host, "--port", str(environment.evidently_port)]
    return Server(
        name="evidently",
        command=command,
        env=shared,
        log=logs / "evidently.log",
        address=address,
        health=f"{address}/api/version",
        port=environment.evidently_port,
        port_setting="EVERFIT_EVIDENTLY_PORT",
    )


def _runner(environment: Environment, project_file: Path, shared: dict[str, str], logs: Path) -> Server:
    address = f"http://{environment.host}:{environment.runner_port}"
    health = {
        "PREFECT_RUNNER_SERVER_ENABLE": "true",
        "PREFECT_RUNNER_SERVER_HOST": environment.host,
        "PREFECT_RUNNER_SERVER_PORT": str(environment.runner_port),
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        # Under load a poll can take long; four missed ones are still no reason to call the runner ill.
        "PREFECT_RUNNER_SERVER_MISSED_POLLS_TOLERANCE": "5",
    }
    return Server(
        name="runner",
        command=[sys.executable, "-m", "flows", "runner", str(project_file)],
        env=shared | health,
        log=logs / "runner.log",
        address=address,
        health=f"{address}/health",
        port=environment.runner_port,
        port_setting="EVERFIT_RUNNER_PORT",
        after=("mlflow", "prefect"),
    )


def program(name: str) -> str:
    """Path of a console script that stands beside this Python, or on the PATH.

    Raises:
        ServerError: If there is none.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if found is None:
        raise ServerError(
            f"wanted the program {name!r}, found it neither beside {sys.executable} nor on the PATH; "
            "install everfit with its extras: pip install 'everfit[server,worker]'"
        )
    return found
