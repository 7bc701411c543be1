"""Which requests are taken, and how long they may wait: what cannot be answered in time is refused at once.

Under too much load a service that takes everything answers everything too late. So a worker holds a bounded number of
requests and bytes, and what comes on top is refused before its body is read, which costs little of what an answer does.
"""

import asyncio
import math
import time
from collections import Counter, OrderedDict

from components.serving.counters import Counters
from components.serving.refusals import Refused
from components.settings.serving import LimitSettings

# So many of the biggest bodies may be in a worker at once: one is read while others wait for their thread.
BIGGEST_BODIES = 4
# The rate of so many callers is known; the one that was silent longest is forgotten first, which gives it a new burst.
CALLERS = 10_000
# They take 2 to 3 ms.
ANSWERED_IN_A_TURN = 16

TIMEOUT_HEADER = b"x-request-timeout"


class Admission:
    """What one worker has taken so far; used by its event loop only.

    Args:
        limits: The project's `serving.limits`.
        counters: Told what was refused unparsed.
        max_bytes: Largest body of one request.
    """

    def __init__(self, limits: LimitSettings, counters: Counters, *, max_bytes: int) -> None:
        self._counters = counters
        self.seconds = limits.seconds
        self._limits = limits
        self._max_held_bytes = BIGGEST_BODIES * max_bytes
        self._held_bytes = 0
        self._inside = 0
        self._just_answered = 0
        self._expected = 0
        self._shed: Counter[str] = Counter()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, caller: str) -> None:
        """Let a request in if there is room for it and its caller is not too fast.

        Args:
            caller: Name of its key, or its address.

        Raises:
            Refused: 503 if the worker is full, 429 if this caller asked too often.
        """
        self._check_room()
        if self._limits.requests_per_second is not None:
            wait_seconds = self._wait_seconds(caller, self._limits.requests_per_second)
            if wait_seconds:
                raise Refused(
                    429,
                    f"wanted at most {self._limits.requests_per_second:g} requests a second of one caller, found more; "
                    f"send it again in {wait_seconds:.1f} s",
                    retry_seconds=math.ceil(wait_seconds),
                    reason="rate",
                )

    def enter(self) -> int:
        """Take the place of a request whose body is there: one that is still being sent holds bytes, and no place.

        Returns:
            How many turns of the loop it should wait: between two turns the loop takes one new connection and refuses
            what is too much, and neither should wait until a whole queue is answered.

        Raises:
            Refused: 503 if the worker became full while the body came.
        """
        self._check_room()
        turns = (self._inside + self._just_answered) // ANSWERED_IN_A_TURN
        self._inside += 1
        return turns

    def leave(self) -> None:
        """Give the place back, once the loop has looked for new requests.

        What came in together is answered one after the other in one turn of the loop. Those at the end of the turn have
        waited for all before them, so these still count.
        """
        self._inside -= 1
        if not self._just_answered:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._just_answered += 1

    def hold(self, size: int) -> None:
        """Count bytes of a body that comes in pieces; negative once they are let go.

        Raises:
            Refused: 503 if the worker holds too many.
        """
        self._held_bytes += size
        if size > 0 and self._held_bytes > self._max_held_bytes:
            raise Refused(
                503,
                f"wanted at most {self._max_held_bytes / 1e6:g} MB of requests at once, found more; send it again",
                reason="bytes",
            )

    def expect(self) -> bool:
        """Whether there is room for a request that is not parsed yet; if so, it is expected from now on."""
        if self._inside + self._expected >= self._limits.queue:
            return False
        if not self._expected:
            # Called before the first of them begins: what is inside by then counts itself.
            asyncio.get_running_loop().call_soon(self._all_begin)
        self._expected += 1
        return True

    def shed(self, route: str) -> None:
        """Count a request that was refused unparsed, all of a turn at once: counting each would cost a third of it."""
        if not self._shed:
            asyncio.get_running_loop().call_soon(self._tell_shed)
        self._shed[route] += 1

    def _all_begin(self) -> None:
        self._expected = 0

    def _tell_shed(self) -> None:
        for route, count in self._shed.items():
            self._counters.shed(route, count)
        self._shed.clear()

    def _check_room(self) -> None:
        if self._inside + self._just_answered >= self._limits.queue:
            raise Refused(
                503,
                f"wanted fewer than {self._limits.queue} requests at once, found as many; send it again later",
                reason="queue",
            )

    def _next_turn(self) -> None:
        self._just_answered = 0

    def _wait_seconds(self, caller: str, rate: float) -> float:
        """Take one token of the caller's bucket; seconds until there is one, 0 if it was taken."""
        now = time.monotonic()
        tokens, since = self._buckets.pop(caller, (float(self._limits.burst), now))
        tokens = min(self._limits.burst, tokens + (now - since) * rate)
        is_taken = tokens >= 1
        self._buckets[caller] = (tokens - is_taken, now)
        if len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if is_taken else (1 - tokens) / rate


class Patience:
    """Until when an answer is of use: the caller may say so, and the project's `serving.limits.seconds` does.

    The project's counts from when the whole body is there, since only then it is the service that is waited for (a body
    has a time of its own, see `components.serving.bodies`); the caller's counts from when its headers are there.

    Args:
        headers: Headers of the request.
        seconds: The project's.
        arrived: When the headers were there, of `time.perf_counter`.

    Raises:
        Refused: 400 if the header x-request-timeout is not a positive number of seconds.
    """

    def __init__(self, headers: dict[bytes, bytes], *, seconds: float, arrived: float) -> None:
        self._seconds = seconds
        self._until = math.inf
        self._asked_seconds = math.inf
        self._called_until = math.inf
        asked = headers.get(TIMEOUT_HEADER)
        if asked is not None:
            self._asked_seconds = _seconds(asked)
            self._called_until = arrived + self._asked_seconds

    def body_is_there(self) -> None:
        """From now on it is the service that is waited for."""
        self._until = time.perf_counter() + self._seconds

    def check(self) -> None:
        """To be asked wherever work begins: an answer that nobody waits for is not worth it.

        Raises:
            Refused: 504 once the caller's time has passed, 503 once the project's has.
        """
        now = time.perf_counter()
        if now >= self._called_until:
            raise Refused(
                504,
                f"wanted to begin within the {self._asked_seconds:g} s of x-request-timeout, found them over; "
                "nothing was predicted",
                reason="deadline",
            )
        if now >= self._until:
            raise Refused(
                503,
                f"wanted to begin within {self._seconds:g} s (serving.limits.seconds), found them over; nothing was "
                "predicted: send it again later",
                reason="late",
            )


def _seconds(sent: bytes) -> float:
    try:
        seconds = float(sent)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Refused(400, "wanted seconds above 0 in the header x-request-timeout, found something else; leave it out")
    return seconds
