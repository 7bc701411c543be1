"""A version says which rows it learned from."""

from datetime import UTC

from mlflow import MlflowClient

from components.records.models import ModelVersion
from components.registry.learned import TRAINED_FROM, TRAINED_UNTIL, trained_until
from tests.components.registry.conftest import Made, Make

Registered = tuple[Made, ModelVersion]


def test_a_version_says_until_when_it_learned(server, registered: Registered):
    """The event time of its newest training row, not of the test rows behind it, is read back from the version."""
    made, version = registered

    found = trained_until(version)

    assert found == made.split.train.last
    assert found < made.split.validation.first
    assert found.tzinfo is UTC


def test_the_rows_stand_on_the_version_as_iso_times(server, registered: Registered):
    """Whoever reads the tags in MLflow finds both ends in one spelling."""
    made, version = registered

    tags = MlflowClient().get_model_version(version.name, str(version.version)).tags

    assert tags[TRAINED_FROM] == made.split.train.first.isoformat() == "2013-01-01T00:00:00+00:00"
    assert tags[TRAINED_UNTIL] == "2013-01-01T19:00:00+00:00"


def test_a_version_without_the_tag_is_of_unknown_age(server, make: Make):
    """A version that was registered before there was the tag says None, and no guess."""
    version = make("ageless").register()
    MlflowClient().delete_model_version_tag(version.name, str(version.version), TRAINED_UNTIL)

    assert trained_until(version) is None
