"""The past as a replay sees it: measured, judged and known in hindsight by the functions that do so on live traffic."""

from dataclasses import replace
from datetime import datetime

import polars as pl

from components.cost.costs import training_cost
from components.data.baselines import SEED, Baseline
from components.data.splits import sample
from components.errors import DataError, ModelError
from components.evaluation.comparing import compare
from components.evaluation.contest import Contender, known_classes, widened
from components.evaluation.judging import gain_of
from components.evaluation.metrics import metric_named
from components.evaluation.truths import true_answers
from components.monitoring.measure import measure
from components.monitoring.replaying import Hindsight, Trial
from components.records.watching import Window, WindowFacts
from components.settings.project import Project
from flows.backtesting.shelf import AnsweredRows, Shelf, columns_of


class PolicyWorld:
    """The past for one policy: its windows measured by its settings, its candidates made as it says.

    Args:
        project: The project with that policy in it.
        shelf: The models.
    """

    def __init__(self, project: Project, shelf: Shelf) -> None:
        self.project, self.metric = project.name, project.evaluation.metric
        self._settings = project
        self._shelf = shelf
        # What a candidate costs on this machine is not measured in a backtest, so no limit of it can be held.
        gate = project.evaluation.gate.model_copy(update={"max_p99_ms": None, "max_mb": None})
        self._evaluation = project.evaluation.model_copy(update={"gate": gate})

    def measure(self, window: Window, live: int, since: datetime | None) -> WindowFacts:
        """What the window would have shown at its end; see `replaying.World`."""
        model = self._shelf.models[live]
        rows = _as_logged(self._shelf.answered(model, window.start, window.end), live, window, self._shelf)
        facts = measure(
            rows, model.files, self._settings, window, workspace=None, out=None, baseline=self._baseline(window)
        )
        trained_until = model.made.split.train.last if model.made else None
        return replace(facts, version_live_since=since, trained_until=facts.trained_until or trained_until)

    def _baseline(self, window: Window) -> Baseline | None:
        """The rows that `monitoring.reference` asks for, as `components.data.baselines` takes them from the ledger."""
        monitoring = self._settings.monitoring
        if monitoring.reference == "training":
            return None
        back = window.end - window.start if monitoring.reference == "previous" else monitoring.season
        found = self._shelf.rows(window.start - back, window.end - back, self._settings)
        if found.height < monitoring.trigger.min_rows:
            return None
        return Baseline(monitoring.reference, sample(found, monitoring.sample_rows, SEED))

    def challenge(self, window: Window, live: int) -> Trial:
        """What a retraining would have come to; one that fails is told, and changes nothing."""
        champion = self._shelf.models[live]
        try:
            candidate = self._shelf.candidate(self._settings, window.end, champion)
        except (DataError, ModelError) as err:
            return Trial(None, "failed", str(err))
        assert candidate.made is not None
        verdict = self._shelf.verdict(candidate, champion, self._evaluation)
        seconds = candidate.made.fitted.seconds
        price = training_cost(seconds, self._settings.cost.train_hour)
        return Trial(candidate.number, verdict.outcome, verdict.reason, gain_of(verdict), seconds, price)

    def hindsight(self, window: Window, live: int) -> Hindsight | None:
        """What a retraining was worth afterwards, with all labels; None with too few of them, or if it fails."""
        champion = self._shelf.models[live]
        try:
            candidate = self._shelf.candidate(self._settings, window.end, champion)
        except (DataError, ModelError):
            return None
        until = window.end + self._settings.monitoring.gain.horizon
        sides = [self._shelf.answered(one, window.end, until).labelled() for one in (candidate, champion)]
        if sides[0].frame.height < self._evaluation.min_rows:
            return None
        classes = known_classes(*(Contender(one.files.graph, one.files.schema) for one in (candidate, champion)))
        schema = replace(candidate.files.schema, target="label", classes=classes)
        better, other = (
            widened(side.outputs, one.files.schema, classes)
            for side, one in zip(sides, (candidate, champion), strict=True)
        )
        truth = true_answers(sides[0].frame, schema)
        found = compare(metric_named(self.metric), truth, better, other, self._evaluation)
        return Hindsight(found.gain, found.low, found.high, found.rows) if found.is_measured else None


def _as_logged(rows: AnsweredRows, live: int, window: Window, shelf: Shelf) -> pl.DataFrame:
    """The rows as `components.data.windows.read_window` would have given them at the window's end."""
    when = pl.col(shelf.timestamp)
    labelled_at = when + shelf.past.label_delay
    is_known = (labelled_at <= window.end) & pl.col("label").is_not_null()
    number = rows.frame.select(pl.int_range(pl.len()).cast(pl.String).alias("number"))["number"]
    return rows.frame.with_columns(
        *columns_of(rows.outputs),
        pl.when(is_known).then("label").alias("label"),
        pl.when(is_known).then(labelled_at).alias("labelled_at"),
        is_contradicted=pl.lit(value=False),
        version=pl.lit(live, dtype=pl.Int64),
        prediction_id=number,
        request_id=number,
        received_at=when,
        latency_ms=pl.lit(None, dtype=pl.Float64),
    )
