"""The way to MLflow: addresses, a client that gives up soon, and faults told apart.

Nothing is set when this is imported; `connect` does it. Importing MLflow takes 2 s and 190 MB (it imports pandas), but
neither torch nor ONNX: only `registering` needs those.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.telemetry import set_telemetry_client

from components.errors import PassingFault, ServerError
from components.settings.environment import Environment

# MLflow's own patience (7 retries, 120 s each) would hold a flow or the service's follower for minutes; whoever calls
# has retries of its own. MLflow reads these at each request, so it is enough to set them before the first one.
SWITCHES = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
PRESENT = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
_BUSY = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
# Of a download, MLflow keeps only the text of what went wrong.
_BROKEN_LINE = ("Max retries exceeded", "Connection refused", "Connection aborted", "Read timed out")


def connect(environment: Environment) -> MlflowClient:
    """A client of the tracking server, or of the SQLite file when there is no server; also sets MLflow's own addresses.

    Settings that stand in the environment already are kept.
    """
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    set_telemetry_client()  # decided when MLflow was imported, perhaps before the switch was set; this decides anew
    if environment.tracking_uri is None:
        environment.artifacts.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(environment.tracking)
    mlflow.set_registry_uri(environment.tracking)
    return MlflowClient()


@contextmanager
def reaching(wanted: str) -> Iterator[None]:
    """Turn what MLflow raises inside into our errors.

    Args:
        wanted: What is wanted from MLflow, for the message.

    Raises:
        PassingFault: If the server cannot be reached, or is busy.
        ServerError: If it answered with a refusal.
    """
    try:
        yield
    except Exception as err:
        if is_passing(err):
            raise PassingFault(
                f"wanted {wanted} from MLflow at {address()}, but it did not answer ({_short(err)}); "
                "start it with everfit up, or set EVERFIT_TRACKING_URI to a server that runs"
            ) from err
        if isinstance(err, MlflowException):
            raise ServerError(
                f"wanted {wanted} from MLflow at {address()}, but it answered {err.error_code}: {_short(err)}; "
                "look into the server's log, and at the rights of MLFLOW_TRACKING_USERNAME if it has users"
            ) from err
        raise


def is_passing(err: BaseException) -> bool:
    """Whether trying again may help: no connection, no answer in time, or a busy server or database."""
    if isinstance(err, MlflowException) and (err.error_code in _BUSY or any(t in str(err) for t in _BROKEN_LINE)):
        return True
    cause: BaseException | None = err
    while cause is not None:
        if type(cause).__module__.partition(".")[0] in {"requests", "urllib3"}:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def is_absent(err: MlflowException) -> bool:
    """Whether MLflow says that what was asked for does not exist."""
    return err.error_code in ABSENT


def address() -> str:
    """Where MLflow is looked for, without any password."""
    uri = mlflow.get_tracking_uri()
    parts = urlsplit(uri)
    # Only where there is something to hide: urllib writes sqlite:////folder with two slashes.
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def has_server() -> bool:
    """Whether a server is in use, rather than a database on this machine."""
    return mlflow.get_tracking_uri().startswith(("http://", "https://"))


def experiment_id(name: str) -> str:
    """Id of the experiment of that name, which is made if there is none.

    Without a server its artifacts are kept beside the SQLite file (MLflow's own default is the working directory).

    Raises:
        PassingFault: If its artifacts are kept by a server and none is in use.
    """
    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=None if has_server() else local_artifacts(name))
        except MlflowException as err:
            found = client.get_experiment_by_name(name) if err.error_code in PRESENT else None
            if found is None:
                raise
    if found.artifact_location.startswith("mlflow-artifacts:") and not has_server():
        raise PassingFault(
            f"wanted to add to experiment {name} at {address()}, but its files are kept by an MLflow server and none "
            "is in use; start it with everfit up, and set EVERFIT_TRACKING_URI to it"
        )
    return str(found.experiment_id)


def local_artifacts(rest: str) -> str:
    """URI below the artifact folder that stands beside the SQLite file in use."""
    database = Path(urlsplit(mlflow.get_tracking_uri()).path)
    # sqlite:////absolute/path keeps one slash more than the path has.
    return (Path("/", *database.parts[1:]).parent / "artifacts" / rest).resolve().as_uri()


def reachable(location: str) -> str:
    """Where artifacts stand that a server keeps, when there is no server but its folder is on this machine."""
    kept_by_server = "mlflow-artifacts:/"
    if location.startswith(kept_by_server) and not has_server():
        return local_artifacts(location.removeprefix(kept_by_server).lstrip("/"))
    return location


def _short(err: BaseException) -> str:
    """The error as one line of a length that a person reads."""
    # MLflow's own messages repeat the address with its password.
    line = " ".join(str(err).split()).replace(mlflow.get_tracking_uri(), address())
    return line if len(line) <= 240 else f"{line[:240]}..."
