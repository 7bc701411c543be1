"""Prints the requirements of some roles, so that an image's packages are a layer of their own: role.py worker."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
print("\n".join([*project["dependencies"], *(line for role in sys.argv[1:] for line in extras[role])]))  # noqa: T201
