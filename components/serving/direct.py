"""The way round BentoML for the routes that carry the load; everything else of a worker stays BentoML's.

What BentoML puts around every request (tracing, a context, a timer, routing) took 107 of 367 us of CPU for one row.
"""

from functools import partial
from typing import Any

import uvicorn.config
from _bentoml_sdk.service.factory import Service  # type: ignore[import-untyped]  # BentoML ships no types
from starlette.types import ASGIApp, Receive, Scope, Send

from components.serving.shedding import SheddingProtocol

# The routes where microseconds count: nothing of what BentoML does around a request is used there. At /schema.json it
# would tell its clients that the service has no routes, since it knows of none that are mounted.
DIRECT = frozenset({"/predict", "/labels", "/schema.json"})


class DirectService(Service[Any]):
    """A BentoML service whose mounted application is asked for `DIRECT` without anything in between.

    Start and stop, probes and every other route go through BentoML, and the server around both waits for whatever is
    in flight before it stops.
    """

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What the server of a worker calls."""
        around = super().to_asgi(is_main)
        ((mounted, _, _),) = self.mount_apps
        # The server of a worker is made after this, of the classes named here.
        uvicorn.config.HTTP_PROTOCOLS["auto"] = partial(SheddingProtocol, mounted)  # type: ignore[assignment]
        return straight(mounted, around)


def straight(mounted: ASGIApp, around: ASGIApp) -> ASGIApp:
    """One application of two: `mounted` answers requests for `DIRECT`, `around` whatever else comes."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in DIRECT:
            await mounted(scope, receive, send)
        else:
            await around(scope, receive, send)

    return application
