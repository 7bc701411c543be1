"""What the page about the loop says in words and large figures; how it writes times, shares and numbers."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from components.monitoring.loop_story import LoopMonth, LoopStory, LoopVersion, LoopWindow

METRIC_NAMES = {"roc_auc": "ROC AUC", "log_loss": "log loss", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}
NOTHING = "–"  # noqa: RUF001  a dash, as tables have it


def metric_name(story: LoopStory) -> str:
    """The metric as people write it."""
    return METRIC_NAMES.get(story.metric, story.metric.replace("_", " "))


def averages(story: LoopStory) -> tuple[float | None, float | None]:
    """The metric of the loop and of the first version: as the totals say, else the windows' mean by labelled rows."""
    if {"auc_loop", "auc_static"} <= set(story.totals):
        return story.totals["auc_loop"], story.totals["auc_static"]
    both = [(w.labelled, w.auc_loop, w.auc_static) for w in story.windows]
    known = [(rows, loop, static) for rows, loop, static in both if rows and loop is not None and static is not None]
    if not known:
        return None, None
    rows = sum(weight for weight, _, _ in known)
    return sum(w * loop for w, loop, _ in known) / rows, sum(w * static for w, _, static in known) / rows


def headline(story: LoopStory) -> str:
    """What the loop was in one sentence with its figures."""
    if not story.windows:
        return f"{story.project} has not been watched yet; everfit monitor measures its first window."
    first, last = story.windows[0].start, story.windows[-1].end
    loop, static = averages(story)
    if loop is None or static is None:
        return f"{story.project} was watched from {day(first)} to {day(last)}; {_lately(story)}"
    gain = static - loop if story.lower_is_better else loop - static
    end = "left alone, the first model would have stayed level."
    if abs(gain) >= 0.0005:
        end = f"left alone, the first model would have made {static:.3f}."
    return (
        f"From {day(first)} to {day(last)}, the loop served {story.project} at {metric_name(story)} {loop:.3f}; {end}"
    )


def tiles(story: LoopStory) -> list[dict[str, str]]:
    """The large figures on top: of a run that has the first version beside it, what it was worth; else how it is."""
    kinds = Counter(event.kind for event in story.events)
    loop, static = averages(story)
    first = _quality_tile(story)
    if loop is not None and static is not None:
        gain = static - loop if story.lower_is_better else loop - static
        first = {
            "name": "gained by the loop",
            "value": signed(gain),
            "note": f"{figure(loop)} against {figure(static)}",
        }
    answered = sum(window.rows for window in story.windows)
    return [
        first,
        {
            "name": "predictions",
            "value": count(answered),
            "note": f"{count(sum(window.labelled for window in story.windows))} with a label",
        },
        {
            "name": "windows decided on",
            "value": count(len(story.windows)),
            "note": f"{sum(window.verdict == 'retrain' for window in story.windows)} led to a retraining",
        },
        {
            "name": "challengers promoted",
            "value": count(kinds["promotion"]),
            "note": f"{kinds['rejection']} kept back by the judge",
        },
    ]


def totals(story: LoopStory) -> list[tuple[str, str]]:
    """The summary as names and values for people."""
    return [(str(name).replace("_", " "), told(value)) for name, value in story.totals.items()]


def told(value: Any) -> str:
    """Any value as a person writes it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    if isinstance(value, datetime):
        return day(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {told(item)}" for name, item in value.items())
    return ", ".join(told(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


def gain_of(story: LoopStory, month: LoopMonth) -> float | None:
    """By how much the loop was better than the first version in a month."""
    if month.auc_loop is None or month.auc_static is None:
        return None
    return (month.auc_static - month.auc_loop) if story.lower_is_better else (month.auc_loop - month.auc_static)


def lives(version: LoopVersion) -> Sequence[tuple[datetime, datetime | None]]:
    """Each stretch in which the version answered, oldest first."""
    if version.lives or version.live_since is None:
        return version.lives
    return ((version.live_since, version.live_until),)


def day(time: datetime | None) -> str:
    """Such as `1 May 2013`."""
    return NOTHING if time is None else f"{time.day} {time:%b %Y}"


def span(window: LoopWindow) -> str:
    """Both days, with what they share said once, such as the month; hours where it ends on the day it begins."""
    first, last = window.start, window.end
    if first.date() == last.date():
        return f"{day(first)}, {first:%H:%M} {NOTHING} {last:%H:%M}"
    form = f"{first.day}" if (first.year, first.month) == (last.year, last.month) else f"{first.day} {first:%b}"
    return f"{form} {NOTHING} {day(last)}" if first.year == last.year else f"{day(first)} {NOTHING} {day(last)}"


def figure(value: float | None) -> str:
    """Three digits behind the point, or fewer of a large number."""
    if value is None:
        return NOTHING
    return f"{value:.3f}" if abs(value) < 1_000 else f"{value:,.0f}"


def signed(value: float | None) -> str:
    """With its sign."""
    return NOTHING if value is None else f"{value:+.3f}".replace("-", "−")  # noqa: RUF001  a real minus sign


def percent(value: float | None) -> str:
    """A share in percent."""
    return NOTHING if value is None else f"{value:.0%}"


def count(value: int | None) -> str:
    """With commas between thousands."""
    return NOTHING if value is None else f"{value:,}"


def _newest_judged(story: LoopStory) -> LoopWindow | None:
    return next((window for window in reversed(story.windows) if window.auc_loop is not None), None)


def _lately(story: LoopStory) -> str:
    """How good the answers are, by the newest window whose labels suffice; by what is expected where none has any."""
    window = _newest_judged(story)
    if window is None or window.auc_loop is None:
        expected = next((w.expected for w in reversed(story.windows) if w.expected is not None), None)
        beside = "" if expected is None else f", and {metric_name(story)} is expected to be {expected:.3f}"
        return f"labels have not come yet{beside}."
    lately = f"lately {metric_name(story)} was {figure(window.auc_loop)}{between(window.low, window.high)}"
    if window.reference is None:
        return f"{lately}."
    return f"{lately}, and {figure(window.reference)} when version {window.version} was registered."


def between(low: float | None, high: float | None) -> str:
    """An interval in brackets; empty where there is none."""
    return "" if low is None or high is None else f" ({figure(low)} to {figure(high)})"


def _quality_tile(story: LoopStory) -> dict[str, str]:
    window = _newest_judged(story)
    if window is None:
        return {"name": metric_name(story), "value": NOTHING, "note": "no labels yet"}
    since = "" if window.reference is None else f"{figure(window.reference)} at registration, "
    return {"name": f"{metric_name(story)} lately", "value": figure(window.auc_loop), "note": f"{since}{span(window)}"}
