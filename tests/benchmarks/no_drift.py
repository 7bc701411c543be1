"""Where nothing changed, the policy asks for nothing: false triggers on real rows without drift.

    python tests/benchmarks/no_drift.py [REPLAYS] [--resume]

Two sets of real rows, each with models that the project's own training path makes, measured by `measure` and decided on
by `decide`:

- Who is employed in Massachusetts (American Community Survey, inside the PyPI package nannyml): learned from 2015, then
  the 208,892 people of 2016 to 2018 in windows by rows: the years in their order, each year's people in one of chance.
  `as filed` is the order of the files, and no proof: those of 2017 and 2018 hold all who live in institutions in one
  block, which is drift, and found.
- Flights whose order in time is destroyed: a permutation of the rows over the moments of departure. That makes rows
  exchangeable: which of them come before May is chance, and so is the order of those after it. Given the first, every
  order of the rest is as likely as any other, so one model is replayed against many orders; there are several models,
  since one whose test part was lucky is a fault of all of its replays. The fortnights of the project's own policy are
  measured once, and the default policy is asked about the same: sizes and chances do not depend on a policy. Weekly
  windows, the default's own, are measured for one replay in ten.

A trigger is a window at which `retrain` is decided. With cooldown: as it would happen. Each alone: every window by
itself, so that one odd stretch of rows counts as often as it is seen. `ask` counts windows at which a person would be
called. The limit is 1 window in 100, for either way of counting. What was counted stands in `.cache/no_drift`, where
`--resume` goes on.
"""

import os
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from components.records.watching import WindowFacts  # noqa: E402 - the repository's root must be found first
from components.settings.monitoring import MonitoringSettings  # noqa: E402
from tests.benchmarks import watched  # noqa: E402
from tests.benchmarks.watched import Live  # noqa: E402

REPLAYS = 200
MODELS = 4
# One replay in so many is measured by week as well.
WEEKLY = 10
PROCESSES = 2
WINDOW_ROWS = (1_000, 2_000, 5_000, 10_000)
LIMIT = 0.01
FILED = "as filed"
TABLE = Path(__file__).parent / "results" / "no_drift.txt"
FOLDER = ROOT / ".cache" / "no_drift"
WHEN = "scheduled_departure"

DEFAULT = MonitoringSettings()
# Everything that may trigger does, at the first window: what a nervous person would write.
NERVOUS = MonitoringSettings.model_validate(
    {"trigger": {"windows": 1, "of": 1, "weighted_drift": 0.3, "max_expected_quality_loss": 0.03}}
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was decided under one policy."""

    windows: int
    rested: int
    single: int
    ask: int
    triggers: list[str]

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(*(getattr(self, name) + getattr(other, name) for name in Counted.__slots__))

    @property
    def worst(self) -> float:
        """The larger share of false triggers of the two ways of counting."""
        return max(self.rested, self.single) / self.windows


Counts = dict[str, Counted]


def main() -> None:
    """Measure all windows, print the table and keep it; the exit status is 1 if the limit is exceeded."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    replays = numbers[0] if numbers else REPLAYS
    if "--resume" not in sys.argv:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(employment), *(pool.submit(flights, number, replays) for number in range(MODELS))]
        for one in as_completed(waiting):
            one.result()
            lines, worst = table()
            TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    sys.exit(worst > LIMIT)


def employment() -> None:
    """The survey's people, in windows of several sizes."""
    later = pl.col("at") >= datetime(2016, 1, 1, tzinfo=UTC)
    filed = watched.acs_years()
    live = watched.make(watched.acs_project(DEFAULT), filed.filter(~later), FOLDER / "employment")
    for order, rows in (("by chance", watched.acs_years(np.random.default_rng(2015))), (FILED, filed)):
        answered = live.answer(rows.filter(later))
        for count in WINDOW_ROWS:
            name = f"people {order}, {count:,}"
            if not is_kept(name):
                facts = [live.measure(part, window) for window, part in watched.windows_by_rows(answered, "at", count)]
                keep(name, counted(name, facts, {"default": DEFAULT, "nervous": NERVOUS}))


