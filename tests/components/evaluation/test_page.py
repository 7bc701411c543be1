"""The page: what it says first, and that it shows what the scorecard holds and nothing else."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from components.evaluation.page import answer, figure, headline, write_page
from components.records.scores import Rule, Scorecard
from components.settings.evaluation import EvaluationSettings
from tests.browser import open_page
from tests.components.evaluation.tiny import BINARY, VALUE

SETTINGS = EvaluationSettings(metric="roc_auc", minimum=0.6, slices=("origin",))
CARD = Scorecard(
    metrics={"log_loss": 0.5, "roc_auc": 0.71, "size_mb": 1.5, "latency_p99_ms": 0.5, "rows_per_second": 310_000.0},
    rows=12_345,
    table_sha256="abcdef0123456789",
    intervals={"roc_auc": (0.7, 0.72), "log_loss": (0.48, 0.52)},
    slices={"origin=EWR": {"rows": 5_000.0, "roc_auc": 0.66, "log_loss": 0.6}, "origin=JFK": {"rows": 900.0}},
    found_slices={"origin=EWR & temp=over 5": {"rows": 600.0, "roc_auc": 0.55, "log_loss": 0.9}},
    gaps={"origin": {"roc_auc_difference": 0.12, "equalized_odds_difference": 0.2}, "sex": {}},
    margins={"constant": 0.21, "linear": 0.03},
    behaviours=(Rule("warm is late", True, "99 % of 2,000 rows do"),),
)


class Texts(HTMLParser):
    """Collects the tags of a page and what can be read on it."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def read(card, folder, settings=SETTINGS, schema=BINARY):
    """The page as tags and text."""
    texts = Texts()
    texts.feed(write_page(card, schema, settings, folder).read_text(encoding="utf-8"))
    return texts


@pytest.mark.parametrize(
    ("changes", "said", "kind"),
    [
        ({}, "Better than every simple model", "good"),
        ({"metrics": {"roc_auc": 0.55}}, "Below the minimum of 0.600", "bad"),
        ({"metrics": {}}, "ROC AUC is not defined on these rows", "bad"),
        ({"margins": {"constant": 0.2, "linear": -0.01}}, "No better than a linear model", "fair"),
        ({"margins": {"constant": 0.0, "linear": -0.1}}, "it has learned nothing", "bad"),
        ({"behaviours": (Rule("x", False, "no"),)}, "It does not behave as it must", "fair"),
        ({"margins": {}}, "Measured", "good"),
    ],
    ids=["good", "minimum", "undefined", "linear", "constant", "behaviour", "alone"],
)
def test_the_answer_says_whether_it_is_good(changes, said, kind):
    """In a few words, worst news first."""
    words, found = answer(replace(CARD, **changes), SETTINGS)

    assert said in words
    assert found == kind


def test_the_minimum_of_an_error_is_its_maximum():
    """Of an error, less is better."""
    settings = EvaluationSettings(metric="rmse", minimum=3.0)

    assert answer(Scorecard({"rmse": 2.0}, 10, "a"), settings)[1] == "good"
    assert answer(Scorecard({"rmse": 4.0}, 10, "a"), settings)[1] == "bad"


def test_the_headline_holds_the_metric_its_interval_and_the_gains():
    """One sentence for whoever reads no further."""
    of_error = Scorecard({"rmse": 2.0}, 10, "a", margins={"constant": -0.5})

    assert headline(CARD, SETTINGS) == (
        "ROC AUC 0.710, between 0.700 and 0.720: better by 0.210 than always the same answer, "
        "better by 0.030 than a linear model."
    )
    assert headline(of_error, EvaluationSettings(metric="rmse")) == (
        "RMSE 2.000 (lower is better): worse by 0.500 than always the same answer."
    )


def test_everything_the_scorecard_holds_stands_on_the_page(tmp_path):
    """Metrics, intervals, margins, costs, slices, gaps and behaviours."""
    text = " ".join(read(CARD, tmp_path).text.split())

    for wanted in (
        "late, binary · 12,345 rows", "0.700 to 0.720", "0.480 to 0.520", "always the same answer 0.500 +0.210",
        "a linear model 0.680 +0.030", "99 of 100 answers within 0.5 ms 310,000 rows/s", "size of the graph1.5 MB",
        "origin=EWR & temp=over 5 600 0.550 0.900", "log loss (all rows: 0.500)", "(equalised odds)0.200",
        "origin=EWR 5,000 0.660 −0.050", "origin=JFK 900 – –",  # noqa: RUF001  as tables have them
        "Fewer than two of its groups", "warm is late", "99 % of 2,000 rows do", "Scored on table abcdef01",
    ):  # fmt: skip
        assert wanted.replace(" ", "") in text.replace(" ", ""), wanted


def test_the_page_asks_nobody_for_anything_and_runs_no_script(tmp_path):
    """Every address on it is a place on the page itself, or data."""
    picture = tmp_path / "roc_curve.png"
    picture.write_bytes(b"\x89PNG")

    page = read(replace(CARD, plots=(picture,)), tmp_path)

    assert "script" not in page.tags
    assert any(address.startswith("data:image/png;base64,iVBORw") for address in page.addresses)
    assert all(address.startswith(("#", "data:image/")) for address in page.addresses)


def test_names_from_the_data_are_text_and_never_markup(tmp_path):
    """A category, a column, a behaviour and a target may hold anything."""
    evil = "<script>alert(1)</script>&\"'"
    card = replace(
        CARD,
        slices={f"origin={evil}": {"rows": 10.0, "roc_auc": 0.5}},
        found_slices={f"temp={evil}": {"rows": 10.0}},
        gaps={evil: {f"{evil}_difference": 0.1}},
        behaviours=(Rule(evil, False, evil),),
    )

    page = read(card, tmp_path, schema=replace(BINARY, target=evil))

    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>") == 8  # title, eyebrow, two slices, two of gaps, two of a rule


def test_a_card_with_next_to_nothing_has_a_page(tmp_path):
    """No metric, no slice, no picture: the sections are left out."""
    page = read(Scorecard({}, 0, ""), tmp_path, settings=EvaluationSettings(metric="rmse"), schema=VALUE)

    assert "RMSE could not be measured on 0 rows" in page.text
    assert "Declared slices" not in page.text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "0.500"), (0, "0.000"), (0.00031, "0.00031"), (1_234.56, "1,235"), (-2.5, "-2.500"), (float("nan"), "–")],  # noqa: RUF001
)
def test_figures_have_as_many_digits_as_say_something(value, shown):
    """Three decimals, or as many digits as a small or a large number needs."""
    assert figure(value) == shown


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_a_phone_and_a_desk(tmp_path, width):
    """Nothing stands out to the side, however long the names."""
    long = replace(CARD, slices={"origin=" + "x" * 200: {"rows": 5_000.0, "roc_auc": 0.66}})
    at = write_page(long, BINARY, SETTINGS, tmp_path)

    with open_page(at, width=width) as view:
        wide = view.page.evaluate("document.documentElement.scrollWidth")

    assert wide == width
    assert view.errors == []
