"""The routes of the service as one plain ASGI application, mounted in the BentoML service.

Plain, since a framework's routing and request objects cost more than the model: see tests/benchmarks/serving/.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml._internal.server as bentoml_server
import msgspec
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from components.errors import LedgerError
from components.serving.bodies import ARROW, JSON, PARQUET, Gone, read_body
from components.serving.refusals import Refused

if TYPE_CHECKING:  # BentoML imports this in its own process too, which answers nothing
    from components.serving.answering import Answering

log = logging.getLogger(__name__)

# Parsing and predicting up to here takes under a millisecond; more goes to a thread, so that others are answered.
INLINE_BYTES = 64 * 1024

# BentoML ships the files of Swagger UI; the page must work without the internet.
STATIC = Path(bentoml_server.__file__).parent / "static_content"
STATIC_FILES = {"swagger-ui.css", "swagger-ui-bundle.js", "favicon-light-32x32.png", "favicon-dark-32x32.png"}

# BentoML answers these when they are asked with GET.
PROBES = ("/livez", "/readyz")
EXPLAIN = "/explain/{id}"

Answer = tuple[int, str, bytes]  # status, content type, body
Handler = Callable[[Scope, Receive], Awaitable[Answer]]


class App:
    """Answers POST /predict and /labels, GET /explain/{id}, /model, /docs.json, /metrics and the page at /.

    It is made when the module is imported, in BentoML's own process too, and opened in each worker.
    """

    def __init__(self) -> None:
        self._answering: Answering | None = None
        self._encoder = msgspec.json.Encoder()
        self._routes: dict[str, tuple[str, Handler]] = {
            "/predict": ("POST", self._predict),
            "/labels": ("POST", self._labels),
            EXPLAIN: ("GET", self._explain),
            "/model": ("GET", self._model),
            "/docs.json": ("GET", self._document),
            "/metrics": ("GET", self._metrics),
            "/": ("GET", self._page),
            "/docs.js": ("GET", self._script),
        }

    def open(self, answering: "Answering") -> None:
        """Begin to answer with this."""
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is, with a status and a sentence."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        path = scope["path"]
        if path.startswith("/static_content/") and path.rpartition("/")[2] in STATIC_FILES:
            await FileResponse(STATIC / path.rpartition("/")[2])(scope, receive, send)
            return
        allow = b""
        try:
            status, kind, body = await self._route(scope, receive)
        except Refused as refused:
            status, kind, body, allow = refused.status, JSON, self._json(refused.body()), refused.allow.encode()
        except Gone:
            return
        except Exception:
            log.exception("request failed path=%s", self._name(path))
            status, kind = 500, JSON
            body = self._json({"error": "the service made a mistake; its log says which"})
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": headers + ([(b"allow", allow)] if allow else []),
            }
        )
        await send({"type": "http.response.body", "body": body})
        self._open().counters.answered(self._name(path), status, time.perf_counter() - started)

    def _name(self, path: str) -> str:
        """The route of a path, or `other`: never what a caller made up."""
        if path in self._routes:
            return path
        return EXPLAIN if path.startswith("/explain/") else "other"

    async def _route(self, scope: Scope, receive: Receive) -> Answer:
        route = self._routes.get(self._name(scope["path"]))
        if scope["path"] in PROBES:
            raise Refused(405, f"wanted GET {scope['path']}, found another method", allow="GET")
        if route is None:
            raise Refused(404, f"wanted one of {', '.join(self._routes)}, found no such path; see the page at /")
        method, handler = route
        if scope["method"] != method and (scope["method"], method) != ("HEAD", "GET"):
            raise Refused(405, f"wanted {method} {self._name(scope['path'])}, found another method", allow=method)
        return await handler(scope, receive)

    async def _predict(self, scope: Scope, receive: Receive) -> Answer:
        headers = dict(scope["headers"])
        answering = self._open()
        kind, body = await read_body(headers, receive, max_bytes=answering.max_bytes, kinds=(JSON, ARROW, PARQUET))
        wants = _wanted(headers.get(b"accept", b""))
        return 200, wants, await self._keep(answering.predict, body, kind, wants)

    async def _labels(self, scope: Scope, receive: Receive) -> Answer:
        answering = self._open()
        kind, body = await read_body(dict(scope["headers"]), receive, max_bytes=answering.max_bytes)
        return 200, kind, await self._keep(answering.label, body)

    async def _keep(self, answer: Callable[..., bytes], body: bytes, *how: str) -> bytes:
        """The answer to a request that writes to the ledger; one that cannot be kept is not answered."""
        answering = self._open()
        try:
            if len(body) <= INLINE_BYTES and not answering.waits_for_disk:
                return answer(body, *how)
            return await asyncio.to_thread(answer, body, *how)
        except LedgerError as err:
            answering.counters.ledger_failures.inc()
            log.error("ledger not written error=%s", err)
            raise Refused(503, "the ledger could not be written, so nothing was answered; the log says why") from err

    async def _explain(self, scope: Scope, receive: Receive) -> Answer:
        try:
            return 200, JSON, await asyncio.to_thread(self._open().explain, scope["path"].removeprefix("/explain/"))
        except LedgerError as err:
            log.error("ledger not read error=%s", err)
            raise Refused(503, "the ledger could not be read; the log says why") from err

    async def _model(self, scope: Scope, receive: Receive) -> Answer:
        return 200, JSON, self._json(self._open().model())

    async def _document(self, scope: Scope, receive: Receive) -> Answer:
        return 200, JSON, self._json(self._open().document())

    async def _metrics(self, scope: Scope, receive: Receive) -> Answer:
        counters = self._open().counters
        return 200, counters.content_type, await asyncio.to_thread(counters.page)

    async def _page(self, scope: Scope, receive: Receive) -> Answer:
        return 200, "text/html; charset=utf-8", self._open().page()

    async def _script(self, scope: Scope, receive: Receive) -> Answer:
        return 200, "text/javascript; charset=utf-8", self._open().script()

    def _open(self) -> "Answering":
        assert self._answering is not None, "opened when the worker starts"
        return self._answering

    def _json(self, value: Any) -> bytes:
        return self._encoder.encode(value)


def _wanted(accept: bytes) -> str:
    """Content type of the answer to POST /predict: an Arrow stream where that is asked for by name, else JSON."""
    if not accept or accept == b"*/*":
        return JSON
    names = [one.partition(";")[0].strip().lower() for one in accept.decode("latin-1").split(",")]
    return ARROW if ARROW in names else JSON
