"""The demo, whole: a year of flights through the real servers, and the figures it must reach.

It takes minutes, so it stands behind the marker `demo`: `pytest -m demo`. CI runs it after the other tests.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser import open_page

pytestmark = [pytest.mark.demo, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo that has run to its end."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "flows", "demo", "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2300, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def summary(output: Path) -> dict[str, Any]:
    """What it wrote down."""
    return json.loads((output / "summary.json").read_text())


def test_no_request_failed_and_every_row_is_logged(summary: dict[str, Any]):
    """Through all swaps no request failed, and the ledger holds each row that was sent, once."""
    assert summary["failed_requests"] == 0, summary["failures"]
    assert summary["requests"] > 4000
    assert summary["predictions_logged"] == summary["rows_sent"] > 220_000
    assert summary["labels_joined"] > 215_000


def test_every_window_has_a_report_and_a_decision_with_its_reason(summary: dict[str, Any]):
    """Each window was measured and decided, also where nothing followed."""
    assert summary["windows"] == len(summary["decisions"]) == summary["reports"]
    assert all(decision["reason"] for decision in summary["decisions"])
    assert {"retrain", "keep"} <= {decision["verdict"] for decision in summary["decisions"]}


def test_every_retraining_has_a_reason_and_every_promotion_its_numbers(summary: dict[str, Any]):
    """Nothing was retrained without a reason, nothing promoted without a comparison on the same rows."""
    asked = [decision for decision in summary["decisions"] if decision["verdict"] == "retrain"]
    promoted = [decision for decision in asked if decision["outcome"] == "promote"]

    assert len(asked) == summary["retrainings"]
    assert all("drift" in decision["reason"] or "roc_auc" in decision["reason"] for decision in asked)
    assert len(promoted) == summary["promotions"] >= 1
    assert all("on the same" in decision["outcome_detail"] for decision in promoted)
    assert all("interval" in decision["outcome_detail"] for decision in promoted)


def test_the_first_model_is_not_a_toy(summary: dict[str, Any]):
    """Left alone it reaches 0.690, near the 0.693 of 300 boosted trees on the same rows."""
    assert summary["auc_static"] >= 0.690


def test_the_loop_is_worth_its_work(summary: dict[str, Any]):
    """The loop's mean monthly AUC is at least 0.015 above the first model's."""
    assert summary["auc_loop"] - summary["auc_static"] >= 0.015


def test_the_page_of_the_loop_shows_it(output: Path):
    """loop.html stands alone, draws its charts, and has no error in the console."""
    with open_page(output / "loop.html") as view:
        view.page.locator(".js-plotly-plot").first.wait_for()

        assert "flight-delays" in view.text
        assert view.page.locator(".js-plotly-plot").count() >= 2
        assert view.errors == []


def test_nothing_of_the_stack_is_left(output: Path):
    """Without --keep the servers are gone when the demo has ended."""
    assert not (output / "home" / "run" / "stack.json").exists()
