"""The section `evaluation` of the project file: what good means, and when a candidate is better."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from components.settings.base import Duration, Settings


class ChangeSettings(Settings):
    """What a behaviour test does to a column of a row: exactly one of these."""

    set: float | str | None = Field(None, description="Put this value in.")
    add: float | None = Field(None, description="Add this number.")
    multiply: float | None = Field(None, description="Multiply by this number.")
    missing: bool = Field(False, description="Take the value away.")

    @model_validator(mode="after")
    def _one_change(self) -> "ChangeSettings":
        asked = [name for name in ("set", "add", "multiply") if getattr(self, name) is not None]
        asked += ["missing"] if self.missing else []
        if len(asked) != 1:
            raise ValueError(f"wanted exactly one of set, add, multiply and missing, found {asked or 'none'}")
        return self


class ChangeBehaviour(Settings):
    """A change of the rows that must not matter, or that must matter in one direction."""

    name: str
    column: str
    change: ChangeSettings
    expect: Literal["same", "up", "down"] = Field(description="What the answer must do.")
    tolerance: float = Field(0.01, ge=0, description="An answer that moves by no more than this stayed the same.")
    share: float = Field(0.95, gt=0, le=1, description="Share of the rows that must behave so.")


class RowsBehaviour(Settings):
    """Hand-written rows with their answers, of which a share must be right."""

    name: str
    rows: tuple[dict[str, Any], ...] = Field(min_length=1, description="Feature columns, and the target's column.")
    share: float = Field(1.0, gt=0, le=1, description="Share of the rows that must be answered right.")
    tolerance: float = Field(0.0, ge=0, description="For a regression: largest distance that still counts as right.")


class GateSettings(Settings):
    """When a candidate may take the champion's place."""

    test: Literal["superiority", "non-inferiority"] = Field(
        "superiority", description="Must be better beyond doubt; or must not be worse than by the margin, beyond doubt."
    )
    margin: float = Field(0.005, gt=0, description="Of non-inferiority, in the deciding metric.")
    holdout_margin: float = Field(0.02, ge=0, description="On the holdout it may not be worse than this, beyond doubt.")
    slice_margin: float = Field(0.02, ge=0, description="No slice may be worse beyond doubt by more than this.")
    max_calibration_error: float | None = Field(None, gt=0, le=1)
    max_group_gap: float | None = Field(None, gt=0, description="Largest gap of the deciding metric between groups.")
    max_p99_ms: float | None = Field(None, gt=0, description="Slowest 1 % of calls with one row, in the graph alone.")
    max_mb: float | None = Field(None, gt=0, description="Largest size of the graph in MB.")
    beat: Literal["constant", "linear", "none"] = Field(
        "constant", description="A model that is not better than this simple one has learned nothing."
    )
    sandbox_rows: int = Field(50, ge=1, description="Rows that a server in a sandbox must answer as the graph does.")


class ApprovalSettings(Settings):
    """A person's word before a promotion."""

    required: bool = False
    expires: Duration = Field(timedelta(hours=24), description="Without an answer by then, the champion stays.")


class EvaluationSettings(Settings):
    """What good means, and when a candidate is better."""

    metric: str = Field("roc_auc", description="The metric that decides: one of components.evaluation.metrics.")
    minimum: float | None = Field(None, description="A candidate below this is never promoted.")
    slices: tuple[str, ...] = Field((), description="Columns whose values are scored one by one.")
    groups: tuple[str, ...] = Field((), description="Columns of groups of people or things to be treated alike.")
    slice_rows: int = Field(500, ge=10, description="Slices and groups with fewer rows are left out.")
    find_slices: int = Field(
        5, ge=0, description="So many of the worst slices are looked for beside the declared ones."
    )
    comparators: tuple[Literal["constant", "linear", "trees"], ...] = Field(
        ("constant", "linear"), description="Simple models fitted on the same rows, over which the margin is told."
    )
    behaviours: tuple[ChangeBehaviour | RowsBehaviour, ...] = Field((), description="What the model must do.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of the interval of the paired difference.")
    bootstrap: int = Field(500, ge=100, description="Resamples of the paired bootstrap.")
    min_rows: int = Field(1_000, ge=30, description="Fewer labelled rows than this settle nothing.")
    gate: GateSettings = GateSettings()
    approval: ApprovalSettings = ApprovalSettings()
