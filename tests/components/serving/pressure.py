"""An application that asks at a fixed rate over many connections, whatever is answered and however late."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import uvloop

LAST_ANSWERS_SECONDS = 10.0
HEAD = b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"


@dataclass
class Found:
    """What came back.

    Attributes:
        answers: How many there were, by status.
        seconds: How long each took, by status, from when it was due.
        bodies: The answers with 200, if they are kept.
        without_retry: Answers with 429 or 503 that did not say when to come again.
        unanswered: Requests that were not answered until the end, or whose connection was closed.
        lasted_seconds: From the first request to the last.
        ended: When the last was sent, of `time.perf_counter`.
    """

    answers: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    without_retry: int = 0
    unanswered: int = 0
    lasted_seconds: float = 0.0
    ended: float = 0.0


def press(
    port: int, body: bytes, *, rate: float, connections: int, seconds: float, keeps_bodies: bool = False
) -> Found:
    """Send requests at a rate that does not depend on the answers, as far as each connection has its last answer.

    Args:
        port: Where the service listens on the loopback.
        body: What every request holds.
        rate: Requests a second, of all connections together.
        connections: Over how many of them; a request that is due waits while the one before it is not answered, and
            that wait is part of its time.
        seconds: How long.
        keeps_bodies: Whether the answers are of interest.
    """
    found = Found()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_press(found, port, HEAD % (len(body), body), rate, connections, seconds, keeps_bodies))
    return found


async def _press(
    found: Found, port: int, request: bytes, rate: float, connections: int, seconds: float, keeps_bodies: bool
) -> None:
    loop = asyncio.get_running_loop()
    every_seconds = connections / rate
    callers = [_Caller(found, request, every_seconds, keeps_bodies) for _ in range(connections)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)  # type: ignore[misc]
    begin = time.perf_counter()
    for number, caller in enumerate(callers):
        caller.begin(begin + number / rate, begin + seconds)
    await asyncio.sleep(max(0.0, begin + seconds - time.perf_counter()))
    found.ended = time.perf_counter()
    found.lasted_seconds = found.ended - begin
    end = found.ended + LAST_ANSWERS_SECONDS
    while any(caller.is_waiting for caller in callers) and time.perf_counter() < end:
        await asyncio.sleep(0.01)
    found.unanswered += sum(caller.is_waiting for caller in callers)
    for caller in callers:
        caller.close()


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, found: Found, request: bytes, every_seconds: float, keeps_bodies: bool) -> None:
        self.is_waiting = False
        self._found = found
        self._request = request
        self._due = 0.0
        self._until = 0.0
        self._every_seconds = every_seconds
        self._keeps_bodies = keeps_bodies
        self._sent_due = 0.0
        self._heard = b""
        self._is_closing = False

    def begin(self, due: float, until: float) -> None:
        """Send the first at one moment and none after another."""
        self._due, self._until = due, until
        self._next()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closing:
            self._found.unanswered += 1
            self.is_waiting = False
            self._until = 0.0

    def close(self) -> None:
        self._is_closing = True
        self._transport.close()

    def _next(self) -> None:
        """Send the next one when it is due, or at once if that is over."""
        now = time.perf_counter()
        wait_seconds = self._due - now
        if max(now, self._due) >= self._until:
            return
        if wait_seconds <= 0:
            self._send(self._due)
        else:
            # The loop's timers are a millisecond coarse, which is no part of the answer's time.
            asyncio.get_running_loop().call_later(wait_seconds, lambda: self._send(time.perf_counter()))

    def _send(self, due: float) -> None:
        if self._until == 0.0:
            return
        self._sent_due = due
        self._due += self._every_seconds
        self.is_waiting = True
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._heard += data
        end = self._heard.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._heard[: end + 2]
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._heard) < end + 4 + length:
            return
        status = int(head[9:12])
        self._found.answers[status] += 1
        self._found.seconds.setdefault(status, []).append(time.perf_counter() - self._sent_due)
        self._found.without_retry += status in (429, 503) and b"retry-after: " not in head
        if self._keeps_bodies and status == 200:
            self._found.bodies.append(self._heard[end + 4 :])
        self._heard = b""
        self.is_waiting = False
        self._next()
