"""A policy in a file of its own, read as strictly as a project file."""

from datetime import timedelta
from pathlib import Path

import pytest

from components.errors import ProjectFileError
from components.settings.reading import load_policy
from tests.flows.small import write_project


def written(folder: Path, text: str) -> Path:
    """The text as a policy's file."""
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def test_a_file_with_the_section_alone_is_a_policy(tmp_path: Path):
    """What is not said in it has its default."""
    policy = load_policy(written(tmp_path, "monitoring:\n  window: 3d\n  trigger: {windows: 1, of: 1}\n"))

    assert policy.window == timedelta(days=3)
    assert policy.trigger.of == 1
    assert policy.cooldown == timedelta(days=14)


def test_a_whole_project_file_is_read_for_its_policy(tmp_path: Path):
    """The small project watches windows of two days."""
    assert load_policy(write_project(tmp_path)).window == timedelta(days=2)


def test_every_mistake_is_told_with_its_line_and_the_nearest_name(tmp_path: Path):
    """A typo, a value that cannot be meant, and a section of the project that has no place here."""
    text = "monitoring:\n  windw: 7d\n  trigger: {windows: 5, of: 2}\ntraining: {}\n"

    with pytest.raises(ProjectFileError) as found:
        load_policy(written(tmp_path, text))

    message = str(found.value)
    assert "3 mistakes" in message
    assert "policy.yaml:2: monitoring.windw is not a setting; did you mean window?" in message
    assert "policy.yaml:3: monitoring.trigger: windows must be at most 'of', but 5 of 2 was asked for" in message
    assert "policy.yaml:4: training has no place in a file that holds a policy alone; take it out" in message


def test_a_file_without_the_section_says_what_is_wanted(tmp_path: Path):
    """A typo in the section's own name is found too."""
    with pytest.raises(ProjectFileError, match="monitring is not a setting; did you mean monitoring") as found:
        load_policy(written(tmp_path, "monitring: {window: 7d}\n"))

    assert "monitoring is wanted, but not there; add it" in str(found.value)


def test_a_missing_file_is_a_sentence(tmp_path: Path):
    """The path stands in it."""
    with pytest.raises(ProjectFileError, match=r"none\.yaml, but it cannot be read"):
        load_policy(tmp_path / "none.yaml")
