"""Replays a policy over the past: window by window, in event time, with the rules that decide on live traffic.

Pure: what a window would have shown and what a retraining would have come to are asked of a `World`; this module reads
no file and no clock. A candidate that the judge lets through answers from the end of the window on: the hours that a
retraining takes are left out.

In hindsight all labels are known, and each window has a truth: a retraining at its end was worth it if the candidate is
better than the model then live, beyond doubt, on the rows that follow within the policy's `gain.horizon`.

    true       a trigger in a window where it was worth it
    false      a trigger where it was not: the candidate was no better, or not beyond doubt
    open       a trigger of which nobody can say, since too few rows follow
    stretch    windows in a row in which it was worth it, up to the trigger or to the first in which it is not
    lag        windows from the beginning of a stretch to its trigger, 0 if its first window had it
    missed     a stretch that ended without a trigger
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from components.records.scores import Outcome
from components.records.watching import Decision, History, Retraining, Window, WindowFacts

TrialOutcome = Literal[Outcome, "failed"]
Truth = Literal["true", "false", "open"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a retraining at the end of a window would have come to.

    Attributes:
        candidate: Number of the model it would have made; None if it failed.
        outcome: The judge's outcome, or `failed`.
        reason: The judge's sentence, or why it failed.
        gain: How much better the candidate was than the champion on the judge's rows; None if unknown.
        seconds: Wall seconds of the training.
        cost: Their price, in the project's currency.
    """

    candidate: int | None
    outcome: TrialOutcome
    reason: str
    gain: float | None = None
    seconds: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Hindsight:
    """How much better the candidate of a window would have been than the model then live, on the rows that follow.

    Attributes:
        gain: Positive is better, whatever the metric's direction.
        low: Lower end of its interval.
        high: Upper end.
        rows: Labelled rows that both are measured on.
    """

    gain: float
    low: float
    high: float
    rows: int

    @property
    def is_worth_it(self) -> bool:
        """Whether the candidate was better beyond doubt."""
        return self.low > 0


class World(Protocol):
    """The past, as far as a replay asks for it; models are known by numbers."""

    project: str
    metric: str

    def measure(self, window: Window, live: int, since: datetime | None) -> WindowFacts:
        """What the window would have shown at its end, with the labels known by then.

        Args:
            window: The window.
            live: The model that answers in it.
            since: Event time since which it does; None for the one the replay begins with.
        """

    def challenge(self, window: Window, live: int) -> Trial:
        """What a retraining at the window's end would have come to against the model then live."""

    def hindsight(self, window: Window, live: int) -> Hindsight | None:
        """What such a retraining was worth afterwards; None if nobody can say."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is replayed.

    Attributes:
        name: What it is called.
        decide: The decision on the newest window of a history.
        looks: Whether it reads what was measured; else nothing is.
    """

    name: str
    decide: Callable[[History], Decision]
    looks: bool = True


@dataclass(frozen=True, slots=True)
class ReplayedWindow:
    """One window of a replay.

    Attributes:
        window: The stretch of event time.
        live: The model that answered in it.
        decision: What was decided at its end.
        trial: What the retraining came to; None if none was asked for.
        hindsight: What a retraining here was worth, asked for or not; None if nobody can say.
        truth: Of a retraining that was asked for; None without one.
    """

    window: Window
    live: int
    decision: Decision
    trial: Trial | None
    hindsight: Hindsight | None
    truth: Truth | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What a strategy would have done.

    Attributes:
        name: The strategy's.
        windows: Oldest first.
        missed: Stretches in which a retraining was worth it and none came.
        lags: Of each stretch that had its trigger, the windows from its beginning to it.
    """

    name: str
    windows: tuple[ReplayedWindow, ...]
    missed: int
    lags: tuple[int, ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The retrainings, oldest first."""
        return tuple(one.trial for one in self.windows if one.trial is not None)

    @property
    def mean_lag(self) -> float | None:
        """Mean lag in windows; None if no stretch had a trigger."""
        return statistics.fmean(self.lags) if self.lags else None

    def outcomes(self, outcome: TrialOutcome) -> int:
        """How many retrainings ended so."""
        return sum(trial.outcome == outcome for trial in self.trials)

    def truths(self, truth: Truth) -> int:
        """How many triggers were so."""
        return sum(one.truth == truth for one in self.windows)

    def live_since(self) -> list[tuple[datetime | None, int]]:
        """Which model answered from when on; the first from the beginning, which is None."""
        found: list[tuple[datetime | None, int]] = []
        for one in self.windows:
            if not found or found[-1][1] != one.live:
                found.append((one.window.start if found else None, one.live))
        last = self.windows[-1] if self.windows else None
        if last is not None and _after(last.trial, last.live) != last.live:
            found.append((last.window.end, _after(last.trial, last.live)))
        return found


