"""The endpoint: how much it takes, what the ledger keeps, and how a new version takes over."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from components.settings.base import Duration, Settings


class LimitSettings(Settings):
    """What is refused at once, so that the rest is answered in time."""

    requests_per_second: float | None = Field(
        None,
        gt=0,
        description="Of one API key, or of one address where no keys are asked for, in a worker; unset: any.",
    )
    burst: int = Field(20, ge=1, description="Requests that may come at once on top of that rate.")
    queue: int = Field(64, ge=1, description="Requests in a worker at once; one more is refused with 503.")
    seconds: float = Field(10, gt=0, description="Longest a request may wait and be answered; then it is refused.")


class RolloutSettings(Settings):
    """How a version that the judge let through takes over from the champion."""

    mode: Literal["direct", "shadow", "canary"] = Field(
        "direct",
        description="direct: at once; shadow: it scores the same rows beside the champion first, unseen; canary: it "
        "answers a growing share of the requests first.",
    )
    steps: tuple[float, ...] = Field((0.05, 0.25, 0.5), description="Shares of the requests, each larger, of a canary.")
    step: Duration = Field(
        timedelta(hours=1), description="How long a shadow, or each step of a canary, lasts at least."
    )
    min_rows: int = Field(1_000, ge=1, description="Rows that it must have answered in a step before the next.")
    min_labelled_rows: int = Field(
        0,
        ge=0,
        description="Labelled rows that it must have before the next; 0: labels that come late hold nothing up.",
    )
    max_error_share: float = Field(0.001, ge=0, lt=1, description="Of its requests; more ends the rollout.")
    max_latency_ratio: float = Field(2.0, gt=0, description="Its p99 latency over the champion's; more ends it.")
    max_disagreement: float = Field(
        0.2, gt=0, le=1, description="Share of a shadow's rows answered otherwise than by the champion; more ends it."
    )
    max_quality_loss: float = Field(
        0.03, gt=0, description="Its metric on live labels this much worse than the champion's, beyond doubt, ends it."
    )
    schedule: str = Field("*/5 * * * *", description="Cron of the advance deployment, which takes the steps, UTC.")

    @model_validator(mode="after")
    def _steps_grow(self) -> "RolloutSettings":
        pairs = zip(self.steps, self.steps[1:], strict=False)
        if not self.steps or not self.steps[0] > 0 or self.steps[-1] >= 1 or any(a >= b for a, b in pairs):
            raise ValueError(f"wanted shares that grow, above 0 and below 1, found {list(self.steps)}")
        return self


class ServingSettings(Settings):
    """The endpoint."""

    workers: int = Field(1, ge=1, description="Processes that answer requests.")
    max_rows: int = Field(10_000, ge=1, description="Rows in one request.")
    max_body_mb: float = Field(32, gt=0, description="Size of one request.")
    limits: LimitSettings = LimitSettings()
    poll_seconds: float = Field(1.0, gt=0, description="How often the service looks where the alias points.")
    rollout: RolloutSettings = RolloutSettings()
    durability: Literal["process", "disk"] = Field(
        "process",
        description="process: survives a kill of the service; disk: also a power cut, at the price of a sync.",
    )
    on_ledger_failure: Literal["refuse", "serve"] = Field(
        "refuse",
        description="refuse: what cannot be kept is not answered (503); serve: it is answered, and counted as lost.",
    )
    ledger_columns: tuple[str, ...] | None = Field(
        None, description="Input columns that are kept; unset: all features."
    )
    private: dict[str, Literal["hash", "absent"]] = Field(
        default_factory=dict,
        description="Input columns that the ledger never holds as they are: hash keeps a keyed hash (the key is "
        "EVERFIT_HASH_KEY), absent keeps nothing.",
    )
