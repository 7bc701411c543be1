"""The BentoML service: `bentoml serve components.serving.service:EverfitService`.

`components.serving.command` makes that command and its environment. The project file is named by EVERFIT_PROJECT_FILE,
where things run by the other EVERFIT_ variables.
"""

import asyncio
import logging
import os
from pathlib import Path

import bentoml
from starlette.exceptions import HTTPException

from components.serving.app import App
from components.serving.direct import DirectService
from components.settings.environment import Environment
from components.settings.reading import load_project
from components.settings.secrets import hash_key

PROJECT_VARIABLE = "EVERFIT_PROJECT_FILE"


def _refuse_early() -> None:
    """Raise in BentoML's own process what each worker would raise: it would start them again for ever."""
    if PROJECT_VARIABLE in os.environ:  # not where a bento is built
        hash_key(load_project(Path(os.environ[PROJECT_VARIABLE])), Environment())


_refuse_early()

app = App()


# BentoML's own metrics and tracing cost more than the model does; our own counters are at /metrics. Its timeout must be
# there, and keeps a timer of every request that goes through it for that long: half the usual minute, and longer than a
# body may take.
@bentoml.asgi_app(app, path="/", name="everfit")
@bentoml.service(
    name="EverfitService",
    service_class=DirectService,
    metrics={"enabled": False},
    tracing={"excluded_urls": [".*"]},
    logging={"access": {"enabled": False}},
    traffic={"timeout": 30},
)
class EverfitService:
    """Answers with the champion of one project, and keeps every answer in the ledger; made in each worker."""

    def __init__(self) -> None:
        # BentoML imports this file in its own process too, which answers nothing: what only a worker needs (MLflow,
        # onnxruntime, Arrow) is imported here, which starts the service 4 s sooner and saves 170 MB.
        from components.serving.worker import Worker  # noqa: PLC0415

        _configure_logging()
        self._worker = Worker(Path(os.environ[PROJECT_VARIABLE]), Environment())
        app.open(self._worker.answering, self._worker.access, self._worker.admission)

    @bentoml.on_startup
    async def start(self) -> None:
        """Take the champion before the first request, then follow the alias."""
        await asyncio.to_thread(self._worker.start)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Look no more, and let go of the ledger."""
        self._worker.close()

    def __is_ready__(self) -> bool:
        """Whether a version answers.

        Raises:
            HTTPException: 503 with the reason, where BentoML's own would only say that it is not ready.
        """
        reason = self._worker.answering.why_not_ready()
        if reason:
            raise HTTPException(503, reason)
        return True


def _configure_logging() -> None:
    """Let our own news through BentoML's handler, and keep others quiet."""
    logging.getLogger("components").setLevel(logging.INFO)
    # The follower says once that the registry is down; urllib3 would say it at each look.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    # The server writes no access log at this level, but makes each of its lines (2 us) while somebody could hear them.
    logging.getLogger("uvicorn.access").propagate = False
