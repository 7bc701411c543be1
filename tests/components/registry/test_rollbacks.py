"""Back to an earlier version: one move of the alias, and everything else follows from it."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import ModelNotFound, ModelRefused
from components.records.models import Challenger, ModelVersion
from components.registry import challengers, versions
from components.registry.history import live_at, live_history, record_live
from components.registry.rollbacks import roll_back, target
from components.registry.stories import DESCRIPTION_CHARACTERS
from components.registry.thresholds import in_force, keep
from components.registry.tracking import experiment_id
from components.settings.monitoring import MonitoringSettings

HERE = "http://127.0.0.1:3000"
AT = datetime(2013, 4, 2, 6, 30, tzinfo=UTC)
DAY = timedelta(days=1)
WHY = {"who": "ann@desk", "reason": "too many alarms"}


def bare(name: str) -> ModelVersion:
    """A version that MLflow knows and that has no files: 20 ms, where a whole one takes a second."""
    client = MlflowClient()
    run = client.create_run(experiment_id(name)).info.run_id
    with suppress(MlflowException):
        client.create_registered_model(name)
    made = client.create_model_version(
        name, f"runs:/{run}/model", run, tags={"sha256": run * 2}, description="**Why:** test", await_creation_for=0
    )
    return ModelVersion(name, int(made.version), run, run * 2)


def promoted(name: str, verdict, count: int = 3) -> list[ModelVersion]:
    """Versions of which each took over from the one before, a day apart; the last is champion."""
    made = [bare(name) for _ in range(count)]
    for number, version in enumerate(made):
        versions.promote(version, verdict, at=AT + number * DAY)
    return made


def in_mlflow(version: ModelVersion):
    """MLflow's own record of the version."""
    return MlflowClient().get_model_version(version.name, str(version.version))


def everything(name: str) -> list[tuple[object, ...]]:
    """All that a rollback may change."""
    return [(v.version, in_mlflow(v).tags, in_mlflow(v).description) for v in versions.versions(name)] + [
        (versions.champion(name), versions.moves(name), live_history(name))
    ]


def test_a_rollback_is_told_by_both_versions(server, verdict):
    """The alias moves to the champion before; who, why, when, from and to stand in tags and on top of both stories."""
    _, second, third = promoted("told", verdict)

    move = roll_back(target("told"), at=AT + 5 * DAY, **WHY)

    assert versions.champion("told") == second
    assert (move.version, move.before, move.who, move.reason) == (2, 3, "ann@desk", "too many alarms")
    tags = in_mlflow(third).tags
    found = [tags[f"rolled_back_{name}"] for name in ("at", "by", "reason", "to")]
    assert found == ["2013-04-07T06:30:00+00:00", "ann@desk", "too many alarms", "2"]
    tags = in_mlflow(second).tags
    found = [tags[f"restored_{name}"] for name in ("at", "by", "reason", "from")]
    assert found == ["2013-04-07T06:30:00+00:00", "ann@desk", "too many alarms", "3"]
    top = "- **Rolled back** from this version to 2 on 2013-04-07 06:30:00 UTC by ann@desk: too many alarms\n\n"
    story = in_mlflow(third).description
    assert story.startswith(top)
    assert "**Promoted** on 2013-04-04" in story
    assert "- **Rolled back** to this version from 3 on" in in_mlflow(second).description
    assert [(m.version, m.is_rollback) for m in versions.moves("told")] == [
        (1, False),
        (2, False),
        (3, False),
        (2, True),
    ]


def test_doing_it_twice_changes_nothing(server, verdict):
    """A repeated rollback, with its number or without, neither moves on nor writes anything anew."""
    promoted("twice", verdict)
    roll_back(target("twice"), at=AT + 5 * DAY, **WHY)
    before = everything("twice")

    again = [roll_back(target("twice", number), at=AT + 6 * DAY, who="bob", reason="other") for number in (None, 2)]

    assert again == [None, None]
    assert everything("twice") == before


