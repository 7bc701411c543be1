"""May the candidate replace the champion? A pure, seeded function of what both answered on the same rows.

The gate is closed by default. A candidate is promoted only if every rule holds:

    candidate_finite     it gave a finite answer to every row                                   else reject
    same_rows            both were scored on rows of the same content                           else inconclusive
    enough_rows          at least `min_rows` labelled rows                                      else inconclusive
    candidate_measured   the metric is defined for it on these rows                             else inconclusive
    minimum              it is at least as good as `minimum`, where one is set                  else reject
    champion_measured    the champion answered, and the metric is defined for it                else inconclusive
    superiority          the interval of the paired gain lies above 0: a tie is not a win       else see below

Where only superiority fails, an interval that lies below 0 rejects, and one that holds 0 is inconclusive. With 95 %
confidence a candidate of the champion's own quality is promoted in 2.5 % of contests. Running the graphs is the
business of `contest`; this module reads no file.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.errors import NotEnoughRows
from components.evaluation.intervals import Answers, bootstrap_interval, delong_interval
from components.evaluation.metrics import Metric, is_finite, measure, metric_named
from components.evaluation.predicting import Array
from components.records.scores import Outcome, Rule, Verdict
from components.settings.evaluation import EvaluationSettings

# Rules whose failure says that the candidate is bad; the failure of any other one says only that nothing is settled.
REJECTING = {"candidate_finite", "candidate_answers", "minimum"}


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What one model answered, and what was true.

    Attributes:
        truth: True answers, shape (rows,).
        prediction: Predicted answers, shape (rows,).
        probability: Probabilities, shape (rows,) or (rows, classes); None for a regression.
        table_sha256: Content hash of the rows.
    """

    truth: Array
    prediction: Array
    probability: Array | None
    table_sha256: str

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.truth.shape[0])

    @property
    def answers(self) -> Answers:
        """The answers without the truth."""
        return Answers(self.prediction, self.probability)


@dataclass(frozen=True, slots=True)
class _Facts:
    """All the numbers that the rules look at; NaN where one could not be measured."""

    metric: Metric
    settings: EvaluationSettings
    candidate: float
    champion: float | None = None
    low: float = math.nan
    high: float = math.nan

    @property
    def gain(self) -> float:
        """By how much the candidate is better, whatever the metric's direction."""
        difference = self.candidate - _or_nan(self.champion)
        return -difference if self.metric.lower_is_better else difference


def judge(candidate: Scored, champion: Scored | None, settings: EvaluationSettings) -> Verdict:
    """The verdict on the candidate, with every rule that was looked at; the same inputs give the same verdict.

    Args:
        candidate: The candidate's answers.
        champion: The champion's answers to the same rows; None while there is no champion.
        settings: The metric, the minimum, the rows wanted and the confidence.

    Raises:
        ProjectFileError: If the project file names a metric that does not exist.
    """
    metric = metric_named(settings.metric)
    rules = _rules_on_rows(candidate, champion, settings)
    comparable = all(rule.passed for rule in rules)
    facts = _measured(metric, candidate, champion, settings, comparable)
    if comparable:
        rules = (*rules, *_rules_on_values(facts, has_champion=champion is not None))
    return _verdict(facts, rules, candidate.rows, candidate.table_sha256)


def unanswered(rule: Rule, settings: EvaluationSettings, *, rows: int, table_sha256: str) -> Verdict:
    """The verdict when a side gave no answers: the rule `candidate_answers` rejects, any other settles nothing."""
    facts = _Facts(metric_named(settings.metric), settings, math.nan)
    return _verdict(facts, (rule,), rows, table_sha256)


def _rules_on_rows(candidate: Scored, champion: Scored | None, settings: EvaluationSettings) -> tuple[Rule, ...]:
    broken = [name for name in ("prediction", "probability") if not is_finite(getattr(candidate, name))]
    found = f"it holds broken values in {' and '.join(broken)}" if broken else "it is"
    finite = Rule("candidate_finite", not broken, f"every answer of the candidate must be finite, and {found}")
    enough = Rule(
        "enough_rows",
        candidate.rows >= settings.min_rows,
        f"at least {settings.min_rows:,} labelled rows are needed, found {candidate.rows:,}",
    )
    return finite, _same_rows(candidate, champion), enough


def _same_rows(candidate: Scored, champion: Scored | None) -> Rule:
    if champion is None:
        return Rule("same_rows", True, "there is no champion to share rows with")
    same = candidate.table_sha256 == champion.table_sha256 and np.array_equal(candidate.truth, champion.truth)
    return Rule(
        "same_rows",
        same,
        f"both must be scored on the same rows: candidate {candidate.table_sha256[:8]} ({candidate.rows:,} rows), "
        f"champion {champion.table_sha256[:8]} ({champion.rows:,} rows)",
    )


