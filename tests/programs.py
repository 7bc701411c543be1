"""System programs that some tests need: skipped with a reason where they are missing, a failure where CI runs."""

import os
import shutil
from pathlib import Path

import pytest

IN_CI = os.environ.get("EVERFIT_CI") == "1"
# Debian keeps PostgreSQL's own programs off the PATH, one folder a version.
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


def require_program(name: str, package: str) -> str:
    """Path of a system program; without it the test is skipped, or fails where CI runs.

    Args:
        name: The program, such as `chromium`, `wrk` or `initdb`.
        package: Debian package that holds it.
    """
    found = shutil.which(name) or max(map(str, DEBIAN_POSTGRES.glob(f"*/bin/{name}")), default=None)
    if found is None:
        reason = f"wanted the program {name}, found none on the PATH; apt-get install {package}"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return found
