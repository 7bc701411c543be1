"""The page about a run shows what happened, to a person with a browser and nothing else."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.monitoring.loop_page import loop_page
from components.monitoring.loop_story import LoopEvent, LoopMonth, LoopStory, LoopVersion, LoopWindow
from components.monitoring.loop_words import averages, headline
from tests.browser import open_page

START = datetime(2013, 5, 1, tzinfo=UTC)
FORTNIGHT = timedelta(days=14)
# What a column or a sentence could hold; the page must show it as text.
NASTY = "</script><script>alert('worn')</script> & <b>bold</b>"


def made_up_window(number: int, out: Path) -> LoopWindow:
    """A fortnight of a run that never was."""
    version = 1 if number < 3 else 2 if number < 9 else 4
    static = 0.70 - 0.004 * number + 0.02 * math.sin(number)
    verdict = "retrain" if number in (2, 6, 8) else "ask" if number == 11 else "keep"
    reasons = {
        "retrain": "yes, because in this window 47% of the columns drifted (limit 40%: temp, dewp, humid and 6 more)",
        "ask": "ask a person, because 1 column is empty or missing far more often than in training: wind_gust",
        "keep": "no, because the window is within its limits: 21% of the columns drifted (limit 40%)",
    }
    return LoopWindow(
        start=START + number * FORTNIGHT,
        end=START + (number + 1) * FORTNIGHT,
        rows=13_000 + 37 * number,
        labelled=12_700,
        auc_loop=None if number == 13 else static + (0.0 if number < 3 else 0.03 + 0.001 * number),
        auc_static=static,
        drift_share=None if number == 13 else 0.2 + 0.1 * ((number * 7) % 4),
        version=version,
        verdict=verdict,
        reason=reasons[verdict],
        report=str(out.parent / "reports" / f"{number}.html"),
    )


def made_up_story(out: Path) -> LoopStory:
    """Seventeen fortnights, four versions, a hole in the figures, and a reason that tries to break out of the page."""
    windows = tuple(made_up_window(number, out) for number in range(17))
    times = [window.end for window in windows]
    return LoopStory(
        project="flight-delays",
        windows=windows,
        months=tuple(LoopMonth(f"2013-{5 + i:02}", 27_000, 0.70 - 0.002 * i, 0.69 - 0.006 * i) for i in range(8)),
        versions=(
            LoopVersion(1, "replaced", START, START, times[2], 0.671, "first"),
            LoopVersion(2, "replaced", times[2], times[2], times[8], 0.702, "47% of the columns drifted"),
            LoopVersion(3, "not promoted", times[6], None, None, 0.689, "47% of the columns drifted"),
            LoopVersion(4, "live", times[8], times[8], None, 0.711, NASTY),
        ),
        events=(
            LoopEvent(START, "release", 1, "the first version"),
            LoopEvent(times[2], "promotion", 2, "0.031 better on 12,511 rows (95% interval 0.024 to 0.038)"),
            LoopEvent(times[6], "rejection", 3, "0.002 better, but the interval reaches from -0.004 to 0.008"),
            LoopEvent(times[8], "promotion", 4, "0.012 better on 12,802 rows (95% interval 0.006 to 0.019)"),
        ),
        totals={"auc_loop": 0.7012, "auc_static": 0.6684, "seconds": 412.3, "retrainings": 3, "promoted": 2},
        addresses={"Prefect": "http://127.0.0.1:4200", "MLflow": "http://127.0.0.1:5000"},
        drift_limit=0.4,
    )


def test_the_headline_says_what_the_loop_was_worth():
    """One sentence holds both figures and the stretch of time."""
    story = made_up_story(Path("loop.html"))

    said = headline(story)

    assert said == (
        "From 1 May 2013 to 25 Dec 2013, the loop served flight-delays at ROC AUC 0.701; "
        "left alone, the first model would have made 0.668."
    )


def test_without_totals_the_averages_weigh_windows_by_their_labels():
    """A window of few labels moves the figures little, and one without a figure not at all."""
    first, second, third = (made_up_window(number, Path("x")) for number in range(3))
    windows = (
        replace(first, labelled=300, auc_loop=0.8, auc_static=0.6),
        replace(second, labelled=100, auc_loop=0.4, auc_static=0.4),
        replace(third, auc_loop=None),
    )

    loop, static = averages(LoopStory("p", windows))

    assert (loop, static) == (pytest.approx(0.7), pytest.approx(0.55))


def test_the_page_needs_no_network_and_links_reports_beside_it(tmp_path: Path):
    """It can be mailed: its script and style stand inside, and reports are found next to it."""
    out = tmp_path / "loop.html"

    html = loop_page(made_up_story(out), out).read_text(encoding="utf-8")

    head = html.partition("<body>")[0]
    assert '<link rel="stylesheet"' not in html
    assert "<script src" not in head
    assert 'href="reports/0.html"' in html
    assert not list(tmp_path.glob(".*")), "an unfinished file was left"


@pytest.mark.browser
@pytest.mark.parametrize("metric", ["rmse", "roc_auc"])
def test_a_page_with_hardly_any_facts_is_still_a_page(tmp_path: Path, metric: str):
    """A first window without labels, versions, months or addresses is shown."""
    window = LoopWindow(START, START + FORTNIGHT, 0, 0, None, None, None, None, "keep", "no, because it is empty")
    story = LoopStory("p", (window,), metric=metric, lower_is_better=metric == "rmse")

    with open_page_of(story, tmp_path) as view:
        text, errors = view.text, view.errors

    assert "labels have not come yet" in text
    assert errors == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_what_there_is_nothing_of_yet_has_a_sentence_and_no_empty_chart(tmp_path: Path, width: int):
    """Before the first window the page says what will stand there, and how it comes."""
    note = "the registry did not answer"

    with open_page_of(LoopStory("flight-delays", (), notes=(note,)), tmp_path, width=width) as view:
        charts = view.page.locator(".chart").count()
        overflow = view.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        text, errors = view.text, view.errors

    assert "flight-delays has not been watched yet" in text
    assert "No window has been measured yet" in text
    assert "Nothing has been decided yet" in text
    assert note in text
    assert charts == 0
    assert overflow <= 0
    assert errors == []


def watched_window(number: int, out: Path) -> LoopWindow:
    """A fortnight of a live project: what was known then, what is expected, and no first version beside it."""
    window, value = made_up_window(number, out), 0.7 + 0.01 * math.sin(number)
    has_labels = number < 14
    return replace(
        window,
        labelled=12_700 if has_labels else 0,
        labelled_then=9_000 if has_labels else 0,
        auc_loop=value if has_labels else None,
        low=value - 0.01 if has_labels else None,
        high=value + 0.01 if has_labels else None,
        then=value - 0.004 if has_labels else None,
        auc_static=None,
        expected=value + 0.005,
        expected_low=value - 0.01,
        expected_high=value + 0.02,
        reference=0.71,
        weighted_drift=0.1 * (number % 5),
        delay_hours=30.0 if has_labels else None,
        p50_ms=3.0,
        p99_ms=14.0 + number % 4,
        requests=13_000,
        failed=number % 3,
        serving_cost=0.3,
        training_cost=0.05 if number in (0, 3, 9) else None,
        outcome="promote: 0.031 better on 12,511 rows" if window.verdict == "retrain" else "",
    )


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_live_project_shows_what_is_true_beside_what_was_expected(tmp_path: Path, width: int):
    """Six charts, intervals, what was known when it was decided, and what came of it; also on a phone."""
    out = tmp_path / "loop.html"
    windows = tuple(watched_window(number, out) for number in range(17))
    lives = ((START, START + FORTNIGHT), (START + 3 * FORTNIGHT, None))
    version = LoopVersion(1, "live", lives=lives, auc=0.71, verdict="better beyond doubt")
    events = (*made_up_story(out).events, LoopEvent(START + 3 * FORTNIGHT, "rollback", 1, "v2 was worse"))
    story = replace(made_up_story(out), windows=windows, versions=(version,), events=events, totals={}, months=())

    with open_page_of(story, tmp_path, width=width) as view:
        page = view.page
        drawn = page.locator(".chart .main-svg").count() // 3
        areas = page.locator("#quality-chart .fills path.js-fill").count()
        first = page.locator("#decision-table tbody tr").nth(0).inner_text()
        retrained = page.locator("#decision-table tbody tr").nth(2).inner_text()
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        text, errors = view.text, view.errors

    assert drawn == 6
    assert areas == 2
    assert "0.690" in first
    assert "[0.696 then]" in first
    assert "0.705" in first
    assert "promote: 0.031 better on 12,511 rows" in retrained
    assert text.count("better beyond doubt") == 1
    assert "15 May 2013" in text, "the end of its first stretch"
    assert "lately ROC AUC was 0.704 (0.694 to 0.714), and 0.710 when version 4 was registered" in text
    assert overflow <= 0
    assert errors == []


def open_page_of(story: LoopStory, folder: Path, **size: int):
    """The story's page in a browser."""
    return open_page(loop_page(story, folder / "loop.html"), **size)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_the_page_without_an_error(tmp_path: Path, width: int):
    """Headline, both charts, markers and tables are there on a desktop and on a phone, and nothing overflows."""
    story = made_up_story(tmp_path / "loop.html")

    with open_page_of(story, tmp_path, width=width) as view:
        page = view.page
        title = page.title()
        lines = page.locator("#quality-chart .scatterlayer .trace").count()
        bars = page.locator("#drift-chart .bars .point").count()
        rows = page.locator("#decision-table tbody tr:visible").count()
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        text, errors = view.text, view.errors

    assert title == "flight-delays: the loop, window by window · Everfit"
    assert "left alone, the first model would have made 0.668" in text
    assert (lines, rows) == (4, 17)
    assert bars >= 16
    assert NASTY in text
    assert overflow <= 0
    assert errors == []


