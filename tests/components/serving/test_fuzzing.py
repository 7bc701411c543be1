"""Requests that nobody thought of: schemathesis makes them from the service's own OpenAPI document."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.records.models import ModelVersion
from tests.components.serving.conftest import Service

pytestmark = [pytest.mark.stack, pytest.mark.slow]

# 264 requests in 3 s on two cores.
EXAMPLES = "25"


def test_schemathesis_finds_nothing(service: Service, champion: ModelVersion, tmp_path: Path):
    """Right requests are answered, wrong ones refused with a declared status, and no answer breaks its own schema."""
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program, "wanted schemathesis beside this Python, found none; install the extra dev"
    command = [program, "run", f"{service.address}/docs.json", "--max-examples", EXAMPLES]
    command += ["--generation-deterministic", "--no-color"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "7 selected / 7 total" in done.stdout
