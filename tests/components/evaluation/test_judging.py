"""The gate: what it lets through, what it never does, and what it says."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from components.errors import ProjectFileError
from components.evaluation.evidence import Answered, JudgedRows, LabelledRows, RowAnswers
from components.evaluation.intervals import Answers
from components.evaluation.judging import gain_of, judge, unanswered, with_rule
from components.evaluation.metrics import METRICS
from components.records.scores import Rule
from components.settings.evaluation import EvaluationSettings
from tests.components.evaluation.sides import OLD, RECENT, contestants, failed, of_known_area, rule, with_holdout

SETTINGS = EvaluationSettings(metric="roc_auc", min_rows=500, bootstrap=200)


def gate(**changes: Any) -> EvaluationSettings:
    """The settings with other rules of the gate."""
    return SETTINGS.model_copy(update={"gate": SETTINGS.gate.model_copy(update=changes)})


def test_a_model_never_beats_itself():
    """A tie is not a win: identical answers settle nothing, for every binary metric."""
    model, _, rows = contestants(1)
    names = [name for name, metric in METRICS.items() if "binary" in metric.kinds]
    # A constant model is perfectly calibrated, and nothing here is about learning.
    settings = gate(beat="none")

    verdicts = [judge(model, model, rows, settings.model_copy(update={"metric": name})) for name in names]

    assert {verdict.outcome for verdict in verdicts} == {"inconclusive"}
    assert verdicts[0].difference_low == verdicts[0].difference_high == 0
    assert verdicts[0].rows_to_settle is None
    assert "so close that 100 times the rows would not settle it" in verdicts[0].reason


@pytest.mark.parametrize("seed", range(10))
def test_a_clearly_better_model_is_promoted(seed):
    """Half the noise on 3,000 rows wins every time, and the sentence holds the numbers."""
    candidate, champion, rows = contestants(seed, candidate_noise=0.4, champion_noise=1.2)

    verdict = judge(candidate, champion, rows, SETTINGS)

    assert verdict.promote
    assert verdict.difference_low > 0
    assert verdict.reason.startswith(
        f"candidate roc_auc {verdict.candidate:.3f} against champion {verdict.champion:.3f}"
    )
    assert "on the same 3,000 rows: difference +0.0" in verdict.reason
    assert verdict.reason.endswith("; promoted")
    assert (verdict.rows, verdict.table_sha256, verdict.rows_to_settle) == (3_000, RECENT, None)


@pytest.mark.parametrize("seed", range(10))
def test_a_clearly_worse_model_is_rejected(seed):
    """The same contest the other way round is rejected, with the whole interval below 0."""
    candidate, champion, rows = contestants(seed, candidate_noise=1.2, champion_noise=0.4)

    verdict = judge(candidate, champion, rows, SETTINGS)

    assert verdict.outcome == "reject"
    assert verdict.difference_high < 0
    assert "the candidate is worse, rejected" in verdict.reason


@pytest.mark.parametrize(
    ("metric", "better"), [("log_loss", 0.3), ("brier", 0.3), ("average_precision", 0.3), ("accuracy", 0.1)]
)
def test_direction_is_taken_from_the_metric(metric, better):
    """A better model gains in every metric, also where lower is better."""
    candidate, champion, rows = contestants(3, candidate_noise=better, champion_noise=2.0)

    verdict = judge(candidate, champion, rows, SETTINGS.model_copy(update={"metric": metric}))

    assert verdict.promote
    assert (verdict.candidate < verdict.champion) == METRICS[metric].lower_is_better
    assert ("lower is better: gain +" in verdict.reason) == METRICS[metric].lower_is_better


def test_regressions_are_judged_too():
    """A regression has no probability; its paired errors decide, over the champion's and over the mean's."""
    random = np.random.default_rng(2)
    truth = random.normal(100, 20, 2_000)
    sides = [RowAnswers(Answers(truth + random.normal(0, noise, 2_000), None), RECENT) for noise in (5, 8)]
    simple = Answers(np.full(2_000, 100.0), None)
    rows = JudgedRows(LabelledRows(truth, RECENT), seen={"test": 0.0})
    settings = SETTINGS.model_copy(update={"metric": "rmse", "minimum": 6.0})

    verdict = judge(Answered(sides[0], comparator=simple), Answered(sides[1]), rows, settings)

    assert verdict.promote
    assert "rmse must be at most 6, found" in rule(verdict, "minimum").detail
    assert "found rmse 19." in rule(verdict, "beats").detail


def test_the_first_model_needs_no_champion_but_all_else():
    """Without a champion there is nobody to be better than; every other rule is looked at."""
    candidate, champion, rows = contestants(4)
    settings = SETTINGS.model_copy(update={"minimum": 0.55, "slices": ("origin",)})

    good = judge(candidate, None, rows, settings)
    low = judge(candidate, None, rows, SETTINGS.model_copy(update={"minimum": 0.9}))
    against = judge(candidate, champion, rows, settings)

    assert good.promote
    assert (good.champion, good.difference_low) == (None, None)
    assert "there is no champion yet; promoted" in good.reason
    missing = {one.name for one in against.rules} - {one.name for one in good.rules}
    assert missing == {"champion_measured", "superiority"}
    assert low.outcome == "reject"
    assert low.reason.startswith("roc_auc must be at least 0.9, found 0.6")


def test_a_better_model_below_the_minimum_is_rejected():
    """Beating a bad champion is not enough."""
    candidate, champion, rows = contestants(4, candidate_noise=0.3, champion_noise=3)

    verdict = judge(candidate, champion, rows, SETTINGS.model_copy(update={"minimum": 0.95}))

    assert verdict.outcome == "reject"
    assert failed(verdict) == ["minimum"]


@pytest.mark.parametrize("part", ["recent", "holdout"])
def test_a_nan_answer_rejects_the_candidate(part):
    """One NaN is a broken model, however good the rest, on the recent rows and on the holdout."""
    candidate, champion, rows = with_holdout(*contestants(5, candidate_noise=0.3), 6, candidate_noise=0.3)
    given = getattr(candidate, part)
    probability = np.where(np.arange(given.answers.probability.size) == 5, np.nan, given.answers.probability)
    broken = replace(given, answers=replace(given.answers, probability=probability))

    verdict = judge(replace(candidate, **{part: broken}), champion, rows, SETTINGS)

    assert judge(candidate, champion, rows, SETTINGS).promote
    assert verdict.outcome == "reject"
    assert "every answer of the candidate must be finite, and it holds broken values in probability" in verdict.reason


def test_a_broken_champion_promotes_nobody():
    """If the champion cannot be measured there is nothing to be better than: a person must look."""
    candidate, champion, rows = contestants(5, candidate_noise=0.3)
    broken = Answers(champion.recent.answers.prediction, np.full(3_000, np.nan))

    verdict = judge(candidate, replace(champion, recent=RowAnswers(broken, RECENT)), rows, SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert "the champion's roc_auc must be defined on these rows, found nan" in verdict.reason
    assert verdict.champion is None


@pytest.mark.parametrize(
    ("side", "part", "told"),
    [
        ("candidate", "recent", r"candidate cccccccc (3,000 rows), the recent rows aaaaaaaa (3,000 rows)"),
        ("champion", "recent", r"champion cccccccc (3,000 rows), the recent rows aaaaaaaa (3,000 rows)"),
        ("candidate", "holdout", r"candidate cccccccc (2,000 rows), the holdout rows bbbbbbbb (2,000 rows)"),
        ("champion", "holdout", r"champion cccccccc (2,000 rows), the holdout rows bbbbbbbb (2,000 rows)"),
    ],
)
def test_other_rows_settle_nothing(side, part, told):
    """Answers to other rows are never compared, on neither side and in neither set, not even with a bad champion."""
    candidate, champion, rows = with_holdout(*contestants(6, candidate_noise=0.3, champion_noise=3), 7)
    sides = {"candidate": candidate, "champion": champion}
    sides[side] = replace(sides[side], **{part: replace(getattr(sides[side], part), sha256="c" * 64)})

    verdict = judge(sides["candidate"], sides["champion"], rows, SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert failed(verdict) == ["same_rows"]
    assert told in verdict.reason
    # A value of other rows is none of these.
    assert np.isnan(verdict.candidate) == ((side, part) == ("candidate", "recent"))


def test_fewer_answers_than_rows_settle_nothing():
    """The right hash on answers of the wrong number is not believed; nor is a holdout nobody answered."""
    candidate, champion, rows = with_holdout(*contestants(6, candidate_noise=0.3), 7)
    short = replace(candidate.recent, answers=candidate.recent.answers.at(np.arange(2_999)))

    fewer = judge(replace(candidate, recent=short), champion, rows, SETTINGS)
    none = judge(candidate, replace(champion, holdout=None), rows, SETTINGS)

    assert failed(fewer) == failed(none) == ["same_rows"]
    assert "aaaaaaaa (2,999 rows)" in fewer.reason
    assert "champion no answers, the holdout rows" in none.reason


def test_too_few_rows_settle_nothing_and_say_how_many_are_wanting():
    """Below min_rows neither a better nor a first model is promoted."""
    candidate, champion, rows = contestants(8, rows=400, candidate_noise=0.1, champion_noise=3)

    against = judge(candidate, champion, rows, SETTINGS)
    first = judge(candidate, None, rows, SETTINGS)

    assert against.outcome == first.outcome == "inconclusive"
    assert "at least 500 labelled rows are needed, found 400" in against.reason
    assert "100 more labelled rows are needed" in against.reason
    assert against.rows_to_settle == first.rows_to_settle == 100


def test_one_true_class_settles_nothing():
    """Without a single row of class 1 there is no ROC AUC, so nothing is promoted."""
    candidate, _, rows = contestants(9)

    verdict = judge(candidate, None, replace(rows, recent=LabelledRows(np.zeros(3_000), RECENT)), SETTINGS)

    assert verdict.outcome == "inconclusive"
    assert "the candidate's roc_auc must be defined on these rows, found nan" in verdict.reason


@pytest.mark.parametrize("part", ["validation", "test"])
def test_rows_that_were_learned_from_cannot_judge(part):
    """However well it does on them: the answers were known."""
    candidate, champion, rows = contestants(2, candidate_noise=0.1, champion_noise=3)

    verdict = judge(candidate, champion, replace(rows, seen={**rows.seen, part: 1.0}), SETTINGS)

    assert verdict.outcome == "reject"
    assert verdict.reason.startswith("rows to judge and to choose on must not be among those it learned from, found")
    assert f"1 of {part}" in verdict.reason


def test_a_row_written_twice_does_not_stop_a_contest():
    """One row in a thousand on both sides of a boundary moves no score; two are a leak."""
    candidate, champion, rows = contestants(2, candidate_noise=0.1, champion_noise=3)

    assert judge(candidate, champion, replace(rows, seen={"test": 0.001}), SETTINGS).promote
    assert judge(candidate, champion, replace(rows, seen={"test": 0.002}), SETTINGS).outcome == "reject"


def test_an_inconclusive_contest_says_how_many_rows_would_settle_it():
    """And with that many more rows of the same kind it mostly is settled."""
    candidate, champion, rows = of_known_area(3, 0.76, 0.75, rows=1_000)

    verdict = judge(candidate, champion, rows, SETTINGS)

    assert verdict.outcome == "inconclusive"
    gain = verdict.candidate - verdict.champion
    # The interval is symmetric, and shrinks with the square root of the rows.
    wanted = 1_000 * ((gain - verdict.difference_low) / gain) ** 2 - 1_000
    assert verdict.rows_to_settle == pytest.approx(wanted, rel=0.001)
    assert f"about {verdict.rows_to_settle:,} more labelled rows would settle it, if the gain stays" in verdict.reason
    more = of_known_area(3, 0.75 + gain, 0.75, rows=4 * (1_000 + verdict.rows_to_settle))
    assert judge(*more, SETTINGS).promote


def test_non_inferiority_promotes_what_is_not_worse_by_the_margin():
    """A model that is as good settles nothing where it must be better, and passes where it must not be worse."""
    candidate, champion, rows = of_known_area(1, 0.75, 0.75, rows=4_000)
    relaxed = gate(test="non-inferiority", margin=0.02)

    strict, lenient = judge(candidate, champion, rows, SETTINGS), judge(candidate, champion, rows, relaxed)
    worse = judge(*of_known_area(1, 0.70, 0.75, rows=4_000), relaxed)
    close = judge(*of_known_area(1, 0.735, 0.75, rows=2_000), relaxed)

    assert strict.outcome == "inconclusive"
    assert lenient.promote
    assert lenient.reason.endswith("; not worse by more than the margin, promoted")
    assert "the interval of the gain must lie above -0.02" in rule(lenient, "non_inferiority").detail
    assert worse.outcome == "reject"
    assert close.outcome == "inconclusive"
    assert close.rows_to_settle > 0


def test_a_promotion_is_rejected_by_the_sandbox():
    """A rule found later ends a promotion with its own reason, and stands behind the others."""
    verdict = judge(*contestants(1, candidate_noise=0.3), SETTINGS)

    passed = with_rule(verdict, Rule("sandbox", True, "all 50 rows answered"))
    stopped = with_rule(verdict, Rule("sandbox", False, "the server must answer 50 rows, but did not start"))

    assert passed.promote
    assert passed.reason == verdict.reason
    assert stopped.outcome == "reject"
    assert stopped.reason == "the server must answer 50 rows, but did not start; rejected"
    assert [one.name for one in stopped.rules] == [*(one.name for one in verdict.rules), "sandbox"]


def test_without_approval_nothing_is_settled():
    """A person who did not answer has said nothing against the candidate."""
    verdict = judge(*contestants(1, candidate_noise=0.3), SETTINGS)

    waiting = with_rule(verdict, Rule("approval", False, "a person must approve within 1 day, and nobody answered"))

    assert waiting.outcome == "inconclusive"
    assert waiting.reason.endswith("nobody answered; nothing is settled, so nothing changes")


def test_a_rule_found_later_promotes_nobody():
    """What the judge has kept back stays back."""
    verdict = judge(*contestants(1, candidate_noise=3), SETTINGS)

    later = with_rule(verdict, Rule("sandbox", True, "all 50 rows answered"))

    assert later.outcome == verdict.outcome == "reject"
    assert later.reason == verdict.reason
    assert later.rules[-1].name == "sandbox"


def test_a_side_that_gives_no_answers_is_a_verdict_too():
    """A broken candidate is rejected; a broken champion keeps its place until a person has looked."""
    rows = LabelledRows(np.zeros(10), OLD)

    candidate = unanswered("candidate", "no such file", SETTINGS, rows)
    champion = unanswered("champion", "no such file", SETTINGS, rows)

    assert (candidate.outcome, champion.outcome) == ("reject", "inconclusive")
    assert candidate.reason == "the candidate must answer the rows it is judged on: no such file; rejected"
    assert (candidate.rows, candidate.table_sha256) == (10, OLD)


def test_several_failures_are_all_named_and_the_worst_one_decides():
    """A rejection goes before what is merely unsettled, and the others are told behind it."""
    candidate, champion, rows = of_known_area(3, 0.76, 0.75)
    settings = gate(max_p99_ms=1.0, max_mb=2.0)

    verdict = judge(replace(candidate, megabytes=3.0), champion, rows, settings)

    assert verdict.outcome == "reject"
    assert failed(verdict) == ["superiority", "latency", "size"]
    assert verdict.reason == ("the graph must have 2 MB at most, found 3; rejected (also failed: superiority, latency)")
    assert verdict.rows_to_settle is None


def test_an_unknown_metric_is_a_mistake_in_the_project_file():
    """A misspelt metric is told to the user, not turned into a verdict."""
    with pytest.raises(ProjectFileError, match=r"must be one of roc_auc, .* it is 'auc'"):
        judge(*contestants(10), SETTINGS.model_copy(update={"metric": "auc"}))


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_the_same_contest_gives_the_same_verdict(metric):
    """A verdict can be replayed to the last digit, and read back from what is stored."""
    sides = with_holdout(*contestants(11), 12)
    settings = SETTINGS.model_copy(update={"metric": metric})

    verdict = judge(*sides, settings)

    assert verdict == judge(*sides, settings)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=type(verdict)) == verdict


@pytest.mark.parametrize(("metric", "gain"), [("roc_auc", 0.1), ("log_loss", -0.1)])
def test_a_gain_is_positive_where_the_candidate_is_better(metric: str, gain: float):
    """Whatever the metric's direction; without a champion, or without a finite number, there is none."""
    model, _, rows = contestants(1)
    verdict = replace(judge(model, model, rows, SETTINGS), metric=metric, candidate=0.7, champion=0.6)

    found = gain_of(verdict)

    assert found == pytest.approx(gain)
    assert gain_of(replace(verdict, champion=None)) is None
    assert gain_of(replace(verdict, candidate=float("nan"))) is None
