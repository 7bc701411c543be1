"""What a worker takes and what it refuses: rate, queue, bytes and time, from outside on a real service of its own."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.serving.admission import ANSWERED_IN_A_TURN, CALLERS, Admission, Patience
from components.serving.counters import Counters
from components.serving.keys import add, new_key
from components.serving.refusals import Refused
from components.serving.shedding import is_whole
from components.settings.serving import LimitSettings
from tests.components.serving import tiny
from tests.components.serving.alone import alone
from tests.components.serving.conftest import Service, get, post, send, wait_for

BODY = json.dumps({"rows": [tiny.row()]}).encode()


def request(body: bytes = BODY, *, more: bytes = b"", path: bytes = b"/predict") -> bytes:
    """A request as it goes over the wire."""
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n"
    return head % (path, more, len(body)) + body


def admission(**limits: float) -> Admission:
    """A worker's, with these limits."""
    return Admission(LimitSettings(**limits), Counters(), max_bytes=1_000)


def answer(client: socket.socket) -> tuple[int, bytes]:
    """Status and headers of the next answer on a connection."""
    found = b""
    while b"\r\n\r\n" not in found or len(found) < found.index(b"\r\n\r\n") + 4 + _length(found):
        piece = client.recv(65536)
        assert piece, f"hung up after {found!r}"
        found += piece
    head = found.partition(b"\r\n\r\n")[0] + b"\r\n"
    return int(head[9:12]), head


def _length(found: bytes) -> int:
    return int(found.partition(b"content-length: ")[2].partition(b"\r\n")[0])


def connected(service: Service) -> socket.socket:
    """A connection to the service."""
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


# Rate


def test_a_caller_may_burst_and_then_gets_its_rate():
    """Of ten at once five fit the burst; the sixth is told in how many whole seconds to come again."""
    door = admission(requests_per_second=0.5, burst=5)

    for _ in range(5):
        door.admit("shop")
    with pytest.raises(Refused, match=r"wanted at most 0\.5 requests a second of one caller") as caught:
        door.admit("shop")

    assert (caught.value.status, caught.value.headers()) == (429, [(b"retry-after", b"2")])
    door.admit("another")


def test_the_rate_of_a_bounded_number_of_callers_is_known():
    """Whoever makes addresses up takes no memory; who was silent longest is forgotten first."""
    door = admission(requests_per_second=0.001, burst=1)
    for number in range(CALLERS + 1):
        door.admit(str(number))

    assert len(door._buckets) == CALLERS
    door.admit("0")
    with pytest.raises(Refused):
        door.admit(str(CALLERS))


@pytest.mark.stack
def test_each_key_has_a_rate_of_its_own(tmp_path: Path):
    """One that asks too often is refused with 429 and a time; another one and the probes are answered as before."""
    (fast, fast_kept), (calm, calm_kept) = new_key("fast", ["predict", "admin"]), new_key("calm", ["predict", "admin"])
    for kept in (fast_kept, calm_kept):
        add(tmp_path / "keys", kept)
    limits = "{requests_per_second: 0.1, burst: 3}"

    with alone(tmp_path, limits=limits, EVERFIT_API_KEYS_FILE=str(tmp_path / "keys")) as service:
        found = [post(service.port, "/predict", BODY, **{"x-api-key": fast})[0] for _ in range(5)]
        with connected(service) as client:
            client.sendall(request(more=b"x-api-key: %s\r\n" % fast.encode()))
            status, head = answer(client)
        other = post(service.port, "/predict", BODY, **{"x-api-key": calm})[0]
        pages = [send(service.port, "GET", "/metrics", headers={"x-api-key": fast}) for _ in range(4)]
        known = service.recorded_ids()

    assert found == [200, 200, 200, 429, 429]
    assert status == 429
    assert b"retry-after: 10\r\n" in head
    assert other == 200
    assert [status for status, _ in pages] == [200] * 4
    assert 'everfit_refused_total{reason="rate"} 3.0' in pages[-1][1]
    assert sum(known.values()) == 4


