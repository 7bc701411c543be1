"""The story of a run as one HTML page that needs nothing beside it: charts, tables, every decision and its reason.

The page's markup, style and script stand in the folder `page`; here the story becomes the values that they show.
"""

import json
import logging
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from components.errors import DataError
from components.monitoring.loop_story import LoopEvent, LoopMonth, LoopStory, LoopVersion, LoopWindow
from components.monitoring.writing import write_whole
from components.records.jsonable import to_jsonable

__all__ = ["LoopEvent", "LoopMonth", "LoopStory", "LoopVersion", "LoopWindow", "loop_page"]

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
METRIC_NAMES = {"roc_auc": "ROC AUC", "log_loss": "log loss", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}


def loop_page(story: LoopStory, out: Path) -> Path:
    """The page about a run, written to `out` in one step.

    Args:
        story: What happened.
        out: The HTML file, about 5 MB, most of it the charts' library.

    Raises:
        DataError: If there is no window to tell about.
    """
    if not story.windows:
        raise DataError(f"the page about {story.project} wants at least one window, found none; run the loop first")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "day": _day,
        "figure": _figure,
        "percent": _percent,
        "count": _count,
        "signed": _signed,
        "span": _span,
    }
    html = environment.get_template("loop.html.j2").render(
        story=story,
        metric=METRIC_NAMES.get(story.metric, story.metric.replace("_", " ")),
        headline=headline(story),
        tiles=_tiles(story),
        totals=_totals(story),
        gains={month.month: _gain(story, month) for month in story.months},
        links={window.start: _link(window.report, out) for window in story.windows},
        verdicts=Counter(window.verdict for window in story.windows),
        style=Markup((PAGE / "loop.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
        script=Markup((PAGE / "loop.js").read_text(encoding="utf-8")),  # noqa: S704  our own file
        plotly=Markup(get_plotlyjs()),  # noqa: S704  plotly's own file
        data=_embedded(story),
    )
    write_whole(out, html)
    log.info("page written path=%s windows=%d megabytes=%.1f", out, len(story.windows), len(html) / 1e6)
    return out


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
    """The run in one sentence with its figures."""
    first, last = story.windows[0].start, story.windows[-1].end
    loop, static = averages(story)
    metric = METRIC_NAMES.get(story.metric, story.metric.replace("_", " "))
    if loop is None or static is None:
        return f"{story.project} was watched from {_day(first)} to {_day(last)}; labels have not come yet."
    gain = static - loop if story.lower_is_better else loop - static
    end = "left alone, the first model would have stayed level."
    if abs(gain) >= 0.0005:
        end = f"left alone, the first model would have made {static:.3f}."
    return f"From {_day(first)} to {_day(last)}, the loop served {story.project} at {metric} {loop:.3f}; {end}"


def _tiles(story: LoopStory) -> list[dict[str, str]]:
    """The large figures on top."""
    kinds = Counter(event.kind for event in story.events)
    loop, static = averages(story)
    gain = None if loop is None or static is None else (static - loop if story.lower_is_better else loop - static)
    return [
        {"name": "gained by the loop", "value": _signed(gain), "note": f"{_figure(loop)} against {_figure(static)}"},
        {
            "name": "predictions",
            "value": _count(sum(window.rows for window in story.windows)),
            "note": f"{_count(sum(window.labelled for window in story.windows))} with a label",
        },
        {
            "name": "windows decided on",
            "value": _count(len(story.windows)),
            "note": f"{sum(window.verdict == 'retrain' for window in story.windows)} led to a retraining",
        },
        {
            "name": "challengers promoted",
            "value": _count(kinds["promotion"]),
            "note": f"{kinds['rejection']} kept back by the judge",
        },
    ]


def _totals(story: LoopStory) -> list[tuple[str, str]]:
    """The summary as names and values for people."""
    return [(str(name).replace("_", " "), _told(value)) for name, value in story.totals.items()]


def _told(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    if isinstance(value, int):
        return _count(value)
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    if isinstance(value, datetime):
        return _day(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(item)}" for name, item in value.items())
    return ", ".join(_told(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


def _gain(story: LoopStory, month: LoopMonth) -> float | None:
    if month.auc_loop is None or month.auc_static is None:
        return None
    return (month.auc_static - month.auc_loop) if story.lower_is_better else (month.auc_loop - month.auc_static)


def _link(report: str, out: Path) -> str:
    """The report's address: as it is for a URL, beside the page if it lies there, else as a file's address."""
    if not report or "://" in report:
        return report
    path, folder = Path(report).resolve(), out.resolve().parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_uri()


def _embedded(story: LoopStory) -> Markup:
    """The story as JSON that cannot end the script element it stands in."""
    kept = {
        "metric": METRIC_NAMES.get(story.metric, story.metric.replace("_", " ")),
        "drift_limit": story.drift_limit,
        "windows": to_jsonable(story.windows),
        "events": to_jsonable(story.events),
    }
    text = json.dumps(kept, ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704  escaped right here


def _day(time: datetime | None) -> str:
    return "–" if time is None else f"{time.day} {time:%b %Y}"  # noqa: RUF001  a dash, as tables have it


def _span(window: LoopWindow) -> str:
    """Both days, with what they share said once, such as the month."""
    first, last = window.start, window.end
    form = f"{first.day}" if (first.year, first.month) == (last.year, last.month) else f"{first.day} {first:%b}"
    return f"{form} – {_day(last)}" if first.year == last.year else f"{_day(first)} – {_day(last)}"  # noqa: RUF001  a dash


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001  a dash, as tables have it


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")  # noqa: RUF001  a real minus sign


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"  # noqa: RUF001  a dash, as tables have it


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"  # noqa: RUF001  a dash, as tables have it
