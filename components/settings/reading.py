"""Reads a project file: every mistake at once, each with its line, what was wanted, what was found, what to write.

The settings themselves stand in `components.settings.project`. A `class_path` is looked up when it is used, not here:
a project can be read where its training code is not installed.
"""

import difflib
import hashlib
import re
import reprlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from components.errors import ProjectFileError
from components.settings.base import Settings
from components.settings.monitoring import MonitoringSettings
from components.settings.project import Project

S = TypeVar("S", bound=Settings)

# Set by the reader: in the file they would be unknown keys like any other.
OURS = {"file", "sha256"}

# What pydantic's kinds of mistake mean to a person who writes YAML.
WANTED = {
    "string_type": "text (put it in quotes)",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "invalid_key": "a key that is text",
}


class ProjectLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which also reads `1e-3` as a number: YAML 1.1 takes all but `1.0e-3` for text."""


ProjectLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)[eE][-+]?\d+$"), list("-+.0123456789")
)


class Mistake(NamedTuple):
    """One mistake, and the line of the file it stands in."""

    line: int
    text: str


def load_project(file: Path) -> Project:
    """The project, with the file's folder on the import path so that its own classes are found.

    Args:
        file: The YAML file.

    Raises:
        ProjectFileError: If the file is missing, is not YAML, or says something that cannot be meant; the message lists
            every mistake as `file:line`.
    """
    file = file.expanduser().absolute()  # not resolved: a mounted config map is a link into a folder that goes away
    content = _content(file)
    set_here = {"file": file, "sha256": hashlib.sha256(content).hexdigest()}
    project = _validated(Project, file, _root(file, content), set_here)
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # last: a project's `types.py` must not hide Python's own
    return project


def load_policy(file: Path) -> MonitoringSettings:
    """The section `monitoring` of a file that holds nothing else, or of a whole project file.

    Args:
        file: The YAML file.

    Raises:
        ProjectFileError: As for a project file, with every mistake and its line.
    """
    file = file.expanduser().absolute()
    root = _root(file, _content(file))
    if any(key.value == "data" for key, _ in root.value):
        return load_project(file).monitoring
    return _validated(_Policy, file, root, {}).monitoring


class _Policy(Settings):
    """A file with a policy alone."""

    monitoring: MonitoringSettings


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as err:
        raise ProjectFileError(
            f"wanted a project file at {file}, but it cannot be read: {err.strerror}; correct the path"
        ) from err


def _root(file: Path, content: bytes) -> yaml.MappingNode:
    """The file as a tree of nodes, which know their lines."""
    try:
        root = yaml.compose(content, ProjectLoader)
    except (yaml.YAMLError, RecursionError) as err:
        raise ProjectFileError(_not_yaml(file, err)) from err
    if root is None:
        raise ProjectFileError(f"{file}: wanted a project, found an empty file; begin with name: and data:")
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else reprlib.repr(root.value)
        raise ProjectFileError(f"{file}:1: wanted a mapping of keys, found {found}; begin with name: and data:")
    return root


def _not_yaml(file: Path, err: Exception) -> str:
    mark = getattr(err, "problem_mark", None)
    place = f"{file}:{mark.line + 1}" if mark else str(file)
    found = " ".join(str(part) for part in (getattr(err, "context", None), getattr(err, "problem", None)) if part)
    return f"{place}: wanted YAML, found {found or err}; correct the line, or the one above"


def _duplicates(root: yaml.Node) -> Iterator[Mistake]:
    """Keys that stand twice in one mapping: YAML would silently take the last."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias; it may even hold itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            yield from _repeated(node)


def _repeated(node: yaml.MappingNode) -> Iterator[Mistake]:
    first: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in first:
                yield Mistake(line, f"{key.value} stands here again, first on line {first[key.value]}; keep one")
            first.setdefault(key.value, line)


def _validated(settings: type[S], file: Path, root: yaml.MappingNode, set_here: dict[str, Any]) -> S:
    """What the file says as these settings; all mistakes at once if it cannot be meant."""
    mistakes = list(_duplicates(root))
    values = _values(file, root)
    mistakes += [Mistake(_line(root, [key]), _unknown([key])) for key in sorted(set_here.keys() & values.keys())]
    found = None
    try:
        found = settings.model_validate(values | set_here)
    except ValidationError as err:
        mistakes += [Mistake(_line(root, error["loc"]), _text(error)) for error in err.errors(include_url=False)]
    if mistakes or found is None:
        raise ProjectFileError(_report(file, mistakes))
    return found


def _values(file: Path, root: yaml.MappingNode) -> dict[Any, Any]:
    loader = ProjectLoader("")
    try:
        return dict(loader.construct_document(root))
    except (yaml.YAMLError, ValueError, RecursionError) as err:  # ValueError: a date such as 2013-13-45
        raise ProjectFileError(_not_yaml(file, err)) from err
    finally:
        loader.dispose()


def _line(root: yaml.Node, path: Sequence[Any]) -> int:
    """Line of the deepest key of the path that stands in the file."""
    node, line = root, root.start_mark.line + 1
    for key in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(key)]
            if not found:
                break
            line, node = found[-1][0].start_mark.line + 1, found[-1][1]
    return line


def _text(error: Any) -> str:
    """One of pydantic's mistakes as a sentence."""
    path, kind = [str(key) for key in error["loc"]], error["type"]
    name = ".".join(path) or "the file"
    if kind == "extra_forbidden":
        return _unknown(path)
    if kind == "missing":
        return f"{name} is wanted, but not there; add it"
    if kind == "value_error":
        return f"{name}: {error['ctx']['error']}"
    message = error["msg"].removeprefix("Input should be ").replace("String should", "text that should")
    wanted = WANTED.get(kind) or ("a number " if kind.startswith(("greater", "less")) else "") + message
    return f"{name}: wanted {wanted}, found {_found(error['input'])}"


def _found(value: Any) -> str:
    if isinstance(value, dict):
        return f"a mapping of {reprlib.repr(sorted(map(str, value)))}"
    return reprlib.repr(value) if value is not None else "nothing"


def _unknown(path: list[str]) -> str:
    """What to write instead of a key that does not exist: the nearest name here, or the place it belongs to."""
    *above, key = path
    known = _names(above)
    if key in known:
        return f"{key} has no place in a file that holds a policy alone; take it out, or give the whole project file"
    elsewhere = [place for place in _places(Project, ()) if place[-1] == key]
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        hint = f"did you mean {near[0]}?"
    elif elsewhere:
        hint = f"did you mean {' or '.join('.'.join(place) for place in elsewhere)}?"
    else:
        hint = f"known here: {', '.join(known)}"
    return f"{'.'.join(path)} is not a setting; {hint}"


def _names(path: Sequence[str]) -> list[str]:
    """Names of the settings at that place."""
    here: Any = Project
    for key in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[key].annotation
        else:  # dict[str, ColumnSettings]
            here = get_args(here)[-1]
    return [name for name in here.model_fields if here is not Project or name not in OURS]


def _places(settings: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of every setting there is."""
    for name, field in settings.model_fields.items():
        if above or name not in OURS:
            yield (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _places(field.annotation, (*above, name))


def _report(file: Path, mistakes: list[Mistake]) -> str:
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    lines = [f"  {file}:{mistake.line}: {mistake.text}" for mistake in sorted(mistakes)]
    return "\n".join([f"{file} holds {count}; correct them and run again:", *lines])
