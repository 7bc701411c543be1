"""What is watched, when that is a reason to act, and how a retraining is done: the written policy of a model.

`components.monitoring.deciding` reads it and nothing else besides what was measured, so a policy can be replayed.
"""

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from components.settings.base import Duration, Settings

NoticeEvent = Literal["breach", "retraining", "promotion", "rejection", "rollback", "broken_data"]
EVERY_NOTICE: tuple[NoticeEvent, ...] = (
    "breach",
    "retraining",
    "promotion",
    "rejection",
    "rollback",
    "broken_data",
)


class TriggerSettings(Settings):
    """When enough has been seen to act; a limit that is null is not looked at."""

    windows: int = Field(2, ge=1, description="This many of the last `of` windows must be breached, the newest too.")
    of: int = Field(3, ge=1)
    min_rows: int = Field(1_000, ge=1, description="Windows with fewer predictions say nothing.")
    drift_share: float | None = Field(
        0.3, gt=0, le=1, description="A window is breached when this share of columns drifted."
    )
    weighted_drift: float | None = Field(
        None, gt=0, le=1, description="Or when columns with this share of the importance for the answer drifted."
    )
    max_quality_loss: float | None = Field(
        0.03, gt=0, description="Or when the metric is this much worse than when registered, and not by chance."
    )
    max_expected_quality_loss: float | None = Field(
        None,
        gt=0,
        description="Or when the metric is expected to be this much worse, as long as labels do not suffice.",
    )
    min_labelled_rows: int = Field(500, ge=1, description="Fewer labelled rows than this say nothing about quality.")
    min_label_coverage: float = Field(
        0.0, ge=0, le=1, description="Nor does a smaller share of the window's rows with a label."
    )
    broken_share: float = Field(
        0.2, gt=0, le=1, description="A column missing this much more often than in training is broken: ask a person."
    )
    max_unseen_share: float = Field(
        0.5, gt=0, le=1, description="A column with this share of categories never seen in training is broken."
    )
    max_outside_share: float = Field(
        0.2, gt=0, le=1, description="A column with this share of values outside of its declared bounds is broken."
    )
    max_conflict_share: float = Field(
        0.05,
        gt=0,
        le=1,
        description="This share of labelled rows with labels that contradict each other: ask a person.",
    )
    max_age: Duration | None = Field(None, description="Retrain when the model's newest training row is this old.")
    every: Duration | None = Field(None, description="Retrain this long after the last retraining, breach or not.")

    @model_validator(mode="after")
    def _windows_fit(self) -> "TriggerSettings":
        if self.windows > self.of:
            raise ValueError(f"windows must be at most 'of', but {self.windows} of {self.of} was asked for")
        return self


class GainSettings(Settings):
    """What a better model is worth, so that a retraining can be weighed against its price (`cost.train_hour`)."""

    value: float | None = Field(
        None,
        gt=0,
        description="What 0.01 of the metric is worth over 1,000 predictions, in the currency of `cost`; null: not "
        "weighed.",
    )
    recovered: float = Field(
        0.5, gt=0, le=1, description="Share of the loss that a retraining wins back, until past ones show it."
    )
    horizon: Duration = Field(timedelta(days=28), description="Event time over which the gain is counted.")


class RetrainSettings(Settings):
    """Which rows a challenger learns from, where it starts, and which rows it is judged on."""

    window: Literal["all", "sliding", "recency"] = Field(
        "all", description="all: every row so far; sliding: the newest `length`; recency: all, newer ones weigh more."
    )
    length: Duration = Field(timedelta(days=180), description="Length of a sliding window, in event time.")
    half_life: Duration = Field(
        timedelta(days=90), description="A row this much older counts half, with `window: recency`."
    )
    start: Literal["scratch", "champion"] = Field(
        "scratch", description="scratch: fresh weights; champion: its weights and its encoder, tuned further."
    )
    judge_days: float = Field(14, gt=0, description="Newest labelled days: both sides are judged on these.")
    validation_days: float = Field(7, gt=0, description="Days before them, for early stopping and parity.")

    @property
    def newest(self) -> timedelta | None:
        """How far back a sliding window reaches; None where every row counts."""
        return self.length if self.window == "sliding" else None

    @property
    def halved(self) -> timedelta | None:
        """Age at which a row counts half; None where all rows count alike."""
        return self.half_life if self.window == "recency" else None

    @model_validator(mode="after")
    def _something_is_left_to_learn(self) -> "RetrainSettings":
        kept_back = self.judge_days + self.validation_days
        if self.newest is not None and self.newest <= timedelta(days=kept_back):
            raise ValueError(
                f"wanted a length above the {kept_back:g} days that judge_days and validation_days keep back, found "
                f"{self.newest / timedelta(days=1):g} days"
            )
        return self


class ProbationSettings(Settings):
    """The time after a promotion in which the version before it answers unseen, and comes back if it was better."""

    length: Duration | None = Field(None, description="Wall time of the probation; null: there is none.")
    min_labelled_rows: int = Field(500, ge=100, description="Labelled rows that both answered before it is judged.")
    max_quality_loss: float = Field(
        0.0, ge=0, description="The new version this much worse than the old, beyond doubt, is rolled back."
    )


class NoticeSettings(Settings):
    """Who is told: Prefect blocks, by their slug, so that addresses and passwords stay out of this file."""

    blocks: tuple[str, ...] = Field(
        (), description="Such as slack-webhook/team, custom-webhook/pager or email-server-credentials/post."
    )
    email_to: tuple[str, ...] = Field((), description="Addresses to which e-mail blocks write.")
    events: tuple[NoticeEvent, ...] = Field(EVERY_NOTICE, description="What is told.")


class MonitoringSettings(Settings):
    """What is watched, and what follows."""

    window: Duration = Field(timedelta(days=7), description="Length of a window in event time, such as 7d or 12h.")
    window_rows: int | None = Field(
        None, ge=1, description="A window is the newest so many predictions instead of a stretch of time."
    )
    reference: Literal["training", "previous", "same-season"] = Field(
        "training", description="What a window's inputs are compared with; season: the same days one season earlier."
    )
    season: Duration = Field(timedelta(days=364), description="Length of a season; 364 days keep the weekday.")
    trigger: TriggerSettings = TriggerSettings()
    cooldown: Duration = Field(timedelta(days=14), description="Rest after a retraining, in event time.")
    retrainings_a_month: int | None = Field(
        None, ge=0, description="Retrainings that may be asked for within 30 days of event time; null: no limit."
    )
    gain: GainSettings = GainSettings()
    drift_threshold: float = Field(0.1, gt=0, description="Effect size from which a column counts as drifted.")
    column_thresholds: dict[str, float] = Field(default_factory=dict, description="Another effect size for a column.")
    false_discoveries: float = Field(
        0.05, gt=0, lt=1, description="Share of chance among the columns called drifted (Benjamini and Hochberg)."
    )
    sample_rows: int = Field(5_000, ge=100, description="Larger windows are sampled to this many rows for the report.")
    schedule: str = Field("0 6 * * 1", description="Cron of the monitor deployment, UTC.")
    retrain: RetrainSettings = RetrainSettings()
    probation: ProbationSettings = ProbationSettings()
    notices: NoticeSettings = NoticeSettings()
