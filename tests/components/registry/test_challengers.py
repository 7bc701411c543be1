"""The alias `challenger`: a version is on its way to be champion, step by step, and how it ended is known."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from components.errors import ModelRefused
from components.records.models import Challenger, ModelVersion
from components.registry import challengers, versions
from components.registry.challengers import STATE, challenger, clear, episodes, put
from tests.components.registry.test_rollbacks import bare, in_mlflow, promoted

AT = datetime(2013, 4, 2, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def canary(version: ModelVersion, step: int = 0, *, hours: float | None = None, champion: int | None = 1) -> Challenger:
    """The version at a step of a canary, which began so many hours after the first."""
    share = (0.05, 0.25, 0.5)[step]
    return Challenger(version, "canary", share, step, AT + (step if hours is None else hours) * HOUR, champion)


def test_a_challenger_is_read_as_it_was_put(server, verdict):
    """Version, variant, share, step, time and champion come back; the champion's alias does not move."""
    first, second = promoted("put", verdict, count=1)[0], bare("put")
    before = challenger("put")

    put(canary(second))

    assert before is None
    assert challenger("put") == canary(second)
    assert versions.champion("put") == first
    assert challenger("no-such-model") is None


def test_steps_end_and_reason_are_known_afterwards(server, verdict):
    """Two steps and an abort: nobody is challenger, and the episode tells what it was when, and why it ended."""
    promoted("ended", verdict, count=1)
    second = bare("ended")
    put(canary(second))
    put(canary(second, 1))
    running = episodes("ended")

    ended = clear(second, "3 of 100 requests failed", AT + 2 * HOUR)

    assert challenger("ended") is None
    assert running == [challengers.Episode(2, (canary(second), canary(second, 1)))]
    found = replace(running[0], until=AT + 2 * HOUR, ending="aborted", reason="3 of 100 requests failed")
    assert episodes("ended") == [ended] == [found]
    top = "- **Challenger aborted** as canary of 25%, step 1, on 2013-04-02 08:30:00 UTC: 3 of 100 requests failed\n\n"
    assert in_mlflow(second).description.startswith(top)


def test_putting_or_clearing_again_changes_nothing(server, verdict):
    """A task that is repeated after a fault leaves tags, description and alias as they are."""
    promoted("again-put", verdict, count=1)
    second = bare("again-put")
    put(canary(second))
    put(canary(second))
    once = episodes("again-put")
    clear(second, "slow", AT + HOUR)
    before = in_mlflow(second)

    again = clear(second, "other", AT + 2 * HOUR)

    assert len(once) == 1
    assert again is None
    assert (in_mlflow(second).tags, in_mlflow(second).description) == (before.tags, before.description)


def test_a_newer_challenger_replaces_the_older_one(server, verdict):
    """The alias moves to the newer one, and the older says which one replaced it."""
    promoted("replaced", verdict, count=1)
    second, third = bare("replaced"), bare("replaced")
    put(canary(second))

    put(canary(third, hours=1))

    assert challenger("replaced").version == third
    assert [(e.version, e.ending, e.reason) for e in episodes("replaced")] == [
        (2, "replaced", "version 3 is the challenger now"),
        (3, "", ""),
    ]
    assert "**Challenger replaced** as canary" in in_mlflow(second).description


def test_a_step_of_a_challenger_that_was_cleared_meanwhile_is_refused(server, verdict):
    """Who aborts while a step is under way is not overruled by it."""
    promoted("overruled", verdict, count=1)
    second = bare("overruled")
    put(canary(second))
    clear(second, "a person said so", AT + HOUR, who="ann")

    with pytest.raises(ModelRefused, match=r"wanted step 1 of version 2 of overruled .* found none .* step 0"):
        put(canary(second, 1))

    assert challenger("overruled") is None
    assert [(e.ending, e.who, len(e.steps)) for e in episodes("overruled")] == [("aborted", "ann", 1)]


def test_a_challenger_counts_only_against_the_champion_it_was_judged_against(server, verdict):
    """Another champion, or itself as champion, ends it in the moment that alias moves."""
    first, other = promoted("void", verdict, count=2)
    third = bare("void")

    running = canary(third, champion=other.version)

    assert running.challenges(other)
    assert not running.challenges(first)
    assert not running.challenges(third)


def test_an_alias_that_someone_set_by_hand_is_refused(server, verdict):
    """Without a step nobody knows how much it may answer."""
    promoted("by-hand-challenger", verdict, count=1)
    MlflowClient().set_registered_model_alias("by-hand-challenger", "challenger", "1")

    with pytest.raises(ModelRefused, match=rf"{STATE}, found version 1 without it.*remove the alias"):
        challenger("by-hand-challenger")


CUTS = [
    ("begin", "set_model_version_tag"),
    ("begin", "set_registered_model_alias"),
    ("begin", "update_model_version"),
    ("step", "set_model_version_tag"),
    ("end", "set_model_version_tag"),
    ("end", "delete_registered_model_alias"),
    ("end", "update_model_version"),
]


@pytest.mark.parametrize(("what", "method"), CUTS)
def test_what_is_cut_off_before_any_write_is_fully_old_or_fully_new(server, verdict, monkeypatch, what, method):
    """Begin (in place of an older one), step and end, stopped before each write; doing it again completes it."""
    calls = 0
    while True:
        name = f"cut-{what}-{method.replace('_', '-')}-{calls}"
        promoted(name, verdict, count=1)
        older, second = bare(name), bare(name)
        put(canary(older if what == "begin" else second))
        old = challenger(name)
        new = {"begin": canary(second, hours=1), "step": canary(second, 1), "end": None}[what]
        with monkeypatch.context() as patch:
            was_cut = _cut_after(patch, method, calls)
            with suppress(KeyboardInterrupt):
                _act(new, second)
        found = challenger(name)

        assert found in {old, new}
        running = [(e.version, e.steps[-1]) for e in episodes(name) if not e.ending]
        assert running == ([(found.version.version, found)] if found else [])

        _act(new, second)

        assert challenger(name) == new
        assert [e.steps[-1] for e in episodes(name) if not e.ending] == ([new] if new else [])
        if what != "step":
            assert "**Challenger" in in_mlflow(older if what == "begin" else second).description
        if not was_cut:
            break
        calls += 1
    assert calls > 0


def _act(new: Challenger | None, version: ModelVersion) -> None:
    """Put the challenger, or end it."""
    if new is not None:
        put(new)
    else:
        clear(version, "slow", AT + 2 * HOUR)


def _cut_after(patch: pytest.MonkeyPatch, method: str, calls: int) -> list[bool]:
    """The client's method works so many times, then the process is interrupted before it does anything; filled then."""
    real, left, was_cut = getattr(MlflowClient, method), [calls], []

    def interrupted(*args: object, **kwargs: object) -> object:
        if not left[0]:
            was_cut.append(True)
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*args, **kwargs)

    patch.setattr(MlflowClient, method, interrupted)
    return was_cut
