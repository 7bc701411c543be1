"""What the registry says of a version is kept in the cache, so that a service tells it without asking."""

from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest

from components.errors import PassingFault
from components.records.models import ModelVersion
from components.registry import versions
from components.registry.fetching import fetch
from components.registry.standings import note_standing, read_standing
from tests.components.registry.conftest import Make

AT = datetime(2013, 4, 2, 6, 30, tzinfo=UTC)


def test_verdict_and_scorecard_are_told_from_the_cache(server, make: Make, verdict, tmp_path: Path):
    """Outcome, reason, rules and since when; the metric that decided, with its interval and what it rests on."""
    version = make("standing").register()
    folder = fetch(version, tmp_path).graph.parent
    unknown = read_standing(folder)
    note_standing(version, tmp_path)
    unjudged = read_standing(folder)
    versions.promote(version, verdict, at=AT)

    note_standing(version, tmp_path)

    known = read_standing(folder)
    assert unknown == {"verdict": None, "scorecard": None}
    assert unjudged["verdict"] is None
    assert unjudged["scorecard"]["rows"] == known["scorecard"]["rows"] > 0
    assert (known["verdict"]["outcome"], known["verdict"]["promoted_at"]) == ("promote", AT.isoformat())
    assert known["verdict"]["reason"] == verdict.reason
    assert known["verdict"]["rules"] == [{"name": "minimum", "passed": True, "detail": "wanted 0.65, found 0.712"}]
    card = known["scorecard"]
    assert card["metric"] == verdict.metric
    assert card["low"] <= card["value"] <= card["high"]
    assert card["metrics"][verdict.metric] == card["value"]
    assert fetch(version, tmp_path).graph.parent == folder  # the file beside them is no change of the version's files


def test_what_cannot_be_read_is_unknown(tmp_path: Path):
    """A damaged note costs the note."""
    for text in ("{", "[1]", ""):
        (tmp_path / "standing.json").write_text(text)

        assert read_standing(tmp_path) == {"verdict": None, "scorecard": None}


def test_a_registry_that_is_down_may_be_asked_again(server, tmp_path: Path):
    """Nothing is kept then."""
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.set_registry_uri("http://127.0.0.1:9")

    with pytest.raises(PassingFault, match="verdict and scorecard of version 3 of standing"):
        note_standing(ModelVersion("standing", 3, "0" * 32, "a" * 64), tmp_path)

    assert list(tmp_path.iterdir()) == []
