"""A replay: the same loop as on live traffic, and what of it was right in hindsight."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from components.monitoring.deciding import decide
from components.monitoring.replaying import (
    Hindsight,
    Replay,
    Strategy,
    Trial,
    every_window,
    never,
    replay,
    windows_between,
)
from components.records.watching import Decision, History, Window, WindowFacts
from components.settings.monitoring import MonitoringSettings, TriggerSettings

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WORTH, WORTHLESS = Hindsight(0.02, 0.01, 0.03, 5_000), Hindsight(0.001, -0.01, 0.012, 5_000)
POLICY = MonitoringSettings(
    cooldown=14 * DAY, trigger=TriggerSettings(windows=1, of=1, min_rows=10, min_labelled_rows=10, drift_share=None)
)


@dataclass
class Made:
    """A past that was made up: quality by window, outcomes and worth by window, candidates numbered by window."""

    qualities: list[float]
    worth: list[Hindsight | None]
    outcomes: dict[int, str] = field(default_factory=dict)
    project: str = "made"
    metric: str = "roc_auc"
    measured: list[tuple[int, int, datetime | None]] = field(default_factory=list)

    def measure(self, window: Window, live: int, since: datetime | None) -> WindowFacts:
        self.measured.append((self._at(window), live, since))
        quality = self.qualities[self._at(window)]
        return WindowFacts(
            window,
            live,
            1_000,
            1_000,
            quality=quality,
            reference_quality=0.8,
            quality_low=quality,
            quality_high=quality,
        )

    def challenge(self, window: Window, live: int) -> Trial:
        outcome = self.outcomes.get(self._at(window), "promote")
        number = None if outcome == "failed" else 100 + self._at(window)
        return Trial(number, outcome, f"because it is {outcome}", gain=0.01, seconds=60, cost=0.5)

    def hindsight(self, window: Window, live: int) -> Hindsight | None:
        return self.worth[self._at(window)]

    def _at(self, window: Window) -> int:
        return (window.start - BEGIN) // (7 * DAY)


def windows(count: int) -> list[Window]:
    """So many weeks from the beginning."""
    return windows_between(BEGIN, BEGIN + count * 7 * DAY - DAY, 7 * DAY)


def by(policy: MonitoringSettings) -> Strategy:
    """A policy as a strategy."""
    return Strategy("policy", partial(decide, policy=policy))


def at(*weeks: int) -> Strategy:
    """One who retrains at the end of these weeks."""

    def decided(history: History) -> Decision:
        week = (history.facts[-1].window.start - BEGIN) // (7 * DAY)
        return every_window(history) if week in weeks else never(history)

    return Strategy("these weeks", decided, looks=False)


def triggers(found: Replay) -> list[int]:
    """The weeks at whose end a retraining was asked for."""
    return [at for at, one in enumerate(found.windows) if one.trial is not None]


def test_a_policy_rests_between_retrainings_as_on_live_traffic():
    """Four bad weeks in a row and a rest of two weeks: the first and the third ask, the others say why not."""
    world = Made(qualities=[0.6] * 4, worth=[WORTH] * 4)

    found = replay(by(POLICY), windows(4), world, first=1)

    assert triggers(found) == [0, 2]
    assert "it rests 14 days" in found.windows[1].decision.reason


def test_a_policy_sees_what_it_retrained_before():
    """The budget of a month counts what this replay asked for."""
    policy = POLICY.model_copy(update={"cooldown": DAY, "retrainings_a_month": 2})

    found = replay(by(policy), windows(6), Made(qualities=[0.6] * 6, worth=[None] * 6), first=1)

    assert triggers(found) == [0, 1, 5]


def test_a_promoted_candidate_answers_from_the_next_window_on():
    """It is measured as live since the end of the window that it was made after; a rejected one never is."""
    world = Made(qualities=[0.6, 0.9, 0.6, 0.9], worth=[None] * 4, outcomes={2: "reject"})

    found = replay(by(POLICY), windows(4), world, first=1)

    second = BEGIN + 7 * DAY
    assert world.measured == [(0, 1, None), (1, 100, second), (2, 100, second), (3, 100, second)]
    assert found.live_since() == [(None, 1), (second, 100)]
    assert [found.outcomes(outcome) for outcome in ("promote", "reject", "inconclusive")] == [1, 1, 0]


def test_a_candidate_of_the_last_window_is_live_after_it():
    """Its promotion is not lost, although no window follows."""
    found = replay(at(1), windows(2), Made([0.9] * 2, [None] * 2), first=1)

    assert found.live_since() == [(None, 1), (BEGIN + 14 * DAY, 101)]


def test_a_retraining_that_fails_leaves_the_model_as_it_is():
    """It is counted, and told with its reason."""
    found = replay(at(0), windows(2), Made([0.6] * 2, [None] * 2, outcomes={0: "failed"}), first=1)

    assert found.windows[1].live == 1
    assert found.outcomes("failed") == 1
    assert found.trials[0].reason == "because it is failed"


def test_a_trigger_is_true_false_or_open():
    """By whether its candidate was better beyond doubt afterwards; of the last one too few rows follow."""
    found = replay(at(0, 1, 2), windows(3), Made([0.9] * 3, [WORTH, WORTHLESS, None]), first=1)

    assert [one.truth for one in found.windows] == ["true", "false", "open"]
    assert [found.truths(truth) for truth in ("true", "false", "open")] == [1, 1, 1]


def test_the_lag_counts_windows_from_the_beginning_of_the_stretch():
    """It was worth it from week 1 on and retrained after week 3: two windows late; then at once."""
    world = Made([0.9] * 6, [WORTHLESS, WORTH, WORTH, WORTH, WORTHLESS, WORTH])

    found = replay(at(3, 5), windows(6), world, first=1)

    assert found.lags == (2, 0)
    assert found.mean_lag == 1
    assert found.missed == 0


def test_a_stretch_without_a_trigger_is_missed_once():
    """However long it is; a trigger after its end is a false one and saves nothing."""
    world = Made([0.9] * 6, [WORTH, WORTH, WORTHLESS, WORTHLESS, WORTH, WORTH])

    found = replay(at(3), windows(6), world, first=1)

    assert found.missed == 2
    assert found.lags == ()
    assert found.mean_lag is None
    assert found.windows[3].truth == "false"


def test_after_a_trigger_a_new_stretch_begins():
    """Where the candidate was rejected, or a better one could be had, it is worth it again at once."""
    found = replay(at(0, 2), windows(4), Made([0.9] * 4, [WORTH] * 4), first=1)

    assert found.lags == (0, 1)
    assert found.missed == 1


def test_never_and_every_window_look_at_nothing():
    """Neither asks for anything to be measured, which is the slow part."""
    world = Made([0.9] * 3, [WORTH] * 3)

    alone = replay(Strategy("never", never, looks=False), windows(3), world, first=1)
    always = replay(Strategy("every window", every_window, looks=False), windows(3), world, first=1)

    assert world.measured == []
    assert (len(alone.trials), alone.missed, alone.live_since()) == (0, 1, [(None, 1)])
    assert (len(always.trials), always.truths("true"), always.missed) == (3, 3, 0)


def test_the_same_past_gives_the_same_replay():
    """Nothing is drawn by chance, and no clock is read."""
    again: Callable[[], Replay] = lambda: replay(  # noqa: E731
        by(POLICY), windows(5), Made([0.6, 0.9, 0.6, 0.6, 0.9], [WORTH] * 5), first=1
    )

    assert again() == again()


def test_the_windows_reach_as_far_as_the_rows():
    """The last one may hold few rows, the one after it none."""
    found = windows_between(BEGIN, BEGIN + 15 * DAY, 7 * DAY)

    assert [one.start for one in found] == [BEGIN, BEGIN + 7 * DAY, BEGIN + 14 * DAY]
    assert windows_between(BEGIN, BEGIN + 14 * DAY - timedelta(seconds=1), 7 * DAY)[-1].end == BEGIN + 14 * DAY
