"""A backtest as one HTML page that needs nothing beside it: the table, the quality over time, every decision."""

import json
import logging
from pathlib import Path

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from components.monitoring.backtests import Backtest, Tally
from components.monitoring.writing import write_whole

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
DASH = "\N{EN DASH}"


def backtest_page(found: Backtest, out: Path) -> Path:
    """The page about a backtest, written to `out` in one step; about 5 MB, most of it the charts' library."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"figure": _figure, "signed": _signed, "count": _count, "money": _money}
    html = environment.get_template("backtest.html.j2").render(
        found=found,
        headline=headline(found),
        replays=[found.replay(name) for name in found.policies],
        style=Markup((PAGE / "loop.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
        script=Markup((PAGE / "backtest.js").read_text(encoding="utf-8")),  # noqa: S704  our own file
        plotly=Markup(get_plotlyjs()),  # noqa: S704  plotly's own file
        data=_embedded(found),
    )
    write_whole(out, html)
    log.info("page written path=%s strategies=%d megabytes=%.1f", out, len(found.tallies), len(html) / 1e6)
    return out


def headline(found: Backtest) -> str:
    """The policy that would have served best, in one sentence with its figures."""
    given = [one for one in found.tallies if one.name in found.policies and one.gain is not None]
    span = f"From {_day(found)} on"
    if not given:
        return f"{span}, no window had the labels to tell how good the policies would have been."
    best = max(given, key=_gain_of)
    times = "once" if best.retrainings == 1 else f"{best.retrainings} times"
    return (
        f"{span}, the policy {best.name} would have retrained {times} and served at {found.metric} "
        f"{_figure(best.quality)}, {_signed(best.gain)} against never."
    )


def _gain_of(one: Tally) -> float:
    return one.gain if one.gain is not None else float("-inf")


def _day(found: Backtest) -> str:
    return f"{found.begin.day} {found.begin:%b %Y}"


def _embedded(found: Backtest) -> Markup:
    """What the chart draws, as JSON that cannot end the script element it stands in."""
    kept = {
        "metric": found.metric,
        "windows": [window.start.isoformat() for window in found.windows],
        "policies": found.policies,
        "lines": [{"name": one.name, "quality": [score.quality for score in one.scores]} for one in found.tallies],
    }
    text = json.dumps(kept, ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704  escaped right here


def _figure(value: float | None) -> str:
    return DASH if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return DASH if value is None else f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def _count(value: float | None) -> str:
    return DASH if value is None else f"{value:,.1f}".removesuffix(".0")


def _money(value: float | None) -> str:
    return DASH if value is None else f"{value:,.4g}"
