"""What every test may rely on: quiet vendors, folders of its own, and no skipping where CI runs."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator

import pytest

from flows.stack.servers import QUIET
from tests.programs import IN_CI


def _separate_from_the_user() -> None:
    """Point every vendor at a throwaway folder, before any of them is imported: tests never touch a running stack."""
    for name in [n for n in os.environ if n.startswith(("EVERFIT_", "PREFECT_", "MLFLOW_")) and n != "EVERFIT_CI"]:
        del os.environ[name]
    scratch = tempfile.mkdtemp(prefix="everfit-tests-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    os.environ["EVERFIT_HOME"] = f"{scratch}/everfit"
    os.environ["PREFECT_HOME"] = f"{scratch}/prefect"
    os.environ.update(QUIET)


_separate_from_the_user()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI runs, a skipped test counts as failed, unless the machine itself lacks what no installation brings."""
    report = yield
    is_excused = any(what in str(report.longrepr) for what in ("GPU", "a file system can be mounted by root alone"))
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and not is_excused:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} must not be skipped in CI: {report.longrepr}"
    return report
