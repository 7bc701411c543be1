"""The service inside a bento that `everfit bento` made: it finds its project and its version beside the code.

`bentoml serve <tag>` needs nothing else. Without EVERFIT_TRACKING_URI it answers with the version it was built with;
with it, it follows the alias, and begins with that version until the registry answers.
"""

import os
import shutil
from pathlib import Path

from components.serving.bundled_files import CACHE, PROJECT, VERSION
from components.settings.environment import Environment
from components.settings.reading import load_project

# The folder that `components.serving.bento` laid out.
BUNDLE = Path(__file__).resolve().parents[2]
SETTINGS = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "OMP_WAIT_POLICY": "PASSIVE",
    "ORT_DISABLE_TELEMETRY": "1",
    "EVERFIT_HOME": str(Path.home() / ".everfit"),
    "EVERFIT_PROJECT_FILE": str(BUNDLE / PROJECT),
}


def settle() -> int:
    """Set what is not set in the environment, and lay the version into the cache; how many workers the project wants.

    Done by whichever process of BentoML imports this: those that it starts find it done.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if "EVERFIT_TRACKING_URI" not in os.environ:
        os.environ.setdefault("EVERFIT_PINNED_VERSION", (BUNDLE / VERSION).read_text().strip())
    cache = Environment().cache()
    for folder in (BUNDLE / CACHE).glob("*/*/"):
        _lay(folder, cache / folder.parent.name / folder.name)
    for file in (BUNDLE / CACHE).glob("*/champion.json"):
        if not (known := cache / file.parent.name / file.name).exists():
            shutil.copyfile(file, known)
    return load_project(BUNDLE / PROJECT).serving.workers


def _lay(folder: Path, place: Path) -> None:
    """Copy a version's files in one step, unless they are there."""
    if place.is_dir():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".fetching-bundled-{os.getpid()}")
    shutil.copytree(folder, unfinished)
    try:
        unfinished.rename(place)
    except OSError:  # another process was faster
        shutil.rmtree(unfinished)


_workers = settle()

# Only now: BentoML reads the environment when the service is made.
from components.serving.service import EverfitService  # noqa: E402

EverfitService.config["workers"] = _workers  # type: ignore[attr-defined]  # what BentoML's decorator makes of it
