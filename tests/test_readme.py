"""The README does not lie: its commands exist, its snippets run, its tree is the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.settings.reading import load_project

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Each call of a program in a bash block, without the comment behind it."""
    lines = [line.split("#")[0].split() for block in blocks("bash") for line in block.splitlines()]
    return [words for words in lines if words and words[0] == program]


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_every_make_command_is_a_target(words: list[str]):
    """`make demo` and `make test` are what the README says: make knows how to do them."""
    done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert {"demo": "everfit demo", "test": "pytest"}[words[1]] in done.stdout


@pytest.mark.parametrize("words", commands("everfit"), ids=" ".join)
def test_every_everfit_command_is_there(words: list[str]):
    """Each command of the README answers its own --help."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", words[1], "--help"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    takes = any(f" {what} " in done.stdout for what in ("PROJECT", "NAME_OR_PROJECT", "VERSION", "NAME"))
    assert takes == (len(words) > 2), done.stdout


@pytest.mark.parametrize("snippet", blocks("python"))
def test_every_python_snippet_runs(snippet: str):
    """The Python of the README runs as it stands, from the repository's root."""
    done = subprocess.run([sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("flight-delays 14 days")


@pytest.mark.parametrize("snippet", blocks("yaml"))
def test_every_project_file_of_the_readme_is_valid(snippet: str, tmp_path: Path):
    """The example project is read without a mistake."""
    path = tmp_path / "churn.yaml"
    path.write_text(snippet)

    project = load_project(path)

    assert project.name == yaml.safe_load(snippet)["name"]


def test_the_tree_of_the_readme_is_the_tree():
    """Every file that the README names in its tree exists, and no module of a room is left out."""
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL)
    assert tree is not None
    named = [line.split()[0] for line in tree[1].splitlines() if line.strip()]
    paths = list(paths_of(tree[1]))
    missing = [path for path in paths if not (ROOT / path).exists()]
    modules = {str(p.relative_to(ROOT)) for room in ("flows", "components") for p in (ROOT / room).rglob("*.py")}
    unnamed = {module for module in modules if not module.endswith("__init__.py")} - set(paths)

    assert named
    assert missing == []
    assert unnamed == set()


def paths_of(tree: str):
    """Full paths of a tree drawn with two spaces a level, folders with a slash behind."""
    folders: list[str] = []
    for line in tree.splitlines():
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders = folders[:depth]
        yield "".join(folders) + name
        if name.endswith("/"):
            folders.append(name)


def test_the_request_of_the_readme_is_valid_json():
    """The body that curl sends is JSON with rows."""
    body = re.search(r"-d '(.*?)'", README)

    assert body is not None
    assert yaml.safe_load(body[1])["rows"][0]["origin"] == "EWR"
