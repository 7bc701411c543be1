"""Strategies side by side: their figures, their page, and what is written down of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.monitoring.backtest_page import backtest_page, headline
from components.monitoring.backtests import Backtest, Score, as_json, mean_quality, tally
from components.monitoring.replaying import Hindsight, Strategy, never, replay, windows_between
from tests.components.monitoring.test_replaying import WORTH, WORTHLESS, Made, at

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
WINDOWS = windows_between(BEGIN, BEGIN + timedelta(days=20), timedelta(days=7))
SCORES = [Score(100, 0.7), Score(300, 0.8), Score(0, None)]


def backtest(metric: str = "roc_auc", name: str = "weekly") -> Backtest:
    """Never, and a policy that retrains after the first and the last of three weeks."""
    world = Made([0.9] * 3, [WORTH, WORTHLESS, None], outcomes={2: "reject"}, metric=metric)
    alone = replay(Strategy("never", never, looks=False), WINDOWS, world, first=1)
    given = replay(at(0, 2), WINDOWS, world, first=1)
    named = type(given)(name, given.windows, given.missed, given.lags)
    base = [Score(100, 0.6), Score(300, 0.6), Score(0, None)]
    return Backtest(
        project="made",
        metric=metric,
        lower_is_better=metric == "log_loss",
        origin="a made table",
        begin=BEGIN,
        end=BEGIN + timedelta(days=20),
        label_delay_hours=24,
        windows=tuple(WINDOWS),
        tallies=(tally(alone, base, metric, base=0.6), tally(named, SCORES, metric, base=0.6)),
        replays=(alone, named),
        policies=(name,),
        seconds=12.3,
    )


def test_the_quality_is_weighted_by_labelled_rows():
    """A window without labels says nothing and weighs nothing."""
    assert mean_quality(SCORES) == 0.775
    assert mean_quality([Score(0, None)]) is None


def test_a_tally_counts_what_was_asked_for_and_what_came_of_it():
    """Two retrainings of a minute: one promoted, one rejected; one true trigger, one of which nobody can say."""
    found = backtest().tallies[1]

    assert (found.retrainings, found.promotions, found.rejections, found.inconclusive, found.failed) == (2, 1, 1, 0, 0)
    assert (found.true, found.false, found.open, found.missed, found.lag) == (1, 0, 1, 0, 0)
    assert (found.seconds, found.cost) == (120, 1.0)
    assert round(found.gain, 6) == 0.175


def test_of_a_loss_less_is_a_gain():
    """The same figures as a log loss are a loss against never."""
    assert round(backtest("log_loss").tallies[1].gain, 6) == -0.175


def test_what_is_written_holds_every_decision_without_its_facts():
    """Valid JSON, of which a window says what was decided, why, and what came of it."""
    told = json.loads(json.dumps(as_json(backtest()), allow_nan=False))

    first = told["replays"]["weekly"][0]
    assert first["verdict"] == "retrain"
    assert first["trial"]["outcome"] == "promote"
    assert first["hindsight"]["low"] == WORTH.low
    assert first["truth"] == "true"
    assert "facts" not in first
    assert [one["name"] for one in told["tallies"]] == ["never", "weekly"]


def test_the_page_tells_the_best_policy_first(tmp_path: Path):
    """Its figures, each decision, and nothing that a name could smuggle in."""
    found = backtest(name="<b>weekly</b>")

    page = backtest_page(found, tmp_path / "backtest.html").read_text()

    assert "would have retrained 2 times and served at roc_auc 0.7750, +0.1750 against never" in headline(found)
    assert "&lt;b&gt;weekly&lt;/b&gt;, window by window" in page
    assert "<b>weekly</b>" not in page
    assert page.count("because every window is followed by a retraining here") == 2


def test_a_gain_must_be_beyond_doubt_to_be_worth_it():
    """An interval that holds 0 is not."""
    assert Hindsight(0.02, 0.001, 0.04, 900).is_worth_it
    assert not Hindsight(0.02, 0.0, 0.04, 900).is_worth_it
