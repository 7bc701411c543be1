"""Which versions there are, which is the champion, and how one becomes it."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import mlflow
import pytest
from mlflow import MlflowClient

from components.errors import ModelNotFound, ModelRefused, PassingFault
from components.registry import versions
from components.registry.stories import DESCRIPTION_CHARACTERS
from tests.components.registry.conftest import Make

AT = datetime(2013, 4, 2, 6, 30, tzinfo=UTC)


def tags(version) -> dict[str, str]:
    """The version's tags."""
    return MlflowClient().get_model_version(version.name, str(version.version)).tags


def test_there_is_no_champion_of_a_model_that_does_not_exist(server):
    """Before the first training there is no champion, and that is no error."""
    assert versions.champion("nothing-here") is None
    assert versions.versions("nothing-here") == []


def test_a_version_becomes_champion_with_its_reasons(server, make: Make, verdict, rejection):
    """The first is promoted, the second rejected, the third takes over: alias, tags, verdict and description agree."""
    first, second, third = (make("contest", weight=weight).register() for weight in (1.0, 2.0, 3.0))
    assert versions.champion("contest") is None

    versions.promote(first, verdict, at=AT)
    versions.reject(second, rejection)
    versions.promote(third, verdict, at=AT)

    assert versions.champion("contest") == third
    assert versions.versions("contest") == [first, second, third]
    assert tags(first)["outcome"] == "promote"
    assert "took_over_from" in tags(first)
    assert tags(second)["outcome"] == "reject"
    assert tags(second)["verdict"] == "roc_auc 0.68 is below 0.70"
    assert "promoted_at" not in tags(second)
    assert tags(third)["took_over_from"] == "1"
    assert tags(third)["promoted_at"] == AT.isoformat()
    assert tags(third)["candidate_roc_auc"] == "0.712"
    assert tags(third)["difference"] == "+0.0040 to +0.0200"
    story = MlflowClient().get_model_version("contest", "3").description
    assert "**Promoted** on 2013-04-02 06:30 UTC: roc_auc 0.712 is above the minimum 0.65" in story
    assert "- held minimum: wanted 0.65, found 0.712" in story
    stored = json.loads(mlflow.artifacts.load_text(f"runs:/{third.run_id}/verdict.json"))
    assert stored["rules"] == [{"name": "minimum", "passed": True, "detail": "wanted 0.65, found 0.712"}]


def test_a_verdict_reads_back_as_it_was_stored(server, make: Make, verdict):
    """Whoever asks for the verdict gets every number and rule; a version that was not judged has none."""
    version = make("read-back").register()

    before = versions.read_verdict(version)
    versions.promote(version, verdict, at=AT)

    assert before is None
    assert versions.read_verdict(version) == verdict


def test_a_verdict_without_a_measurement_reads_back_too(server, make: Make, rejection):
    """A candidate that could not answer has no value: NaN for us, null in the file, which stays plain JSON."""
    version = make("unmeasured").register()

    versions.reject(version, replace(rejection, candidate=math.nan))

    stored = mlflow.artifacts.load_text(f"runs:/{version.run_id}/verdict.json")
    assert json.loads(stored, parse_constant=pytest.fail)["candidate"] is None
    assert math.isnan(versions.read_verdict(version).candidate)


def test_a_version_is_named_by_number_or_as_the_champion(server, make: Make, verdict):
    """NAME/1 and models:/NAME/1 name a version, NAME and NAME@champion the one that has the alias."""
    first, second = (make("named", weight=weight).register() for weight in (1.0, 2.0))
    versions.promote(second, verdict, at=AT)

    assert versions.named("named/1") == versions.named("models:/named/1") == first
    assert versions.named("named") == versions.named("named@champion") == second


@pytest.mark.parametrize("text", ["", "nobody", "nobody/1", "named@newest", "named/three", "a/b/c"])
def test_a_text_that_names_no_version_says_how_to_name_one(server, text):
    """The message says what can be named."""
    with pytest.raises(ModelNotFound, match=r"NAME/3|found (no|versions)"):
        versions.named(text)