@pytest.mark.browser
def test_decisions_can_be_filtered_searched_and_sorted(tmp_path: Path):
    """A reader finds the retrainings, a word in the reasons, and the worst window."""
    with open_page_of(made_up_story(tmp_path / "loop.html"), tmp_path) as view:
        page = view.page
        visible = page.locator("#decision-table tbody tr:visible")
        page.get_by_role("button", name="retrain 3").click()
        retrainings = visible.count()
        page.get_by_role("button", name="All 17").click()
        page.get_by_label("Search in reasons").fill("wind_gust")
        found = visible.count()
        page.get_by_label("Search in reasons").fill("no such word")
        says_none = page.get_by_text("No decision matches.").is_visible()
        page.get_by_label("Search in reasons").fill("")
        page.locator("#decision-table th button", has_text="ROC AUC").click()
        values = visible.locator("td:nth-child(5)").all_inner_texts()

    assert (retrainings, found, says_none) == (3, 1, True)
    assert values[:-1] == sorted(values[:-1])
    assert values[-1] == "\N{EN DASH}", "windows without a figure come last"


@pytest.mark.browser
def test_the_page_follows_a_dark_screen_and_can_be_switched(tmp_path: Path):
    """The charts are drawn again in the other colours."""
    with open_page_of(made_up_story(tmp_path / "loop.html"), tmp_path) as view:
        page = view.page
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.emulate_media(color_scheme="dark")
        page.wait_for_selector("html[data-theme=dark]", state="attached")
        dark = page.evaluate(background)
        page.get_by_label("Switch between light and dark").click()
        again, errors = page.evaluate(background), view.errors

    assert light == again
    assert dark != light
    assert errors == []
