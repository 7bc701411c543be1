"""The story of the loop as one HTML page that needs nothing beside it: charts, tables, every decision and its reason.

The page's markup, style and script stand in the folder `page`; here the story becomes the values that they show.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from components.monitoring import loop_words as words
from components.monitoring.loop_story import LoopStory, LoopWindow
from components.monitoring.writing import write_whole
from components.records.jsonable import to_jsonable

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"


def loop_page(story: LoopStory, out: Path) -> Path:
    """The page about the loop, written to `out` in one step; what there is nothing of yet says so in a sentence.

    Args:
        story: What happened.
        out: The HTML file, about 5 MB, most of it the charts' library.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "day": words.day,
        "figure": words.figure,
        "percent": words.percent,
        "count": words.count,
        "signed": words.signed,
        "span": words.span,
        "lives": words.lives,
    }
    html = environment.get_template("loop.html.j2").render(
        story=story,
        metric=words.metric_name(story),
        headline=words.headline(story),
        tiles=words.tiles(story),
        totals=words.totals(story),
        gains={month.month: words.gain_of(story, month) for month in story.months},
        links={window.start: _link(window.report, out) for window in story.windows},
        verdicts=Counter(window.verdict for window in story.windows),
        has=_has(story),
        between=words.between,
        style=Markup((PAGE / "loop.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
        script=Markup(_script()),  # noqa: S704  our own files
        plotly=Markup(get_plotlyjs()),  # noqa: S704  plotly's own file
        data=_embedded(story),
    )
    write_whole(out, html)
    log.info("page written path=%s windows=%d megabytes=%.1f", out, len(story.windows), len(html) / 1e6)
    return out


def _has(story: LoopStory) -> dict[str, bool]:
    """Of what there is anything to show: only that has a chart or a column."""

    def anywhere(look: Callable[[LoopWindow], Any]) -> bool:
        return any(look(window) is not None for window in story.windows)

    return {
        "quality": anywhere(lambda w: w.auc_loop),
        "static": anywhere(lambda w: w.auc_static),
        "expected": anywhere(lambda w: w.expected),
        "then": any(w.then is not None and w.labelled_then != w.labelled for w in story.windows),
        "drift": anywhere(lambda w: w.drift_share),
        "weighted": anywhere(lambda w: w.weighted_drift),
        "labels": any(w.labelled for w in story.windows),
        "latency": anywhere(lambda w: w.p99_ms),
        "requests": anywhere(lambda w: w.requests),
        "cost": anywhere(lambda w: w.serving_cost) or anywhere(lambda w: w.training_cost),
    }


def _script() -> str:
    return "\n".join((PAGE / name).read_text(encoding="utf-8") for name in ("charts.js", "loop.js"))


def _link(report: str, out: Path) -> str:
    """The report's address: as it is for a URL, beside the page if it lies there, else as a file's address."""
    if not report or "://" in report:
        return report
    path, folder = Path(report).resolve(), out.resolve().parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_uri()


def _embedded(story: LoopStory) -> Markup:
    """The story as JSON that cannot end the script element it stands in."""
    kept = {
        "metric": words.metric_name(story),
        "drift_limit": story.drift_limit,
        "weighted_limit": story.weighted_limit,
        "windows": to_jsonable(story.windows),
        "events": to_jsonable(story.events),
    }
    text = json.dumps(kept, ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704  escaped right here