def flights(number: int, replays: int) -> None:
    """One model of shuffled flights, and its share of the orders of the flights that it never saw."""
    project = watched.flights_project()
    rows = watched.shuffled(watched.year_of_flights(project), WHEN, np.random.default_rng([2013, number]))
    live = watched.make(
        project, rows.filter(pl.col(WHEN) < watched.BEGIN), FOLDER / f"flights-{number}", number=number + 1
    )
    answered = live.answer(rows.filter(pl.col(WHEN) >= watched.BEGIN))
    for replay in range(number, replays, MODELS):
        if not is_kept(f"replay {replay}"):
            drawn = watched.shuffled(answered, WHEN, np.random.default_rng([2013, number, replay]))
            keep(f"replay {replay}", replayed(live, drawn, weekly=replay // MODELS % WEEKLY == 0))


def replayed(live: Live, rows: pl.DataFrame, *, weekly: bool) -> Counts:
    """The decisions on one order of the rows."""
    own = live.project.monitoring
    facts = measured(live, rows)
    found = counted("flights by fortnight", facts, {"their own": own})
    others = {"default": DEFAULT, "nervous": NERVOUS}
    found |= counted("flights by fortnight", [watched.judged_by(one, DEFAULT) for one in facts], others)
    if weekly:
        found |= counted("flights by week", measured(live.under(DEFAULT), rows), others)
    return found


def measured(live: Live, rows: pl.DataFrame) -> list[WindowFacts]:
    """The facts of all whole windows of the policy's length."""
    length = live.project.monitoring.window
    windows = watched.windows_by_time(rows, WHEN, length, watched.BEGIN)
    return [live.measure(_within(rows, one.start, length), one) for one in windows]


def is_kept(name: str) -> bool:
    """Whether that part was counted before."""
    return (FOLDER / f"{name}.json").exists()


def keep(name: str, counts: Counts) -> None:
    """Write down what was counted of a part."""
    unfinished = FOLDER / f".{name}"
    unfinished.write_bytes(msgspec.json.encode(counts))
    unfinished.replace(FOLDER / f"{name}.json")
    watched.say(f"{datetime.now(UTC):%H:%M:%S} counted: {name}")


def _within(rows: pl.DataFrame, start: datetime, length: timedelta) -> pl.DataFrame:
    """Rows of that stretch."""
    return rows.filter(pl.col(WHEN).is_between(start, start + length, closed="left"))


def counted(name: str, facts: list[WindowFacts], policies: dict[str, MonitoringSettings]) -> Counts:
    """The decisions under each policy, with all labels and without any."""
    found = {}
    for policy_name, policy in policies.items():
        for labels, seen in (("all", facts), ("none", [without_labels(one) for one in facts])):
            found[f"{name}|{policy_name}|{labels}"] = _counted(seen, policy)
    return found


def _counted(facts: list[WindowFacts], policy: MonitoringSettings) -> Counted:
    rested = watched.replay(facts, policy)
    single = watched.replay(facts, policy, rests=False)
    return Counted(
        len(facts),
        sum(one.verdict == "retrain" for one in rested),
        sum(one.verdict == "retrain" for one in single),
        sum(one.verdict == "ask" for one in single),
        [str(one.trigger) for one in single if one.trigger],
    )


def without_labels(facts: WindowFacts) -> WindowFacts:
    """The same window before any label has come."""
    return replace(facts, labelled_rows=0, label_coverage=0.0, quality=None, quality_low=None, quality_high=None)


def table() -> tuple[list[str], float]:
    """A line for each set of rows, policy and state of the labels, of all that was counted; and the worst share."""
    found: Counts = {}
    for path in sorted(FOLDER.glob("*.json")):
        for name, one in msgspec.json.decode(path.read_bytes(), type=Counts).items():
            found[name] = found[name] + one if name in found else one
    replays = len(list(FOLDER.glob("replay *.json")))
    head = ("rows", "policy", "labels", "windows", "retrain", "each alone", "share", "ask", "triggers")
    lines = [
        f"$ python tests/benchmarks/no_drift.py {replays}    # {os.cpu_count()} cores, {platform.machine()}; "
        f"{datetime.now(UTC):%Y-%m-%d}",
        "retrain: with cooldown, as it would happen; each alone: every window by itself; share: the larger of both",
        _line(head),
    ]
    for name in sorted(found):
        one = found[name]
        shares = (f"{one.windows:,}", str(one.rested), str(one.single), f"{one.worst:.2%}", str(one.ask))
        lines.append(_line((*name.split("|"), *shares, _named(one.triggers))))
    return [line.rstrip() for line in lines], max(one.worst for name, one in found.items() if FILED not in name)


def _line(cells: Sequence[str]) -> str:
    rows, policy, labels, *numbers, last = cells
    return f"{rows:<26}{policy:<11}{labels:<8}" + "".join(f"{cell:>11}" for cell in numbers) + f"  {last}"


def _named(triggers: list[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(triggers).most_common())


if __name__ == "__main__":
    main()
