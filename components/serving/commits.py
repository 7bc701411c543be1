"""Answers that wait for the disk at the same time share one sync of the ledger.

With `durability: process` nobody waits: an append is one write into the page cache, 6 us with all that goes before it,
and to gather several would cost each request a future and a turn of the loop, 13 us (tests/benchmarks/ledger.py).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Commits:
    """Groups of requests, each of which is synced once; used by one event loop only.

    Args:
        sync: Returns once all that was recorded before is on the disk; raises if it may not be.
    """

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="everfit-commit")
        self._next: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def done(self) -> None:
        """Returns once whatever its caller has recorded is on the disk.

        Raises:
            LedgerError: If it may not be; what the sync raised, that is.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        group = self._next
        if self._running is None:
            self._running = asyncio.create_task(self._sync_groups())
        # Shielded: the others of the group still wait when one of them goes.
        await asyncio.shield(group)

    async def _sync_groups(self) -> None:
        """Sync group after group, until nobody waits; who comes during a sync is in the next group."""
        while (group := self._next) is not None:
            self._next = None
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._sync)
            except BaseException as err:  # noqa: BLE001 - whatever it is, its group must not wait for ever
                group.set_exception(err)
                group.exception()  # all of the group may be gone, and nobody else would ask
            else:
                group.set_result(None)
        self._running = None
