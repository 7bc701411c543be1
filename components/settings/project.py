"""The project file as frozen, typed settings that refuse unknown keys.

What is built stands here; where it runs stands in the environment (`components.settings.environment`). Reading and
error reporting live in `components.settings.reading`.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from components.settings.base import PluginSettings, Settings
from components.settings.evaluation import EvaluationSettings
from components.settings.monitoring import MonitoringSettings
from components.settings.optimization import OptimizationSettings
from components.settings.serving import ServingSettings


class TargetSettings(Settings):
    """Which column is predicted, and what kind of thing it is."""

    column: str
    kind: Literal["binary", "multiclass", "regression"]


class ColumnSettings(Settings):
    """What one column must look like; what is not said is learned from the training rows."""

    kind: Literal["number", "category"] | None = Field(None, description="Read a column as numbers or as categories.")
    low: float | None = Field(None, description="Smallest value allowed.")
    high: float | None = Field(None, description="Largest value allowed.")
    nullable: bool = Field(True, description="Whether a value may be missing.")

    @model_validator(mode="after")
    def _bounds_fit(self) -> "ColumnSettings":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low must be at most high, but {self.low:g} to {self.high:g} was asked for")
        if self.kind == "category" and (self.low, self.high) != (None, None):
            raise ValueError("low and high are for numbers, but this column is a category")
        return self


class SplitSettings(Settings):
    """How rows are divided: the newest days are the test, the days before them the validation."""

    by: Literal["time"] = "time"
    test_days: float = Field(14, gt=0, description="Newest days, scored once; never trained on.")
    validation_days: float = Field(7, gt=0, description="Days before the test, for early stopping and parity.")
    holdout_share: float = Field(
        0.0, ge=0, lt=0.5, description="Share of all rows, by a hash of the row, that no version ever learns from."
    )
    reference_rows: int = Field(5_000, ge=100, description="Training rows that travel with the version for drift.")


class DataSettings(Settings):
    """Where rows come from and which columns mean what."""

    source: PluginSettings
    target: TargetSettings
    timestamp: str = Field(description="Event time of a row, UTC.")
    id: str | None = Field(None, description="The application's own row id, kept beside the prediction.")
    drop: tuple[str, ...] = Field((), description="Columns that must not be features, such as those known only later.")
    columns: dict[str, ColumnSettings] = Field(default_factory=dict)
    leak_score: float | None = Field(
        None,
        gt=0.5,
        le=1,
        description="A column that alone ranks the target this well is refused as a leak; unset: 0.85 as an area under "
        "the ROC curve, 0.98 as a rank correlation with a regression's target.",
    )
    split: SplitSettings = SplitSettings()

    @model_validator(mode="after")
    def _roles_differ(self) -> "DataSettings":
        roles = {"target.column": self.target.column, "timestamp": self.timestamp}
        roles |= {"id": self.id} if self.id is not None else {}
        if len(set(roles.values())) < len(roles):
            raise ValueError(f"wanted a column of its own for each of {sorted(roles)}, found {roles}")
        if dropped := sorted(set(roles.values()) & set(self.drop)):
            raise ValueError(f"drop must not hold the target, the timestamp or the id, found {dropped}")
        return self


class TrainingSettings(Settings):
    """The network and how it is fitted."""

    model: PluginSettings = PluginSettings(class_path="components.training.models.TabularNet")
    max_epochs: int = Field(20, ge=1)
    patience: int = Field(3, ge=1, description="Epochs without a better validation loss before fitting stops.")
    keep: Literal["best", "last"] = Field(
        "best",
        description="best: stop early and keep the epoch of the lowest validation loss; last: run all epochs and keep "
        "the last, where the newest days' loss moves more with the share of positives than with the model.",
    )
    batch_rows: int = Field(1024, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    seed: int = 7
    threads: int = Field(1, ge=1, description="CPU threads; more than one is slower when another process is busy.")
    timeout_minutes: float = Field(60, gt=0)


class CostSettings(Settings):
    """What an hour of a machine costs, in any currency; 0 leaves cost out."""

    train_hour: float = Field(0.0, ge=0, description="One hour of training.")
    serve_hour: float = Field(0.0, ge=0, description="One hour of one thread that answers requests.")


class Project(Settings):
    """One model: its data, training, gates, serving and watching."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Also the name of the registered model.")
    data: DataSettings
    training: TrainingSettings = TrainingSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    serving: ServingSettings = ServingSettings()
    cost: CostSettings = CostSettings()

    file: Path = Field(exclude=True, description="The project file itself; set by the reader.")
    sha256: str = Field(exclude=True, description="Hash of the project file; set by the reader.")
