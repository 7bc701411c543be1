"""What was live when, and what was measured in each window."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from components.records.watching import ColumnFacts, Window, WindowFacts
from components.registry.history import (
    LiveEntry,
    live_at,
    live_history,
    log_report,
    monitoring_run,
    record_live,
    window_name,
)
from components.registry.rollbacks import roll_back
from components.registry.versions import promote
from tests.components.registry.conftest import Make

HERE = "http://127.0.0.1:3000"
APRIL = datetime(2013, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def facts(window: Window, report: str = "") -> WindowFacts:
    """What was measured in a window."""
    return WindowFacts(
        window=window,
        version=2,
        rows=1200,
        labelled_rows=900,
        drifted_columns=("temp",),
        drift_share=0.25,
        prediction_drifted=False,
        quality=0.7,
        report=report,
        columns=(ColumnFacts("temp", "number", outside=0.02), ColumnFacts("carrier", "category", unseen=0.01)),
        weighted_drift=0.4,
        expected_quality=0.69,
        label_coverage=0.75,
        p99_ms=12.5,
        failed_requests=3,
        counted=(1_000, 3),
        training_cost=0.02,
    )


def test_each_stretch_ends_when_the_next_begins(server, make: Make):
    """A version that went live, was replaced and came back stands there twice."""
    one, two = (make("lived", weight=weight).register() for weight in (1.0, 2.0))

    record_live(one, APRIL, HERE)
    record_live(two, APRIL + 7 * DAY, HERE)
    record_live(one, APRIL + 9 * DAY, HERE)

    assert live_history("lived") == [
        LiveEntry(1, APRIL, APRIL + 7 * DAY, HERE),
        LiveEntry(2, APRIL + 7 * DAY, APRIL + 9 * DAY, HERE),
        LiveEntry(1, APRIL + 9 * DAY, None, HERE),
    ]
    assert live_at("lived", APRIL - DAY) is None
    at = [live_at("lived", APRIL + days * DAY) for days in (0, 8, 100)]
    assert [entry.version for entry in at if entry] == [1, 2, 1]


def test_noting_again_that_a_version_is_live_changes_nothing(server, make: Make):
    """A repeated task, or a service that was restarted, adds no stretch."""
    version = make("noted-twice").register()
    record_live(version, APRIL, HERE)

    record_live(version, APRIL, HERE)
    record_live(version, APRIL + DAY, HERE)

    assert live_history("noted-twice") == [LiveEntry(1, APRIL, None, HERE)]


def test_two_services_have_histories_of_their_own(server, make: Make):
    """What one service does ends no stretch of another."""
    version = make("two-places").register()

    record_live(version, APRIL, HERE)
    record_live(version, APRIL + DAY, "http://127.0.0.1:3001")

    assert [(entry.service, entry.until) for entry in live_history("two-places")] == [
        (HERE, None),
        ("http://127.0.0.1:3001", None),
    ]


def test_a_move_of_the_alias_that_nobody_noted_is_in_the_history_all_the_same(server, make: Make, verdict):
    """Who promoted was killed before `release`: the endpoint follows the alias by itself, so the alias tells."""
    one, two = (make("unnoted", weight=weight).register() for weight in (1.0, 2.0))
    promote(one, verdict, at=APRIL)
    record_live(one, APRIL + SECOND, HERE)

    promote(two, verdict, at=APRIL + DAY)

    assert [(entry.version, entry.since, entry.until, entry.is_seen) for entry in live_history("unnoted")] == [
        (1, APRIL + SECOND, APRIL + DAY, True),
        (2, APRIL + DAY, None, False),
    ]
    assert {entry.service for entry in live_history("unnoted")} == {HERE}


def test_a_stretch_says_which_move_brought_it(server, make: Make, verdict):
    """A version that came back after a rollback was live twice, each time for its own reason."""
    one, two = (make("brought", weight=weight).register() for weight in (1.0, 2.0))
    for days, version in enumerate((one, two)):
        promote(version, verdict, at=APRIL + days * DAY)
        record_live(version, APRIL + days * DAY + SECOND, HERE)

    roll_back(one, who="ann", reason="alarms", at=APRIL + 2 * DAY)
    record_live(one, APRIL + 2 * DAY + SECOND, HERE)

    found = live_history("brought")
    assert [(entry.version, entry.is_seen, entry.since.second) for entry in found] == [
        (1, True, 1),
        (2, True, 1),
        (1, True, 1),
    ]
    assert [(entry.move.before, entry.move.who) for entry in found] == [(None, ""), (1, ""), (2, "ann")]
    assert found[1].move.reason == verdict.reason


def test_a_version_that_came_back_unseen_is_noted_when_it_is_seen(server, make: Make, verdict):
    """The last note names the version itself, from before it was replaced: that is no reason to leave this one out."""
    one, two = (make("came-back", weight=weight).register() for weight in (1.0, 2.0))
    promote(one, verdict, at=APRIL)
    record_live(one, APRIL + SECOND, HERE)
    promote(two, verdict, at=APRIL + DAY)
    roll_back(one, who="ann", reason="alarms", at=APRIL + 2 * DAY)

    record_live(one, APRIL + 2 * DAY + SECOND, HERE)
    record_live(one, APRIL + 3 * DAY, HERE)

    assert [(entry.version, entry.since, entry.is_seen) for entry in live_history("came-back")] == [
        (1, APRIL + SECOND, True),
        (2, APRIL + DAY, False),
        (1, APRIL + 2 * DAY + SECOND, True),
    ]


def test_a_moment_without_a_zone_is_refused(server, registered):
    """Local time is nobody's time."""
    with pytest.raises(ValueError, match="wanted a moment with its zone, found 2013-04-01T00:00:00"):
        record_live(registered[1], APRIL.replace(tzinfo=None), HERE)


