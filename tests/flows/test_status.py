"""What was decided can be read in a narrow terminal."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from components.records.watching import WindowFacts
from components.settings.reading import load_project
from flows.folders import outbox
from flows.status import decision_table
from flows.tasks import watching
from tests.components.monitoring.weeks import drifted

PROJECT = Path(__file__).parents[2] / "deploy" / "projects" / "flight-delays.yaml"
AT = datetime(2013, 5, 8, tzinfo=UTC)


def _decided(facts: WindowFacts) -> str:
    return watching.decide.fn(load_project(PROJECT), facts).id


def test_decisions_tell_verdict_trigger_reason_and_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """At 60 characters: no line is cut, and the reason has most of the width."""
    monkeypatch.setenv("EVERFIT_HOME", str(tmp_path))
    first = _decided(drifted(0, quality=0.6))
    box = outbox("flight-delays")
    box.claim(first, "run", AT)
    box.finish(first, "promote", "0.0100 better", 2)
    _decided(drifted(1, quality=0.6))

    decision_table(PROJECT, Console(width=60, highlight=False))

    lines = capsys.readouterr().out.splitlines()
    told = " ".join("".join(line.strip("│┃").split("│")[-1:]).strip() for line in lines)
    assert max(len(line) for line in lines) <= 60
    assert "retrain" in lines[4]
    assert "by quality" in lines[5]
    assert "yes, because in 2013-05-01..2013-05-08 roc_auc was 0.6000" in told
    assert "done, promote: 0.0100 better" in told
    assert "because the last retraining was asked for 7 days ago (2013-05-08), and it rests 14 days" in told