def test_a_named_version_is_gone_back_to_and_forth(server, verdict):
    """--to skips versions, also forward again to the one that was left; every move stays in the record."""
    first, _, third = promoted("to-and-fro", verdict)

    roll_back(target("to-and-fro", 1), at=AT + 5 * DAY, **WHY)
    back = versions.champion("to-and-fro")
    roll_back(target("to-and-fro", 3), at=AT + 6 * DAY, who="bob", reason="it was the sensor")

    assert (back, versions.champion("to-and-fro")) == (first, third)
    assert [(move.before, move.version) for move in versions.moves("to-and-fro")[-2:]] == [(3, 1), (1, 3)]
    story = in_mlflow(third).description.splitlines()
    assert story[0].endswith("by bob: it was the sensor")
    assert story[1].endswith("by ann@desk: too many alarms")


def test_after_a_later_promotion_the_version_rolled_back_from_is_skipped(server, verdict):
    """The champion before is the one that really was champion then, not the one with the next lower number."""
    promoted("skipped", verdict, count=2)
    roll_back(target("skipped"), at=AT + 5 * DAY, **WHY)
    versions.promote(bare("skipped"), verdict, at=AT + 6 * DAY)

    assert target("skipped").version == 1


@pytest.mark.parametrize("step", ["the note", "the alias", "the first word", "the last word"])
def test_a_rollback_cut_off_before_any_step_is_fully_old_or_fully_new(server, verdict, monkeypatch, step):
    """Before the alias moved nothing has happened; after it, all is known; doing it again completes both."""
    name = f"cut-off-{step.replace(' ', '-')}"
    first, second = promoted(name, verdict, count=2)
    record_live(first, AT, HERE)
    record_live(second, AT + DAY, HERE)
    method, calls = {
        "the note": ("set_model_version_tag", 0),
        "the alias": ("set_registered_model_alias", 0),
        "the first word": ("set_model_version_tag", 1),
        "the last word": ("update_model_version", 1),
    }[step]
    with monkeypatch.context() as patch:
        _cut(patch, method, calls)
        with pytest.raises(KeyboardInterrupt):
            roll_back(first, at=AT + 5 * DAY, **WHY)

    is_new = step in {"the first word", "the last word"}
    champion = versions.champion(name)
    assert champion == (first if is_new else second)
    assert live_at(name, AT + 6 * DAY).version == champion.version
    assert len(versions.moves(name)) == (3 if is_new else 2)

    roll_back(target(name, 1), at=AT + 7 * DAY, **WHY)

    when = AT + (5 if is_new else 7) * DAY
    assert versions.champion(name) == first
    assert [(m.at, m.version) for m in versions.moves(name)] == [(AT, 1), (AT + DAY, 2), (when, 1)]
    assert in_mlflow(second).tags["rolled_back_at"] == when.isoformat()
    assert in_mlflow(second).description.startswith("- **Rolled back** from this version to 1")
    assert [(e.version, e.since, e.until, e.is_seen) for e in live_history(name)] == [
        (1, AT, AT + DAY, True),
        (2, AT + DAY, when, True),
        (1, when, None, False),
    ]


def test_a_version_that_was_rolled_back_is_not_promoted_again_by_a_repeated_task(server, verdict):
    """A promotion whose answer got lost is tried again by Prefect; a rollback in between stands."""
    first, second = promoted("repeated", verdict, count=2)
    roll_back(target("repeated"), at=AT + 5 * DAY, **WHY)
    before = everything("repeated")

    with pytest.raises(ModelRefused, match=r"promote version 2 .* ann@desk rolled back from it to version 1 .*--to 2"):
        versions.promote(second, verdict, at=AT + 6 * DAY)

    assert everything("repeated") == before
    assert versions.champion("repeated") == first


def test_a_challenger_trained_meanwhile_may_still_take_over(server, verdict):
    """A rollback keeps one version out, not those that come after it."""
    promoted("meanwhile", verdict, count=2)
    challenger = bare("meanwhile")
    roll_back(target("meanwhile"), at=AT + 5 * DAY, **WHY)

    versions.promote(challenger, verdict, at=AT + 6 * DAY)

    assert versions.champion("meanwhile") == challenger
    assert in_mlflow(challenger).tags["took_over_from"] == "1"


