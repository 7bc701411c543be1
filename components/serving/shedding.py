"""Refusing a request of a full worker before it is even parsed.

A refusal by the application takes a third of what an answer does (53 of 158 us of CPU), so under twice the load that it
can bear a worker would spend half of its time on saying no. Most requests come in one piece with all of their body: of
these, one turn of the loop hands on only as many as the queue has room for, and answers the others with the same bytes
each. A request that comes in pieces is refused by the application.
"""

import re
from typing import Any, Protocol

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from components.serving.admission import Admission

POST = re.compile(rb"POST (/predict|/labels) HTTP/1\.1\r\n")
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
# Whoever names one of these may want something that only a parser can give.
UNUSUAL = re.compile(rb"\r\n(?:connection|expect|transfer-encoding|upgrade)[ \t]*:", re.IGNORECASE)
KEEP_ALIVE = re.compile(rb"\r\nconnection: *keep-alive(?=\r\n)", re.IGNORECASE)

BODY = b'{"error":"wanted room in the queue (serving.limits.queue), found it full; send it again later"}'
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class Gate(Protocol):
    """What the connections ask; `components.serving.app.App` is one."""

    admission: Admission


class SheddingProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn chooses its base at run time
    """One connection to a worker.

    Args:
        gate: Says whether the worker is full, from when its application is open.
        options: What uvicorn gives.
    """

    def __init__(self, gate: Gate, **options: Any) -> None:
        super().__init__(**options)
        self._admission = gate.admission

    def data_received(self, data: bytes) -> None:
        """Hand on what came, or refuse it."""
        asked = POST.match(data)
        if asked is None or not self._is_between_requests() or self._admission.expect() or not is_whole(data):
            super().data_received(data)
            return
        self._admission.shed(asked[1].decode())
        self._unset_keepalive_if_required()
        self.transport.write(ANSWER)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _is_between_requests(self) -> bool:
        """Whether the parser waits for a new request; what looks like one may be part of a body otherwise."""
        return self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)


def is_whole(data: bytes) -> bool:
    """Whether this is one whole request, neither less nor more, that asks for nothing unusual."""
    end = data.find(b"\r\n\r\n")
    head = data[: end + 2]
    lengths = LENGTH.findall(head)
    if end < 0 or len(lengths) != 1 or len(data) != end + 4 + int(lengths[0]):
        return False
    return len(UNUSUAL.findall(head)) == len(KEEP_ALIVE.findall(head))
