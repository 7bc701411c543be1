"""A window's requests are those since the endpoint was last asked, not since it was started."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.records.watching import Decision, Window, WindowFacts
from flows.folders import outbox
from flows.tasks.watching import _counted_before

DAY = timedelta(days=1)
FIRST = Window(datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 6, 2, tzinfo=UTC))


def test_counts_go_on_from_the_newest_look_at_which_the_endpoint_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever the windows' event times: an old window measured today counts as today. The same one is no earlier."""
    monkeypatch.setenv("EVERFIT_HOME", str(tmp_path))
    newest, silent = _later(2), _later(3)
    before = _counted_before("flights", FIRST)
    for window, counted in ((newest, (10, 1)), (FIRST, (25, 2)), (silent, None)):
        facts = WindowFacts(window, 1, 0, 0, counted=counted)
        outbox("flights").add(
            Decision(f"{window}", "flights", window, 1, "keep", "no, because nothing was asked", (), facts)
        )

    found = [_counted_before("flights", window) for window in (_later(4), FIRST)]

    assert before is None
    assert found == [(25, 2), (10, 1)]


def _later(days: int) -> Window:
    return Window(FIRST.start + days * DAY, FIRST.end + days * DAY)
