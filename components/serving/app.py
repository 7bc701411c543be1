"""The routes of the service as one plain ASGI application, mounted in the BentoML service.

Plain, since a framework's routing and request objects cost more than the model: see tests/benchmarks/serving/.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml._internal.server as bentoml_server
import msgspec
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from components.errors import LedgerError
from components.serving.access import Access
from components.serving.admission import Admission, Patience
from components.serving.bodies import ARROW, JSON, PARQUET, Gone, read_body
from components.serving.refusals import Refused
from components.serving.request_ids import REQUEST_ID_HEADER, caller_request_id

if TYPE_CHECKING:  # BentoML imports this in its own process too, which answers nothing
    from components.serving.answering import Answering
    from components.serving.keeping import Said

log = logging.getLogger(__name__)

# Parsing and predicting up to here takes under a millisecond; more goes to a thread, so that others are answered.
INLINE_BYTES = 64 * 1024
# Python parses one body at a time whatever the threads; two, so that one parses while the graph runs on the other's
# rows. A body grows tenfold when it is parsed, so more of them would only take memory.
BIG_BODIES_AT_ONCE = 2

# BentoML ships the files of Swagger UI; the page must work without the internet.
STATIC = Path(bentoml_server.__file__).parent / "static_content"
STATIC_FILES = {"swagger-ui.css", "swagger-ui-bundle.js", "favicon-light-32x32.png", "favicon-dark-32x32.png"}

# BentoML answers these when they are asked with GET.
PROBES = ("/livez", "/readyz")
EXPLAIN = "/explain/{id}"
METRICS = "/metrics"

# Of an answer that the ledger does not hold, where the project's owner wanted it sent all the same.
NOT_KEPT = (b"x-everfit-kept", b"no")


@dataclass(slots=True)
class Asked:
    """One request.

    Attributes:
        scope: What ASGI says of it.
        receive: Gives its body.
        route: One of the routes, or `other`: never what a caller made up.
        headers: Their names are in lower case.
        arrived: When its headers were there, of `time.perf_counter`.
        held_bytes: What its body takes of the worker's share, where it came in pieces.
        answer_headers: Headers of the answer beside its type and length.
    """

    scope: Scope
    receive: Receive
    route: str
    headers: dict[bytes, bytes]
    arrived: float
    held_bytes: int = 0
    answer_headers: list[tuple[bytes, bytes]] = field(default_factory=list)


Answer = tuple[int, str, bytes]  # status, content type, body
Handler = Callable[[Asked], Awaitable[Answer]]


class App:
    """Answers POST /predict and /labels, GET /explain/{id}, /model, /metrics, /docs.json, /schema.json and the page.

    It is made when the module is imported, in BentoML's own process too, and opened in each worker.
    """

    def __init__(self) -> None:
        self._answering: Answering | None = None
        self._encoder = msgspec.json.Encoder()
        self._big_bodies = ThreadPoolExecutor(BIG_BODIES_AT_ONCE, thread_name_prefix="everfit-big")
        self._routes: dict[str, tuple[str, Handler]] = {
            "/predict": ("POST", self._predict),
            "/labels": ("POST", self._labels),
            EXPLAIN: ("GET", self._explain),
            "/model": ("GET", self._model),
            "/docs.json": ("GET", self._document),
            "/schema.json": ("GET", self._client_document),
            METRICS: ("GET", self._metrics),
            "/": ("GET", self._page),
            "/docs.js": ("GET", self._script),
        }

    def open(self, answering: "Answering", access: Access, admission: Admission) -> None:
        """Begin to answer with this, to those who may ask, as many as there is room for."""
        self._answering = answering
        self._access = access
        self.admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is, with a status and a sentence."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path.startswith("/static_content/") and path.rpartition("/")[2] in STATIC_FILES:
            await FileResponse(STATIC / path.rpartition("/")[2])(scope, receive, send)
            return
        asked = Asked(scope, receive, self._name(path), dict(scope["headers"]), time.perf_counter())
        more: list[tuple[bytes, bytes]] = []
        try:
            status, kind, body = await self._route(asked)
        except Refused as refused:
            status, kind, body, more = refused.status, JSON, self._json(refused.body()), refused.headers()
            if refused.reason:
                self._open().counters.refused(refused.reason)
        except Gone:
            return
        except Exception:
            log.exception("request failed path=%s", asked.route)
            status, kind = 500, JSON
            body = self._json({"error": "the service made a mistake; its log says which"})
        finally:
            if asked.held_bytes:
                self.admission.hold(-asked.held_bytes)
        more += asked.answer_headers
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._open().counters.answered(asked.route, status, time.perf_counter() - asked.arrived)

    def _name(self, path: str) -> str:
        """The route of a path, or `other`: never what a caller made up."""
        if path in self._routes:
            return path
        return EXPLAIN if path.startswith("/explain/") else "other"

    async def _route(self, asked: Asked) -> Answer:
        scope = asked.scope
        caller = self._access.caller(asked.route, asked.headers)
        if caller:
            self._open().counters.key_used(caller)
        if scope["path"] in PROBES:
            raise Refused(405, f"wanted GET {scope['path']}, found another method", allow="GET")
        route = self._routes.get(asked.route)
        if route is None:
            raise Refused(404, f"wanted one of {', '.join(self._routes)}, found no such path; see the page at /")
        method, handler = route
        if scope["method"] != method and (scope["method"], method) != ("HEAD", "GET"):
            raise Refused(405, f"wanted {method} {asked.route}, found another method", allow=method)
        if asked.route != METRICS:  # whoever looks after an overloaded service must see it
            self.admission.admit(caller or _address(scope))
        return await handler(asked)

    async def _predict(self, asked: Asked) -> Answer:
        wants = _wanted(asked.headers.get(b"accept", b""))
        name = caller_request_id(asked.headers)
        if name is not None:  # before anything can go wrong, so that a refusal has it too
            asked.answer_headers.append((REQUEST_ID_HEADER, name.encode()))
        said = await self._keep(asked, self._open().predict, (JSON, ARROW, PARQUET), wants, name)
        if name is None:
            asked.answer_headers.append((REQUEST_ID_HEADER, said.request_id.encode()))
        if not said.is_kept:
            asked.answer_headers.append(NOT_KEPT)
        return 200, wants, said.body

    async def _labels(self, asked: Asked) -> Answer:
        def label(body: bytes, kind: str) -> "Said":
            return self._open().label(body)

        return 200, JSON, (await self._keep(asked, label, (JSON,))).body

    async def _keep(
        self, asked: Asked, answer: "Callable[..., Said]", kinds: tuple[str, ...], *how: str | None
    ) -> "Said":
        """The answer to a request that writes to the ledger; one that cannot be kept is not answered."""
        answering = self._open()
        patience = Patience(asked.headers, seconds=self.admission.seconds, arrived=asked.arrived)

        def hold(size: int) -> None:
            asked.held_bytes += size
            self.admission.hold(size)

        kind, body = await read_body(
            asked.headers, asked.receive, max_bytes=answering.max_bytes, kinds=kinds, hold=hold
        )
        patience.body_is_there()
        turns = self.admission.enter()
        try:
            if len(body) <= INLINE_BYTES:
                for _ in range(turns):
                    await asyncio.sleep(0)
                patience.check()
                said = answer(body, kind, *how)
            else:
                said = await self._in_thread(patience, answer, body, kind, *how)
            return await answering.keeper.settled(said)
        except LedgerError as err:
            raise Refused(503, "the ledger could not be written, so nothing was answered; the log says why") from err
        finally:
            self.admission.leave()

    async def _in_thread(
        self, patience: Patience, answer: "Callable[..., Said]", body: bytes, *how: str | None
    ) -> "Said":
        """The same, not in the way of others; what has waited for its thread too long is refused there."""

        def begin() -> "Said":
            patience.check()
            return answer(body, *how)

        return await asyncio.get_running_loop().run_in_executor(self._big_bodies, begin)

    async def _explain(self, asked: Asked) -> Answer:
        self.admission.enter()
        try:
            name = asked.scope["path"].removeprefix("/explain/")
            return 200, JSON, await asyncio.to_thread(self._open().explain, name)
        except LedgerError as err:
            log.error("ledger not read error=%s", err)
            raise Refused(503, "the ledger could not be read; the log says why") from err
        finally:
            self.admission.leave()

    async def _model(self, asked: Asked) -> Answer:
        return 200, JSON, self._json(self._open().model())

    async def _document(self, asked: Asked) -> Answer:
        return 200, JSON, self._json(self._open().document(wants_key=not self._access.is_open))

    async def _client_document(self, asked: Asked) -> Answer:
        return 200, JSON, self._json(self._open().client_document())

    async def _metrics(self, asked: Asked) -> Answer:
        counters = self._open().counters
        return 200, counters.content_type, await asyncio.to_thread(counters.page)

    async def _page(self, asked: Asked) -> Answer:
        return 200, "text/html; charset=utf-8", self._open().page()

    async def _script(self, asked: Asked) -> Answer:
        return 200, "text/javascript; charset=utf-8", self._open().script()

    def _open(self) -> "Answering":
        assert self._answering is not None, "opened when the worker starts"
        return self._answering

    def _json(self, value: Any) -> bytes:
        return self._encoder.encode(value)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _wanted(accept: bytes) -> str:
    """Content type of the answer to POST /predict: an Arrow stream where that is asked for by name, else JSON."""
    if not accept or accept == b"*/*":
        return JSON
    names = [one.partition(";")[0].strip().lower() for one in accept.decode("latin-1").split(",")]
    return ARROW if ARROW in names else JSON