def test_windows_are_logged_on_one_monitoring_run(server, tmp_path: Path):
    """Each window is a step of the same run, with its report and its figures as files."""
    report = tmp_path / "report.html"
    report.write_text("<html>déjà vu</html>", encoding="utf-8")
    first, second = (Window(APRIL + 7 * n * DAY, APRIL + 7 * (n + 1) * DAY) for n in range(2))

    log_report("watched", facts(first, str(report)))
    log_report("watched", replace(facts(second), drift_share=None, quality=0.6))
    log_report("watched", facts(first, str(report)))

    client, run_id = MlflowClient(), monitoring_run("watched")
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("monitoring", "FINISHED")
    assert len(client.search_runs([run.info.experiment_id])) == 1
    quality = client.get_metric_history(run_id, "quality")
    days = (APRIL - datetime(1970, 1, 1, tzinfo=UTC)).days
    assert [(item.step, item.value) for item in quality] == [(days + 7, 0.7), (days + 14, 0.6)]
    assert quality[0].timestamp == first.end.timestamp() * 1000
    assert [item.value for item in client.get_metric_history(run_id, "drift_share")] == [0.25]
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/reports/2013-04-01..2013-04-08.html") == "<html>déjà vu</html>"
    stored = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/windows/2013-04-08..2013-04-15.json"))
    assert (stored["quality"], stored["drifted_columns"]) == (0.6, ["temp"])


def test_every_number_of_a_window_can_be_drawn(server):
    """What later windows measure beside drift and quality stands in MLflow too, at the window's end."""
    window = Window(APRIL, APRIL + 7 * DAY)

    log_report("counted", facts(window))

    client, run_id = MlflowClient(), monitoring_run("counted")
    drawn = client.get_run(run_id).data.metrics
    wanted = {"weighted_drift": 0.4, "expected_quality": 0.69, "label_coverage": 0.75, "p99_ms": 12.5}
    wanted |= {"failed_requests": 3, "training_cost": 0.02, "unseen_share": 0.01, "outside_share": 0.02}
    assert {name: drawn[name] for name in wanted} == wanted
    assert not {"counted", "columns", "calibration_error", "reference_quality"} & set(drawn)
    assert client.get_metric_history(run_id, "p99_ms")[0].timestamp == window.end.timestamp() * 1000


def test_windows_of_one_day_have_names_of_their_own():
    """Two half days do not overwrite each other's report."""
    half = timedelta(hours=12)

    names = [window_name(Window(APRIL + n * half, APRIL + (n + 1) * half)) for n in range(2)]

    assert names == ["2013-04-01T0000..2013-04-01T1200", "2013-04-01T1200..2013-04-02T0000"]
