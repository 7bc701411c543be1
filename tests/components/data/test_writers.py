"""Frames come to the disk together; what a writer's file looks like is in test_segments.py."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.data.segments import read_frames, segments
from components.data.writers import SegmentWriter
from components.errors import LedgerError

fdatasync = os.fdatasync


def in_threads(work: Callable[[int], None], count: int) -> None:
    """Do it in so many threads at once."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_frames_that_wait_at_the_same_time_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sixteen threads on a slow disk need a few syncs, not one each, and none returns before one that began later."""
    begun: list[float] = []
    late: list[str] = []

    def slow(descriptor: int) -> None:
        begun.append(time.perf_counter())
        time.sleep(0.02)
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    writer = SegmentWriter(tmp_path, "predictions", durability="disk")

    def append_some(number: int) -> None:
        for count in range(5):
            asked = time.perf_counter()
            writer.append(f"{number}:{count}".encode())
            if not any(asked <= sync <= time.perf_counter() - 0.02 for sync in list(begun)):
                late.append(f"{number}:{count}")

    in_threads(append_some, 16)

    payloads, _ = read_frames(segments(tmp_path, "predictions")[0])
    assert len(set(payloads)) == 80
    assert late == []
    assert len(begun) <= 20


def test_appending_does_not_wait_for_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While the disk takes its time others go on writing, and their frames need a sync of their own."""
    may_end = threading.Event()
    begun: list[int] = []

    def hanging(descriptor: int) -> None:
        begun.append(descriptor)
        assert may_end.wait(10)
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", hanging)
    writer = SegmentWriter(tmp_path, "predictions", durability="disk", syncs_apart=True)
    writer.append(b"one")
    syncing = threading.Thread(target=writer.sync)
    syncing.start()
    while not begun:
        time.sleep(0.001)

    writer.append(b"two")
    appended_meanwhile = syncing.is_alive()
    may_end.set()
    syncing.join()
    writer.sync()

    assert appended_meanwhile
    assert len(begun) == 2


def test_segments_that_were_full_before_the_sync_are_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A sync covers all that was appended before it, in however many files it stands; then there is nothing to do."""
    synced: list[int] = []

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    writer = SegmentWriter(tmp_path, "predictions", durability="disk", rotate_bytes=100, syncs_apart=True)
    for _ in range(5):
        writer.append(b"x" * 60)

    writer.sync()
    writer.sync()

    assert sorted(synced) == sorted(file.stat().st_ino for file in segments(tmp_path, "predictions"))
    assert len(synced) == 3


def test_whoever_waited_for_a_failed_sync_is_told_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each frame that the disk did not confirm is refused; those before and after it are kept."""
    told: dict[int, str] = {}

    def fails(_descriptor: int) -> None:
        time.sleep(0.02)
        raise OSError("Input/output error")

    writer = SegmentWriter(tmp_path, "predictions", durability="disk")
    writer.append(b"before")

    def append_one(number: int) -> None:
        try:
            writer.append(str(number).encode())
        except LedgerError as err:
            told[number] = str(err)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        in_threads(append_one, 5)
    writer.append(b"after")

    assert sorted(told) == [0, 1, 2, 3, 4]
    assert all("but the system said: Input/output error; check the disk" in message for message in told.values())
    frames = [frame for file in segments(tmp_path, "predictions") for frame in read_frames(file)[0]]
    assert sorted(frames) == [b"0", b"1", b"2", b"3", b"4", b"after", b"before"]


def test_a_failed_sync_is_told_once_to_whoever_syncs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever syncs for many hears of a failure, and the next sync is about the next frames."""

    def fails(_descriptor: int) -> None:
        raise OSError("Input/output error")

    writer = SegmentWriter(tmp_path, "predictions", durability="disk", syncs_apart=True)
    writer.append(b"one")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(LedgerError, match="Input/output error"):
            writer.sync()
    writer.append(b"two")
    writer.sync()
    writer.close()

    assert sorted(read_frames(file)[0] for file in segments(tmp_path, "predictions")) == [[b"one"], [b"two"]]
