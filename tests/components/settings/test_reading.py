"""A project file is read whole or refused with every mistake, each with its line and what to write instead."""

import hashlib
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from components.errors import ProjectFileError
from components.settings.reading import load_project

SMALL = """\
name: rides
data:
  source: {class_path: rides.Rides}
  target: {column: long, kind: binary}
  timestamp: began
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test may write its project; the import path is as before when it is over."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "rides.yaml"


def mistakes(file: Path, text: str) -> list[str]:
    """The lines under the first of the message, without the file's name."""
    file.write_text(text)
    with pytest.raises(ProjectFileError) as caught:
        load_project(file)
    first, *others = str(caught.value).splitlines()
    count = "1 mistake" if len(others) == 1 else f"{len(others)} mistakes"
    assert first == f"{file} holds {count}; correct them and run again:"
    return [line.removeprefix(f"  {file}:") for line in others]


def test_a_small_project_is_read_with_defaults(file: Path):
    """Five lines are a project."""
    file.write_text(SMALL)

    project = load_project(file)

    assert project.name == "rides"
    assert project.monitoring.window == timedelta(days=7)
    assert project.file == file
    assert project.sha256 == hashlib.sha256(SMALL.encode()).hexdigest()


def test_the_file_is_known_by_its_whole_path(file: Path, monkeypatch: pytest.MonkeyPatch):
    """Relative paths in it start at its folder, wherever the command was typed."""
    file.write_text(SMALL)
    monkeypatch.chdir(file.parent)

    assert load_project(Path("rides.yaml")).file == file


def test_the_projects_folder_comes_onto_the_import_path_once_and_last(file: Path):
    """A project's own `types.py` must not hide Python's."""
    file.write_text(SMALL)
    before = list(sys.path)

    load_project(file)
    load_project(file)

    assert sys.path == [*before, str(file.parent)]


def test_a_refused_project_does_not_touch_the_import_path(file: Path):
    """Nothing of a project is trusted before it is understood."""
    before = list(sys.path)

    mistakes(file, SMALL + "nam: x\n")

    assert sys.path == before


def test_a_class_is_not_looked_up_while_reading(file: Path):
    """The service reads a project whose training code it does not have."""
    file.write_text(SMALL)

    assert load_project(file).data.source.class_path == "rides.Rides"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1E3", 1000.0), ("2.5e-4", 2.5e-4), (".5e-2", 0.005), ("0.001", 0.001), ("1", 1.0)],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float, file: Path):
    """PyYAML alone reads 1e-3 as text."""
    file.write_text(SMALL + f"training: {{learning_rate: {text}}}\n")

    assert load_project(file).training.learning_rate == value


def test_numbers_are_read_in_init_args_too(file: Path):
    """There no type says what is meant; text that only begins like a number stays text."""
    arguments = "{rate: 1e-3, first: 2026-03-01, code: 1e-3x, flight: 12E}"
    file.write_text(SMALL.replace("rides.Rides}", f"rides.Rides, init_args: {arguments}}}"))

    found = load_project(file).data.source.init_args

    assert found == {"rate": 1e-3, "first": date(2026, 3, 1), "code": "1e-3x", "flight": "12E"}


def test_every_mistake_is_told_at_once_with_its_line(file: Path):
    """In the order of the file."""
    text = """\
name: My Rides
data:
  source: {class_path: Rides}
  target: {column: long, kind: binry}
  timestamp: began
  drop: dep_delay
  split:
    test_dayz: 3
    validation_days: -1
training: {max_epochs: 2.5, threads: many}
monitoring:
  window: 7 days
"""

    assert mistakes(file, text) == [
        "1: name: wanted text that should match pattern '^[a-z0-9][a-z0-9-]{0,62}$', found 'My Rides'",
        "3: data.source.class_path: wanted text that should match pattern "
        "'^[A-Za-z_][\\w.]*\\.[A-Za-z_]\\w*$', found 'Rides'",
        "4: data.target.kind: wanted 'binary', 'multiclass' or 'regression', found 'binry'",
        "6: data.drop: wanted a list, found 'dep_delay'",
        "8: data.split.test_dayz is not a setting; did you mean test_days?",
        "9: data.split.validation_days: wanted a number greater than 0, found -1",
        "10: training.max_epochs: wanted a whole number, found 2.5",
        "10: training.threads: wanted a whole number, found 'many'",
        "12: monitoring.window: wanted a duration such as 30s, 15m, 12h, 7d or 2w, found '7 days'",
    ]


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("trainig: {}", "6: trainig is not a setting; did you mean training?"),
        ("test_days: 3", "6: test_days is not a setting; did you mean data.split.test_days?"),
        (
            "zzz: 3",
            "6: zzz is not a setting; known here: name, data, training, optimization, evaluation, monitoring, serving",
        ),
        (
            "file: x",
            "6: file is not a setting; known here: name, data, training, optimization, evaluation, monitoring,",
        ),
        ("  columns: {warm: {lo: 3}}", "6: data.columns.warm.lo is not a setting; did you mean low?"),
    ],
)
def test_an_unknown_key_gets_the_nearest_right_name(more: str, mistake: str, file: Path):
    """By spelling here, or the place where that very name belongs."""
    assert mistakes(file, SMALL + more + "\n")[0].startswith(mistake)