def replay(strategy: Strategy, windows: Sequence[Window], world: World, first: int) -> Replay:
    """What the strategy would have done in these windows, and what of it was right.

    Args:
        strategy: What decides.
        windows: Oldest first, none overlapping another.
        world: The past.
        first: The model that is live at the beginning.
    """
    live, since = first, None
    facts: list[WindowFacts] = []
    retrainings: list[Retraining] = []
    found: list[ReplayedWindow] = []
    for window in windows:
        facts.append(world.measure(window, live, since) if strategy.looks else WindowFacts(window, live, 0, 0))
        decision = strategy.decide(History(world.project, world.metric, tuple(facts), tuple(retrainings)))
        trial = world.challenge(window, live) if decision.verdict == "retrain" else None
        hindsight = world.hindsight(window, live)
        found.append(ReplayedWindow(window, live, decision, trial, hindsight, _truth(trial, hindsight)))
        if trial is not None:
            retrainings.append(Retraining(decision.id, window, trial.outcome, trial.gain, trial.cost))
        if _after(trial, live) != live:
            live, since = _after(trial, live), window.end
    return Replay(strategy.name, tuple(found), *_stretches(found))


def never(history: History) -> Decision:
    """The decision of one who leaves the first model alone."""
    return _fixed(history, "keep", "no, because nothing is ever retrained here")


def every_window(history: History) -> Decision:
    """The decision of one who retrains at the end of each window, whatever it shows."""
    return _fixed(history, "retrain", "yes, because every window is followed by a retraining here")


def windows_between(begin: datetime, end: datetime, length: timedelta) -> list[Window]:
    """The windows from `begin` on, each of that length, up to the one in which `end` lies."""
    found = []
    while begin <= end:
        found.append(Window(begin, begin + length))
        begin += length
    return found


def _fixed(history: History, verdict: Literal["retrain", "keep"], reason: str) -> Decision:
    newest = history.facts[-1]
    name = f"{verdict}-{newest.window.end:%Y%m%dT%H%M}"
    return Decision(name, history.project, newest.window, newest.version, verdict, reason, (), newest)


def _after(trial: Trial | None, live: int) -> int:
    """The model that is live after a window."""
    is_promoted = trial is not None and trial.outcome == "promote" and trial.candidate is not None
    return trial.candidate if trial is not None and trial.candidate is not None and is_promoted else live


def _truth(trial: Trial | None, hindsight: Hindsight | None) -> Truth | None:
    if trial is None:
        return None
    if hindsight is None:
        return "open"
    return "true" if hindsight.is_worth_it else "false"


def _stretches(found: Sequence[ReplayedWindow]) -> tuple[int, tuple[int, ...]]:
    """How many stretches were missed, and the lag of each that was not."""
    missed, lags = 0, []
    begun: int | None = None
    for at, one in enumerate(found):
        if one.hindsight is None or not one.hindsight.is_worth_it:
            missed += begun is not None
            begun = None
            continue
        begun = at if begun is None else begun
        if one.trial is not None:
            lags.append(at - begun)
            begun = None
    return missed + (begun is not None), tuple(lags)