def _measured(
    metric: Metric, candidate: Scored, champion: Scored | None, settings: EvaluationSettings, comparable: bool
) -> _Facts:
    """The two values and, where both are there, the interval of their difference."""
    value = _value(metric, candidate)
    if champion is None or not comparable:
        return _Facts(metric, settings, value)
    champion_value = _value(metric, champion)
    if not (math.isfinite(value) and math.isfinite(champion_value)):
        return _Facts(metric, settings, value, champion_value)
    return _Facts(metric, settings, value, champion_value, *_interval(metric, candidate, champion, settings))


def _value(metric: Metric, scored: Scored) -> float:
    try:
        return measure(metric.name, scored.truth, scored.prediction, scored.probability)
    except NotEnoughRows:
        return math.nan


def _interval(metric: Metric, candidate: Scored, champion: Scored, settings: EvaluationSettings) -> tuple[float, float]:
    if metric.name == "roc_auc" and candidate.probability is not None and champion.probability is not None:
        sides = candidate.probability, champion.probability
        return delong_interval(candidate.truth, *sides, confidence=settings.confidence)
    return bootstrap_interval(
        metric.function,
        candidate.truth,
        candidate.answers,
        champion.answers,
        lower_is_better=metric.lower_is_better,
        confidence=settings.confidence,
        resamples=settings.bootstrap,
    )


def _rules_on_values(facts: _Facts, *, has_champion: bool) -> tuple[Rule, ...]:
    """The rules after the rows are known to be comparable; none is looked at twice."""
    name, minimum = facts.metric.name, facts.settings.minimum
    rules = [_defined("candidate_measured", f"candidate's {name}", facts.candidate)]
    if minimum is not None:
        good = facts.candidate <= minimum if facts.metric.lower_is_better else facts.candidate >= minimum
        bound = "at most" if facts.metric.lower_is_better else "at least"
        rules.append(Rule("minimum", good, f"{name} must be {bound} {minimum:g}, found {facts.candidate:.4g}"))
    if has_champion:
        rules.append(_defined("champion_measured", f"champion's {name}", _or_nan(facts.champion)))
        rules.append(
            Rule("superiority", facts.low > 0, f"the interval of the gain must lie above 0, found {_spread(facts)}")
        )
    return tuple(rules)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _defined(rule: str, what: str, value: float) -> Rule:
    return Rule(rule, math.isfinite(value), f"the {what} must be defined on these rows, found {value:.4g}")


def _verdict(facts: _Facts, rules: tuple[Rule, ...], rows: int, table_sha256: str) -> Verdict:
    failed = next((rule for rule in rules if not rule.passed), None)
    outcome = _outcome(failed, facts)
    return Verdict(
        outcome=outcome,
        reason=_reason(outcome, failed, facts, rows),
        metric=facts.metric.name,
        candidate=facts.candidate,
        champion=facts.champion,
        difference_low=facts.low if math.isfinite(facts.low) else None,
        difference_high=facts.high if math.isfinite(facts.high) else None,
        rows=rows,
        table_sha256=table_sha256,
        rules=rules,
    )


def _outcome(failed: Rule | None, facts: _Facts) -> Outcome:
    if failed is None:
        return "promote"
    clearly_worse = failed.name == "superiority" and facts.high < 0
    return "reject" if clearly_worse or failed.name in REJECTING else "inconclusive"


def _reason(outcome: Outcome, failed: Rule | None, facts: _Facts, rows: int) -> str:
    """One sentence with the numbers that decided."""
    name = facts.metric.name
    if failed is not None and failed.name != "superiority":
        end = "rejected" if outcome == "reject" else "nothing is settled, so nothing changes"
        return f"{failed.detail}; {end}"
    if facts.champion is None:
        return f"candidate {name} {facts.candidate:.3f} on {rows:,} rows, and there is no champion yet; promoted"
    ends: dict[Outcome, str] = {
        "promote": "promoted",
        "reject": "the candidate is worse, rejected",
        "inconclusive": "not clearly better, so the champion stays",
    }
    direction = ", lower is better" if facts.metric.lower_is_better else ""
    return (
        f"candidate {name} {facts.candidate:.3f} against champion {facts.champion:.3f} on the same {rows:,} rows"
        f"{direction}: {_spread(facts)}; {ends[outcome]}"
    )


def _spread(facts: _Facts) -> str:
    """The gain and its interval, with as many decimals as the smallest of the three needs."""
    signed = _signed(facts.gain, facts.low, facts.high)
    word = "gain" if facts.metric.lower_is_better else "difference"
    return (
        f"{word} {signed(facts.gain)} ({facts.settings.confidence * 100:g} % interval "
        f"{signed(facts.low)} to {signed(facts.high)})"
    )


def _signed(*values: float) -> Callable[[float], str]:
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    decimals = min(max(3, -math.floor(math.log10(min(sizes)))), 6) if sizes else 3
    return lambda value: f"{value:+.{decimals}f}"