# Queue


def test_a_request_counts_until_the_loop_has_looked_for_others():
    """Those that came together are answered in one turn of the loop: the third has waited for the first two."""

    async def turn() -> list[int]:
        door = admission(queue=2)
        found = []
        for _ in range(2):
            for _ in range(3):
                try:
                    door.admit("")
                    door.enter()
                    door.leave()
                    found.append(200)
                except Refused as refused:
                    found.append(refused.status)
            await asyncio.sleep(0)
        return found

    assert asyncio.run(turn()) == [200, 200, 503] * 2


def test_a_turn_of_the_loop_hands_on_what_the_queue_has_room_for():
    """What is inside, in a thread, takes a place as well; the next turn begins anew."""

    async def turns() -> list[bool]:
        door = admission(queue=2)
        first = [door.expect() for _ in range(3)]
        await asyncio.sleep(0)
        door.enter()
        return first + [door.expect() for _ in range(2)]

    assert asyncio.run(turns()) == [True, True, False, True, False]


def test_a_turn_of_the_loop_answers_a_part_of_the_queue():
    """Between two parts it takes a new connection and refuses what is too much; who came first goes first."""

    async def waits() -> list[int]:
        door = admission(queue=64)
        return [door.enter() for _ in range(64)]

    found = asyncio.run(waits())

    assert found == sorted(found)
    assert [found.count(turn) for turn in range(4)] == [ANSWERED_IN_A_TURN] * 4


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (request(), True),
        (request(more=b"Connection: Keep-Alive\r\n"), True),
        (request(b""), True),
        (request()[:-1], False),
        (request() + b"P", False),
        (request(more=b"connection: close\r\n"), False),
        (request(more=b"expect: 100-continue\r\n"), False),
        (request(more=b"transfer-encoding: chunked\r\n"), False),
        (request(more=b"Content-Length: 3\r\n"), False),
        (request().replace(b"content-length", b"x-length"), False),
        (request(b"\r\ncontent-length: 9\r\n\r\n"), True),
    ],
)
def test_only_a_whole_usual_request_is_refused_unparsed(data: bytes, wanted: bool):
    """Whatever the parser could read otherwise is left to it."""
    assert is_whole(data) is wanted


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with room for one request."""
    with alone(tmp_path_factory.mktemp("narrow"), limits="{queue: 1, seconds: 5}") as service:
        yield service


@pytest.mark.stack
def test_requests_one_after_the_other_are_never_refused(narrow: Service):
    """A queue of one is enough for one caller, on one connection and on many."""
    assert [post(narrow.port, "/predict", BODY)[0] for _ in range(50)] == [200] * 50
    with connected(narrow) as client:
        for _ in range(50):
            client.sendall(request())
            assert answer(client)[0] == 200


@pytest.mark.stack
def test_a_full_queue_answers_503_at_once_and_keeps_the_connection(narrow: Service):
    """Of many at the same time some are answered; the rest is told when to come again, and nothing of it is kept."""
    before = sum(narrow.recorded_ids().values())
    found: list[tuple[int, bytes]] = []
    start = threading.Barrier(16)

    def ask() -> None:
        with connected(narrow) as client:
            start.wait()
            for _ in range(200):
                client.sendall(request())
                found.append(answer(client))

    with ThreadPoolExecutor(16) as clients:
        for done in [clients.submit(ask) for _ in range(16)]:
            done.result()

    assert len(found) == 16 * 200
    told = [status for status, _ in found]
    assert set(told) == {200, 503}
    assert all(b"retry-after: 1\r\n" in head for status, head in found if status == 503)
    assert sum(narrow.recorded_ids().values()) - before == told.count(200)
    page = get(narrow.port, "/metrics")[1]
    assert f'everfit_refused_total{{reason="queue"}} {told.count(503):.1f}' in page


@pytest.mark.stack
def test_what_looks_like_a_request_inside_a_body_is_a_body(narrow: Service):
    """Whatever was refused before its body came: no part of a body is ever answered as a request."""
    inner = request() * 40
    refused = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(
        inner
    )
    with connected(narrow) as client:
        client.sendall(refused)
        first = answer(client)
        for piece in range(40):
            client.sendall(inner[piece * len(request()) : (piece + 1) * len(request())])
            time.sleep(0.005)
        client.sendall(request())
        second = answer(client)

    assert (first[0], second[0]) == (415, 200)


@pytest.mark.stack
def test_slow_senders_take_no_place_in_the_queue(narrow: Service):
    """A hundred bodies that never come leave room for those that do."""
    slow = [connected(narrow) for _ in range(100)]
    for client in slow:
        client.sendall(request()[:-5])

    found = [post(narrow.port, "/predict", BODY)[0] for _ in range(20)]

    for client in slow:
        client.close()
    assert found == [200] * 20


# Bytes


def test_bodies_that_come_in_pieces_share_what_a_worker_may_hold():
    """Four of the biggest; what is let go makes room."""
    door = admission()
    for _ in range(4):
        door.hold(1_000)

    with pytest.raises(Refused, match=r"wanted at most 0\.004 MB of requests at once") as caught:
        door.hold(1)
    assert caught.value.status == 503
    door.hold(-1_001)
    door.hold(1_000)


@pytest.mark.stack
def test_bytes_of_requests_that_ended_are_given_back(narrow: Service):
    """After many bodies in pieces, answered, refused and hung up in the middle, there is as much room as before."""
    big = BODY[:-1] + b" " * (150_000 - len(BODY)) + BODY[-1:]
    for _ in range(8):
        for half in (request(big)[:100_000], request(big[:-1] + b"!")):
            with connected(narrow) as client:
                client.sendall(half)
                time.sleep(0.01)

    wait_for(lambda: post(narrow.port, "/predict", big)[0] == 200, seconds=5)
    assert [post(narrow.port, "/predict", big)[0] for _ in range(8)] == [200] * 8


# Time


def test_who_waited_too_long_is_told_whose_time_is_over():
    """The caller's counts from the headers, the service's from when the body is there."""
    called = Patience({b"x-request-timeout": b"0.5"}, seconds=10, arrived=time.perf_counter() - 1)
    waiting = Patience({}, seconds=0.01, arrived=time.perf_counter() - 100)
    waiting.check()
    waiting.body_is_there()
    waiting.check()
    time.sleep(0.02)

    with pytest.raises(Refused, match=r"wanted to begin within the 0.5 s of x-request-timeout") as deadline:
        called.check()
    with pytest.raises(Refused, match=r"wanted to begin within 0.01 s \(serving.limits.seconds\)") as late:
        waiting.check()

    assert (deadline.value.status, late.value.status) == (504, 503)
    assert late.value.headers() == [(b"retry-after", b"1")]


@pytest.mark.parametrize("sent", [b"soon", b"0", b"-1", b"nan", b"inf", b"1e400", b""])
def test_a_time_that_is_none_is_refused(sent: bytes):
    """Rather than guessed."""
    with pytest.raises(Refused, match="wanted seconds above 0 in the header x-request-timeout") as caught:
        Patience({b"x-request-timeout": sent}, seconds=1, arrived=0)

    assert caught.value.status == 400


@pytest.mark.stack
def test_a_caller_that_is_in_no_hurry_is_answered(narrow: Service):
    """Its time is respected, from a microsecond, which is over before anything begins, to an hour."""
    before = sum(narrow.recorded_ids().values())

    found = [post(narrow.port, "/predict", BODY, **{"x-request-timeout": sent}) for sent in ("1e-6", "3600", "x")]

    assert [status for status, _ in found] == [504, 200, 400]
    assert "nothing was predicted" in found[0][1]["error"]
    assert sum(narrow.recorded_ids().values()) == before + 1
    assert 'everfit_refused_total{reason="deadline"} 1.0' in get(narrow.port, "/metrics")[1]
