"""The lock and the ranges agree, and the lock installs on any machine."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"


def locked() -> dict[str, Version]:
    """Package name to the version that is locked."""
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", LOCK.read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def ranges() -> list[Requirement]:
    """Every requirement of every role."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for texts in [project["dependencies"], *extras] for text in texts]


def test_every_range_holds_the_locked_version():
    """Whoever changes a range makes the lock anew."""
    pins = locked()

    wrong = [
        f"{requirement}: locked is {pins.get(canonicalize_name(requirement.name))}; run make lock"
        for requirement in ranges()
        if (pin := pins.get(canonicalize_name(requirement.name))) is None or not requirement.specifier.contains(pin)
    ]

    assert not wrong, "\n".join(wrong)


def test_the_lock_names_no_machine():
    """No path, no address and no build label of the machine that made it; no CUDA packages forced on anyone."""
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]

    wrong = [line for line in lines if re.search(r"://|/|@|==[^ ]*\+|^--|^-e|^nvidia-c|^triton", line)]

    assert not wrong, "\n".join(wrong)


def test_every_line_of_the_lock_is_an_exact_version_or_says_who_needs_it():
    """What is installed today is what will be installed next year."""
    lines = [line for line in LOCK.read_text().splitlines() if line and not line.lstrip().startswith("#")]

    wrong = [line for line in lines if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.!]+( ; .+)?", line)]

    assert not wrong, "\n".join(wrong)