def test_a_key_that_is_missing_is_told_where_it_belongs(file: Path):
    """The line is that of the nearest key above."""
    found = mistakes(file, "name: rides\ndata:\n  source: {class_path: a.B}\n  target: {kind: binary}\n")

    assert found == [
        "2: data.timestamp is wanted, but not there; add it",
        "4: data.target.column is wanted, but not there; add it",
    ]


def test_a_key_that_stands_twice_is_a_mistake(file: Path):
    """YAML would silently take the last; other mistakes are told beside it."""
    text = SMALL + "training:\n  seed: 1\n  seed: 2\nname: other\nserving: {workers: 0}\n"

    assert mistakes(file, text) == [
        "8: seed stands here again, first on line 7; keep one",
        "9: name stands here again, first on line 1; keep one",
        "10: serving.workers: wanted a number greater than or equal to 1, found 0",
    ]


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("  drop: [no]", "6: data.drop.0: wanted text (put it in quotes), found False"),
        ("  columns: {warm: 3}", "6: data.columns.warm: wanted a mapping of keys, found 3"),
        (
            "  columns: {warm: {low: 9, high: 1}}",
            "6: data.columns.warm: low must be at most high, but 9 to 1 was asked for",
        ),
        (
            "  columns: {a: {kind: category, low: 0}}",
            "6: data.columns.a: low and high are for numbers, but this column is a category",
        ),
        ("  columns: {warm: {low: .inf}}", "6: data.columns.warm.low: wanted a finite number, found inf"),
        ("training: {seed: }", "6: training.seed: wanted a whole number, found nothing"),
        ("  drop: [began]", "2: data: drop must not hold the target, the timestamp or the id, found ['began']"),
        ("  id: long", "2: data: wanted a column of its own for each of ['id', 'target.column', 'timestamp'], found {"),
        (
            "monitoring: {trigger: {windows: 4, of: 3}}",
            "6: monitoring.trigger: windows must be at most 'of', but 4 of 3 was asked for",
        ),
        ("1: 2", "6: 1: wanted a key that is text, found 1"),
    ],
)
def test_what_cannot_be_meant_is_told_in_words(more: str, mistake: str, file: Path):
    """No word of pydantic or PyYAML is needed to understand it."""
    assert mistakes(file, SMALL + more + "\n")[0].startswith(mistake)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "wanted a project, found an empty file; begin with name: and data:"),
        (b"# only a comment\n", "wanted a project, found an empty file"),
        (b"- a\n", "1: wanted a mapping of keys, found a list; begin with"),
        (b"hello\n", "1: wanted a mapping of keys, found 'hello'; begin with"),
        (b"name: a\nx: [1\n", ":3: wanted YAML, found .*expected ',' or ']'"),
        (b"name: a: b\n", ":1: wanted YAML, found mapping values are not allowed here; correct the line, or the one"),
        (b"a: 1\n---\nb: 2\n", ":2: wanted YAML, found expected a single document"),
        (b"a: !!python/object:os.system x\n", ":1: wanted YAML, found could not determine a constructor"),
        (b"\xff\xfe\x00", "wanted YAML, found "),
        (b"a: \xe9\n", "wanted YAML, found "),
        (b"a: 2013-13-45\n", r"wanted YAML, found month must be in 1\.\.12"),
        (b"{[a]: b}\n", ":1: wanted YAML, found while constructing a mapping found unhashable key"),
        (b"[" * 3_000, "wanted YAML, found "),
        (b"name: &x [*x]\n", "name: wanted text"),
    ],
)
def test_what_is_no_project_at_all_is_told_in_a_sentence(content: bytes, message: str, file: Path):
    """Never a traceback of PyYAML's."""
    file.write_bytes(content)

    with pytest.raises(ProjectFileError, match=message):
        load_project(file)


def test_a_file_that_is_not_there_is_named(file: Path):
    """With its whole path."""
    with pytest.raises(
        ProjectFileError, match=rf"wanted a project file at {file}, .*: No such file or directory; correct"
    ):
        load_project(file)


def test_a_folder_is_no_project_file(tmp_path: Path):
    """The YAML in it is wanted."""
    with pytest.raises(ProjectFileError, match="cannot be read: Is a directory"):
        load_project(tmp_path)
