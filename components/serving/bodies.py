"""Reading the body of a request: the right content type, never more bytes than allowed, never for ever."""

import asyncio
import contextlib
import types
from collections.abc import Callable, Generator
from typing import Any

from starlette.types import Receive

from components.serving.diagnosis import shown_text
from components.serving.refusals import Refused

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"

Headers = dict[bytes, bytes]

# From the headers to the end of the body: long enough for 32 MB over 13 Mbit/s.
BODY_SECONDS = 20.0


class Gone(Exception):
    """The application hung up before it had sent its whole request: there is nobody to answer."""


async def read_body(
    headers: Headers,
    receive: Receive,
    *,
    max_bytes: int,
    kinds: tuple[str, ...] = (JSON,),
    hold: Callable[[int], None] | None = None,
) -> tuple[str, bytes]:
    """The content type of a request's body, and the whole of it.

    Args:
        headers: The headers of the request.
        receive: Gives the next piece of the body.
        max_bytes: Largest body accepted, counted while it arrives: a chunked one says no length beforehand.
        kinds: Content types that are accepted.
        hold: Told how many bytes came, of a body that comes in pieces; raises if all bodies together are too big.

    Raises:
        Refused: 415 if it is sent as something else, 413 if it is too big, 408 if it is too slow, 503 of `hold`.
        Gone: If the application hung up.
    """
    kind = _content_type(headers, kinds)
    _check_length(headers.get(b"content-length", b""), max_bytes)
    # One row is there already: a timer for each such request would cost a tenth of all it takes (wrk: 285 to 321 us).
    waiting = receive().__await__()
    is_here = False
    try:
        blocked = next(waiting)
    except StopIteration as done:
        message, is_here = done.value, True
    try:
        async with (
            asyncio.timeout(BODY_SECONDS) if not is_here or message.get("more_body") else contextlib.nullcontext()
        ):
            if not is_here:
                message = await _resumed(waiting, blocked)
            body = _piece(message)
            if not message.get("more_body", False):
                return kind, _within(body, max_bytes)
            return kind, await _read_on(body, receive, max_bytes, hold)
    except TimeoutError as err:
        raise Refused(
            408, f"wanted the whole body within {BODY_SECONDS:.0f} s, found it unfinished; send it again"
        ) from err


@types.coroutine
def _resumed(waiting: Any, blocked: Any) -> Generator[Any, Any, Any]:
    """The result of an awaitable that was begun already and gave what it waits for."""
    try:
        while True:
            try:
                got = yield blocked
            except BaseException as err:  # noqa: BLE001 - a cancellation too is for whoever waits
                blocked = waiting.throw(err)
            else:
                blocked = waiting.send(got)
    except StopIteration as done:
        return done.value


async def _read_on(first: bytes, receive: Receive, max_bytes: int, hold: Callable[[int], None] | None) -> bytes:
    pieces, size, more = [first], len(first), True
    hold = hold or (lambda size: None)
    hold(len(first))
    while more:
        message = await receive()
        pieces.append(_piece(message))
        size += len(pieces[-1])
        more = message.get("more_body", False)
        if size > max_bytes:
            raise _too_big(max_bytes, f"more than {max_bytes} bytes")
        hold(len(pieces[-1]))
    return b"".join(pieces)


def _piece(message: Any) -> bytes:
    if message["type"] == "http.disconnect":
        raise Gone
    piece: bytes = message.get("body", b"")
    return piece


def _within(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise _too_big(max_bytes, f"{len(body)} bytes")
    return body


def _content_type(headers: Headers, kinds: tuple[str, ...]) -> str:
    sent = headers.get(b"content-type", b"").decode("latin-1")
    kind = sent.partition(";")[0].strip().lower()
    if kind not in kinds:
        wants = " or ".join(kinds)
        raise Refused(415, f"wanted content-type {wants}, found {shown_text(sent) or 'none'}; set the header to it")
    coding = headers.get(b"content-encoding", b"identity").decode("latin-1")
    if coding.lower() != "identity":
        raise Refused(415, f"wanted a body without content-encoding, found {shown_text(coding)}; send it uncompressed")
    return kind


def _check_length(length: bytes, max_bytes: int) -> None:
    if length.isdigit() and int(length) > max_bytes:
        raise _too_big(max_bytes, f"{int(length)} bytes")


def _too_big(max_bytes: int, found: str) -> Refused:
    return Refused(
        413,
        f"wanted at most {max_bytes / 1e6:g} MB in a request, found {found}; "
        "send fewer rows at a time, or raise serving.max_body_mb in the project file",
    )