def test_without_an_earlier_version_there_is_nothing_to_go_back_to(server, verdict):
    """The first champion, and a model without any, are refused with what can be done."""
    promoted("only-one", verdict, count=1)

    with pytest.raises(
        ModelNotFound, match=r"champion of only-one before version 1, found that there was none; no other .*train"
    ):
        target("only-one")
    with pytest.raises(ModelNotFound, match=r"wanted to roll back the champion of nobody .*has none; make one"):
        target("nobody")
    with pytest.raises(ModelNotFound, match=r"wanted version 9 of only-one .*found versions 1"):
        target("only-one", 9)


def test_a_version_that_no_verdict_let_live_is_refused(server, verdict, rejection):
    """Rejected or never judged: the message says which, why, and what may be named instead."""
    promoted("unfit", verdict, count=2)
    versions.reject(bare("unfit"), rejection)
    bare("unfit")

    with pytest.raises(ModelRefused, match=r"found reject \(roc_auc 0.68 is below 0.70\); name one .*--to: 1, 2$"):
        roll_back(target("unfit", 3), at=AT + 5 * DAY, **WHY)
    with pytest.raises(ModelRefused, match="version 4 of unfit with the verdict promote, found that it was never"):
        roll_back(target("unfit", 4), at=AT + 5 * DAY, **WHY)
    assert versions.champion("unfit").version == 2


def test_a_champion_set_by_hand_can_be_rolled_back_too(server, verdict):
    """Who moved the alias in MLflow's own page left no note: the champion before is the last that has one."""
    promoted("by-hand", verdict, count=2)
    stray = bare("by-hand")
    MlflowClient().set_registered_model_alias("by-hand", "champion", str(stray.version))

    found = target("by-hand")
    roll_back(found, at=AT + 5 * DAY, **WHY)

    assert found.version == 2
    assert [(move.before, move.version) for move in versions.moves("by-hand")] == [(None, 1), (1, 2), (3, 2)]


def test_a_reason_of_many_lines_stays_one_line_and_the_story_fits(server, verdict):
    """What a person types breaks neither tag nor description, and telling it again adds nothing."""
    _, second = promoted("wordy", verdict, count=2)

    roll_back(target("wordy"), at=AT + 5 * DAY, who="ann", reason="déjà\nvu " * 400)
    told = in_mlflow(second).description
    roll_back(target("wordy"), at=AT + 5 * DAY, who="ann", reason="")

    assert len(told) <= DESCRIPTION_CHARACTERS
    assert told.splitlines()[0].startswith("- **Rolled back** from this version to 1 on")
    assert "déjà vu" in told.splitlines()[0]
    assert told == in_mlflow(second).description


LOOSE, TIGHT = (MonitoringSettings(drift_threshold=effect) for effect in (0.3, 0.05))


@pytest.mark.parametrize(
    ("step", "method", "calls"),
    [
        ("the thresholds", "set_model_version_tag", 0),
        ("the note", "set_model_version_tag", 1),
        ("the alias", "set_registered_model_alias", 0),
        ("the challenger's end", "set_model_version_tag", 2),
        ("the challenger's alias", "delete_registered_model_alias", 0),
        ("the first word", "set_model_version_tag", 3),
    ],
)
def test_challenger_and_thresholds_go_with_the_alias_wherever_it_is_cut_off(
    server, verdict, monkeypatch, step, method, calls
):
    """Until the alias moves the challenger runs and the file's thresholds hold; from then on neither, in one step."""
    name = f"all-{calls}-{method.replace('_', '-')}"
    first, second = promoted(name, verdict, count=2)
    third = bare(name)
    keep(first, LOOSE)
    keep(second, TIGHT)
    challengers.put(Challenger(third, "canary", 0.05, 0, AT + 4 * DAY, champion=second.version))
    with monkeypatch.context() as patch:
        _cut(patch, method, calls)
        with pytest.raises(KeyboardInterrupt):
            roll_back(first, at=AT + 5 * DAY, settings=TIGHT, **WHY)

    champion = versions.champion(name)
    running = challengers.challenger(name)
    is_new = step in {"the challenger's end", "the challenger's alias", "the first word"}
    assert champion == (first if is_new else second)
    assert bool(running and running.challenges(champion)) is not is_new
    assert in_force(champion, TIGHT).drift_threshold == (0.3 if is_new else 0.05)

    roll_back(first, at=AT + 6 * DAY, settings=TIGHT, **WHY)

    assert versions.champion(name) == first
    assert in_force(first, TIGHT).drift_threshold == 0.3
    assert challengers.challenger(name) is None
    ended = challengers.episodes(name)[-1]
    assert (ended.version, ended.ending, ended.who) == (3, "rolled back", "ann@desk")
    assert ended.reason == "rolled back to version 1: too many alarms"


