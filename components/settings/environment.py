"""Where Everfit runs: folders, ports and addresses, from the environment (`EVERFIT_HOME`, `EVERFIT_MLFLOW_PORT`, ...).

Nothing of this stands in the project file: what is built stands there, where it runs stands here.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(BaseSettings):
    """Folders, ports and addresses; each field is an environment variable with `EVERFIT_` before its name."""

    model_config = SettingsConfigDict(env_prefix="EVERFIT_", frozen=True, extra="ignore")

    home: Path = Field(Path(".everfit"), description="Everything Everfit keeps: databases, tables, ledgers, logs.")
    host: str = Field("127.0.0.1", description="Address the local servers listen on.")
    mlflow_port: int = Field(5000, ge=1, le=65535)
    prefect_port: int = Field(4200, ge=1, le=65535)
    service_port: int = Field(3000, ge=1, le=65535)
    evidently_port: int = Field(8000, ge=1, le=65535)
    runner_port: int = Field(8090, ge=1, le=65535, description="Health of the process that serves the deployments.")
    tracking_uri: str | None = Field(None, description="MLflow server in use; unset: a SQLite file under home.")
    service_url: str | None = Field(None, description="Endpoint in use; unset: host and service_port.")
    pinned_version: int | None = Field(None, ge=1, description="The service answers with this version of its cache.")
    api_keys: str | None = Field(
        None, repr=False, description="Keys that the endpoint accepts, hashed, a line each; unset: see api_keys_file."
    )
    api_keys_file: Path | None = Field(None, description="The same in a file, read again when it changes.")
    api_key: str | None = Field(None, repr=False, description="The key that Everfit's own commands and flows send.")
    hash_key: str | None = Field(None, repr=False, description="Key of the hashes that stand for private columns.")
    warm_runs: bool = Field(True, description="Fork flow runs from a process with everything imported: 10 s sooner.")
    start_seconds: float = Field(90, gt=0, description="How long a server may take to become healthy.")

    @property
    def folder(self) -> Path:
        """`home` as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def tracking(self) -> str:
        """Address of the MLflow tracking store and registry."""
        return self.tracking_uri or f"sqlite:///{self.folder}/mlflow/mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts when it runs on this machine."""
        return self.folder / "mlflow" / "artifacts"

    @property
    def service(self) -> str:
        """Address of the BentoML endpoint."""
        return self.service_url or f"http://{self.host}:{self.service_port}"

    @property
    def workspace(self) -> Path:
        """Evidently's workspace."""
        return self.folder / "evidently"

    def ledger(self, project: str) -> Path:
        """Folder of a project's prediction ledger, labels and decisions."""
        return self.folder / "ledger" / project

    def tables(self, project: str) -> Path:
        """Folder of a project's table versions."""
        return self.folder / "tables" / project

    def work(self, project: str) -> Path:
        """Folder for what flows make on their way: splits, checkpoints, graphs, reports."""
        return self.folder / "work" / project

    def cache(self) -> Path:
        """Folder where the service keeps downloaded versions, so that it can start without the registry."""
        return self.folder / "cache"
