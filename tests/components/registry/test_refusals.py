"""Why an endpoint did not take a version stands on that version."""

from datetime import UTC, datetime, timedelta

import pytest

from components.errors import PassingFault
from components.registry.refusals import REFUSED, note_refused
from tests.components.registry.test_fetching import take_down
from tests.components.registry.test_rollbacks import bare, in_mlflow

AT = datetime(2026, 4, 2, 6, 30, tzinfo=UTC)


def test_the_newest_refusal_stands_on_the_version_with_its_time(server):
    """One tag, however often it is refused; a long reason is cut."""
    version = bare("refused")

    note_refused(version, "version 1 was not taken: no finite answer", AT)
    first = in_mlflow(version).tags[REFUSED]
    note_refused(version, "x" * 9_999, AT + timedelta(hours=1))
    second = in_mlflow(version).tags[REFUSED]

    assert first == "2026-04-02 06:30:00 UTC: version 1 was not taken: no finite answer"
    assert second.startswith("2026-04-02 07:30:00 UTC: xxx")
    assert len(second) == 500


def test_with_the_registry_down_it_can_be_tried_again(server):
    """Whoever notes it goes on without."""
    version = bare("refused-down")
    take_down()

    with pytest.raises(PassingFault, match="a place for the refusal of version 1 of refused-down"):
        note_refused(version, "a reason", AT)