TRIALS = 12
PROGRAM = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from components.registry import rollbacks, tracking
from components.settings.environment import Environment
from components.settings.monitoring import MonitoringSettings

settings = MonitoringSettings(drift_threshold=float(sys.argv[3]))
tracking.connect(Environment(home=Path(sys.argv[1]), tracking_uri=sys.argv[2]))
for line in sys.stdin:  # each rollback in a process of its own, forked from here: the imports take two seconds
    if child := os.fork():
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)
    else:
        to = rollbacks.target("killed", int(line))
        rollbacks.roll_back(to, who="ann", reason="trial", at=datetime.now(UTC), settings=settings)
        os._exit(0)
"""


@pytest.mark.slow
def test_a_rollback_killed_at_any_moment_is_fully_old_or_fully_new(server, verdict):
    """kill -9 at moments from its first to its last: all agree with the alias, and the next one completes the rest."""
    first, second = promoted("killed", verdict, count=2)
    third = bare("killed")
    for version in (first, second):
        keep(version, LOOSE)
    command = [sys.executable, "-c", PROGRAM, str(server.home), str(server.tracking_uri), "0.05"]
    dice, ends = random.Random(7), {"old": 0, "new": 0}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert _killed(program, first, None) > 0  # waits for the imports
        whole = _killed(program, second, None)
        for slot in range(TRIALS):
            old = versions.champion("killed")
            new = first if old == second else second
            past = versions.moves("killed")
            keep(old, LOOSE.model_copy(update={"drift_threshold": 0.2}))
            challengers.put(Challenger(third, "canary", 0.05, 0, datetime.now(UTC), champion=old.version))
            _killed(program, new, whole * (slot + dice.random()) / TRIALS)

            champion, moves = versions.champion("killed"), versions.moves("killed")
            assert champion in {old, new}
            assert moves[:-1] == past if champion == new else moves == past
            assert moves[-1].version == champion.version
            assert live_at("killed", datetime.now(UTC)).version == champion.version
            running = challengers.challenger("killed")
            assert bool(running and running.challenges(champion)) is (champion == old)
            assert in_force(new, TIGHT).drift_threshold in ({0.3, 0.2} if champion == new else {0.3, 0.2, 0.05})
            ends["new" if champion == new else "old"] += 1

            roll_back(target("killed", new.version), at=datetime.now(UTC), settings=TIGHT, **WHY)
            assert challengers.challenger("killed") is None
            assert in_force(new, TIGHT).drift_threshold in {0.3, 0.2}
            assert versions.champion("killed") == new
            assert len(versions.moves("killed")) == len(past) + 1
            newest = versions.moves("killed")[-1].at.isoformat()
            assert in_mlflow(old).tags["rolled_back_at"] == in_mlflow(new).tags["restored_at"] == newest
        program.stdin.close()
    print(f"killed rollbacks: {ends}; a whole one takes {whole:.2f} s")
    assert min(ends.values()) > 0, ends


def _killed(program: subprocess.Popen, to: ModelVersion, seconds: float | None) -> float:
    """A rollback that is killed after so many seconds, or never; how long it lived."""
    begun = time.perf_counter()
    program.stdin.write(f"{to.version}\n")
    program.stdin.flush()
    child = int(program.stdout.readline())
    if seconds is not None:
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # it was faster
            os.kill(child, signal.SIGKILL)
    assert program.stdout.readline() == "ended\n"
    return time.perf_counter() - begun


def _cut(patch: pytest.MonkeyPatch, method: str, calls: int) -> None:
    """The client's method works so many times, then the process is interrupted before it does anything."""
    real, left = getattr(MlflowClient, method), [calls]

    def interrupted(*args: object, **kwargs: object) -> object:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*args, **kwargs)

    patch.setattr(MlflowClient, method, interrupted)
