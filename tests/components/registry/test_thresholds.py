"""Thresholds belong to a version: a rollback brings them back, an edit of the project file holds at once."""

from datetime import UTC, datetime, timedelta

from components.registry import thresholds, versions
from components.registry.rollbacks import roll_back
from components.registry.thresholds import in_force, keep
from components.settings.monitoring import MonitoringSettings, TriggerSettings
from tests.components.registry.conftest import Make
from tests.components.registry.test_rollbacks import WHY, in_mlflow, promoted

AT = datetime(2013, 4, 2, 6, 30, tzinfo=UTC)
DAY = timedelta(days=1)
LOOSE = MonitoringSettings(drift_threshold=0.3, trigger=TriggerSettings(min_rows=50))
TIGHT = MonitoringSettings(drift_threshold=0.05, window=timedelta(days=3), trigger=TriggerSettings(min_rows=900))
EDITED = TIGHT.model_copy(update={"drift_threshold": 0.08})


def test_the_files_thresholds_hold_while_the_alias_goes_forward(server, verdict):
    """An edit holds at once, for whichever version is champion."""
    first, second = promoted("forward", verdict, count=2)
    keep(first, LOOSE)
    keep(second, LOOSE)

    found = [in_force(version, TIGHT) for version in (first, second)]

    assert found == [TIGHT, TIGHT]


def test_after_a_rollback_the_versions_own_thresholds_hold_until_the_files_change(server, verdict):
    """Those that held when it was last champion come back; what is no threshold stays as the file says."""
    first, second = promoted("back", verdict, count=2)
    keep(first, LOOSE)
    keep(second, TIGHT)

    roll_back(first, at=AT + 5 * DAY, settings=TIGHT, **WHY)
    back = in_force(first, TIGHT)
    keep(first, TIGHT)
    still = in_force(first, TIGHT)
    edited = in_force(first, EDITED)
    keep(first, EDITED)
    reverted = in_force(first, TIGHT)

    assert (back.drift_threshold, back.trigger) == (0.3, LOOSE.trigger)
    assert back.window == timedelta(days=3)
    assert still == back
    assert edited == EDITED
    assert reverted == TIGHT


def test_forward_again_brings_the_other_ones_back(server, verdict):
    """The version that was left keeps its own, too."""
    first, second = promoted("forth", verdict, count=2)
    keep(first, LOOSE)
    keep(second, TIGHT)
    roll_back(first, at=AT + 5 * DAY, settings=TIGHT, **WHY)
    keep(first, EDITED)

    roll_back(second, at=AT + 6 * DAY, settings=EDITED, **WHY)

    assert in_force(second, EDITED) == TIGHT.model_copy(update={"window": EDITED.window})


def test_a_version_is_registered_with_the_thresholds_it_was_made_with(server, make: Make, verdict):
    """One that was never watched has some all the same; one from before has none, and the file's hold."""
    made = make("born")
    version, old = made.register(), promoted("from-before", verdict, count=1)[0]

    thresholds.overrule(version, TIGHT)
    differs = thresholds.overrule(old, TIGHT)

    assert in_force(version, TIGHT).trigger == made.project.monitoring.trigger != TIGHT.trigger
    assert not differs
    assert in_force(old, TIGHT) == TIGHT


def test_thresholds_mean_nothing_before_the_alias_moved(server, verdict, monkeypatch):
    """Cut off between them and the alias, the old champion is measured as ever."""
    first, second = promoted("half-way", verdict, count=2)
    keep(first, LOOSE)
    keep(second, TIGHT)

    thresholds.overrule(first, TIGHT)

    assert versions.champion("half-way") == second
    assert in_force(second, TIGHT) == TIGHT
    assert thresholds.THRESHOLDS in in_mlflow(first).tags


def test_a_note_from_before_a_threshold_existed_still_knows_the_file_it_overrules():
    """The digests of files that do not name it are those of the first notes, pinned here; naming it changes them."""
    named = TIGHT.model_copy(update={"trigger": TriggerSettings(min_rows=900, weighted_drift=0.5)})
    fewer = TIGHT.model_copy(update={"false_discoveries": 0.01})

    assert thresholds.digest(TIGHT) == "02d61a0436acfd9dc9ee581923500d792c30151a213a0a55defb7ac8538df445"
    assert len({thresholds.digest(each) for each in (TIGHT, named, fewer)}) == 3