def test_promoting_again_changes_nothing(server, make: Make, verdict):
    """A promotion that is repeated after a fault leaves the first one's time and predecessor as they are."""
    first, second = (make("again", weight=weight).register() for weight in (1.0, 2.0))
    versions.promote(first, verdict, at=AT)
    versions.promote(second, verdict, at=AT)
    before = MlflowClient().get_model_version("again", "2")

    versions.promote(second, verdict, at=datetime(2014, 1, 1, tzinfo=UTC))

    after = MlflowClient().get_model_version("again", "2")
    assert (after.tags, after.description) == (before.tags, before.description)
    assert versions.champion("again") == second


def test_a_promotion_that_is_cut_off_has_promoted_nothing(server, make: Make, verdict, monkeypatch):
    """The alias is moved last, so a crash before it leaves the old champion; trying again completes it."""
    first, second = (make("cut-off", weight=weight).register() for weight in (1.0, 2.0))
    versions.promote(first, verdict, at=AT)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", _fail)
        with pytest.raises(KeyboardInterrupt):
            versions.promote(second, verdict, at=AT)
        assert versions.champion("cut-off") == first
        assert tags(second)["outcome"] == "promote"

    versions.promote(second, verdict, at=AT)

    assert versions.champion("cut-off") == second
    assert tags(second)["took_over_from"] == "1"


def _fail(*args: object) -> None:
    raise KeyboardInterrupt


def test_a_long_verdict_fits_in_the_description(server, make: Make, verdict):
    """A verdict with many rules is cut in the description, and whole in its file."""
    version = make("long").register()
    rules = tuple(replace(verdict.rules[0], name=f"rule-{number}", detail="x" * 300) for number in range(40))

    versions.reject(version, replace(verdict, outcome="inconclusive", rules=rules))

    story = MlflowClient().get_model_version("long", "1").description
    assert len(story) <= DESCRIPTION_CHARACTERS
    assert "**Not promoted: inconclusive**" in story
    stored = json.loads(mlflow.artifacts.load_text(f"runs:/{version.run_id}/verdict.json"))
    assert len(stored["rules"]) == 40


def test_a_version_that_does_not_exist_is_named_with_those_that_do(server, registered):
    """Asking for a wrong number tells the right ones; asking for a wrong name tells the models there are."""
    assert versions.version("read-only", 1) == registered[1]

    with pytest.raises(ModelNotFound, match=r"wanted version 9 of read-only .*, found versions 1; train one"):
        versions.version("read-only", 9)
    with pytest.raises(ModelNotFound, match=r"found no model no-such, but .*read-only"):
        versions.version("no-such", 1)


def test_a_champion_that_everfit_did_not_register_is_refused(server, registered):
    """An alias that someone set on a version of another make is refused with the version's number."""
    client = MlflowClient()
    client.create_registered_model("foreign")
    client.create_model_version("foreign", f"runs:/{registered[1].run_id}/model", registered[1].run_id)
    client.set_registered_model_alias("foreign", "champion", "1")

    with pytest.raises(ModelRefused, match="found version 1 without the tag sha256"):
        versions.champion("foreign")


def test_a_registry_that_is_down_is_a_passing_fault(server, monkeypatch):
    """The message says what was wanted, where, and how to start the server; it comes at once."""
    mlflow.set_tracking_uri("http://user:secret@127.0.0.1:9")
    mlflow.set_registry_uri("http://user:secret@127.0.0.1:9")
    started = datetime.now(UTC)

    with pytest.raises(
        PassingFault, match=r"wanted the champion of x from MLflow at http://127.0.0.1:9, .*everfit up"
    ) as fault:
        versions.champion("x")

    assert "secret" not in str(fault.value)
    assert (datetime.now(UTC) - started).total_seconds() < 5
