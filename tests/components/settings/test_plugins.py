"""A user's classes are found by their path; what goes wrong says what to correct."""

from pathlib import Path

import pytest

from components.errors import ProjectFileError
from components.settings.base import PluginSettings
from components.settings.plugins import load_class, make


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of a user's, on the import path."""
    file = tmp_path / f"plugin_{tmp_path.name}.py"
    file.write_text("class Rides:\n    def __init__(self, path): self.path = path\n\nlimit = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    return file


def test_a_class_is_made_with_its_arguments(module: Path):
    """What stands under init_args is what the class gets."""
    made = make(PluginSettings(class_path=f"{module.stem}.Rides", init_args={"path": "a.csv"}))

    assert made.path == "a.csv"


def test_what_the_caller_adds_comes_first(module: Path):
    """Some doors hand over a record before the user's own arguments."""
    assert make(PluginSettings(class_path=f"{module.stem}.Rides"), "b.csv").path == "b.csv"


def test_a_module_that_is_not_there_is_named():
    """With where to put it."""
    with pytest.raises(
        ProjectFileError, match=r"class no_such.Rides, but importing no_such failed.*beside the project"
    ):
        load_class("no_such.Rides")


def test_a_module_that_fails_while_it_is_imported_is_named(module: Path):
    """Its own error is shown and chained, whatever it is."""
    module.write_text("1 / 0")

    with pytest.raises(ProjectFileError, match=r"failed: ZeroDivisionError: division by zero") as caught:
        load_class(f"{module.stem}.Rides")

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_name_with_a_typo_gets_the_nearest_one(module: Path):
    """All classes of the module are listed too."""
    with pytest.raises(ProjectFileError, match=r"wanted a class Ride in .* found \['Rides'\]; did you mean Rides\?"):
        load_class(f"{module.stem}.Ride")


def test_what_is_no_class_is_refused(module: Path):
    """A number cannot be made into a source."""
    with pytest.raises(ProjectFileError, match=r"wanted a class limit .* correct class_path"):
        load_class(f"{module.stem}.limit")


def test_arguments_that_the_class_does_not_know_are_named(module: Path):
    """Python's own sentence says which."""
    plugin = PluginSettings(class_path=f"{module.stem}.Rides", init_args={"file": "a.csv"})

    with pytest.raises(ProjectFileError, match=r"refused init_args \['file'\]: .*unexpected keyword argument 'file'"):
        make(plugin)
