"""Requests that wait for the disk share a sync, and its end."""

import asyncio
import time
from collections.abc import Callable, Coroutine

import pytest

from components.errors import LedgerError
from components.serving.commits import Commits


class Disk:
    """A disk that takes its time, and can be out of order.

    Attributes:
        syncs: How often it was asked.
        error: What it says, if anything.
    """

    def __init__(self) -> None:
        self.syncs = 0
        self.error = ""

    def sync(self) -> None:
        self.syncs += 1
        time.sleep(0.02)
        if self.error:
            raise LedgerError(self.error)


def run(disk: Disk, asked: Callable[[Commits], Coroutine[None, None, None]]) -> None:
    """Let requests wait for that disk, as the service's event loop does."""

    async def inside() -> None:
        await asked(Commits(disk.sync))

    asyncio.run(inside())


def test_requests_that_come_together_share_a_sync():
    """Fifty requests at once are one sync, and one more for those that came while it ran."""
    disk = Disk()

    async def asked(commits: Commits) -> None:
        first = [asyncio.create_task(commits.done()) for _ in range(50)]
        await asyncio.sleep(0.01)
        assert disk.syncs == 1
        await asyncio.gather(*first, *[commits.done() for _ in range(50)])

    run(disk, asked)

    assert disk.syncs == 2


def test_what_comes_during_a_sync_waits_for_the_next():
    """A sync that began before the frame was written says nothing about it."""
    disk = Disk()
    ended: list[int] = []

    async def asked(commits: Commits) -> None:
        first = asyncio.create_task(commits.done())
        await asyncio.sleep(0.01)
        second = asyncio.create_task(commits.done())
        await first
        ended.append(second.done())
        await second

    run(disk, asked)

    assert ended == [False]
    assert disk.syncs == 2


def test_one_that_hangs_up_takes_nobody_along():
    """The others of its group are answered."""
    disk = Disk()

    async def asked(commits: Commits) -> None:
        gone, stays = asyncio.create_task(commits.done()), asyncio.create_task(commits.done())
        await asyncio.sleep(0.005)
        gone.cancel()
        await stays
        assert gone.cancelled()

    run(disk, asked)

    assert disk.syncs == 1


def test_a_sync_that_fails_is_told_to_its_group_alone():
    """All who waited for it are refused; the next group is synced again."""
    disk = Disk()

    async def asked(commits: Commits) -> None:
        disk.error = "no disk"
        told = await asyncio.gather(*[commits.done() for _ in range(3)], return_exceptions=True)
        assert [str(one) for one in told] == ["no disk"] * 3
        disk.error = ""
        await commits.done()

    run(disk, asked)

    assert disk.syncs == 2


def test_a_mistake_of_ours_does_not_hang_the_requests():
    """Whatever the sync raises ends the wait of its group, and the next one is tried."""
    disk = Disk()

    def broken() -> None:
        disk.sync()
        raise RuntimeError("a mistake")

    async def inside() -> None:
        commits = Commits(broken)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="a mistake"):
                await asyncio.wait_for(commits.done(), 5)

    asyncio.run(inside())

    assert disk.syncs == 2
