import fcntl
import logging
import os
import threading
import time

import pytest

from components.data.frames import HEADER, MAGIC
from components.data.segments import read_frames, retire, segments
from components.data.writers import LOOK_SECONDS, SegmentWriter
from components.errors import LedgerError
from tests.components.data.ledgers import run_python


@pytest.fixture
def writer(tmp_path):
    """A writer without a file yet."""
    writer = SegmentWriter(tmp_path, "predictions")
    yield writer
    writer.close()


def test_what_was_appended_is_read_in_order(writer, tmp_path):
    """Frames come back whole and in order, and reading goes on from where it ended."""
    for payload in (b"one", b"", b"three" * 1000):
        writer.append(payload)
    (segment,) = segments(tmp_path, "predictions")

    first, end = read_frames(segment)
    writer.append(b"four")
    second, _ = read_frames(segment, end)

    assert first == [b"one", b"", b"three" * 1000]
    assert second == [b"four"]


def test_nothing_is_made_before_the_first_append(tmp_path):
    """A process that never answers leaves no file behind."""
    SegmentWriter(tmp_path / "never", "predictions").close()

    assert segments(tmp_path / "never", "predictions") == []
    assert not (tmp_path / "never").exists()


def test_the_file_name_says_kind_process_and_start(writer, tmp_path):
    """An operator can tell from a file's name whose it is and since when."""
    writer.append(b"one")

    kind, start, process, chance = segments(tmp_path, "predictions")[0].stem.split("-")

    assert (kind, process) == ("predictions", str(os.getpid()))
    assert start.startswith("20")
    assert len(chance) == 8


def test_kinds_do_not_mix(writer, tmp_path):
    """A reader of labels does not see predictions."""
    writer.append(b"one")

    assert segments(tmp_path, "labels") == []


def test_threads_may_share_a_writer(writer, tmp_path):
    """Frames of eight threads stand whole beside each other."""

    def append_many(number: int) -> None:
        for count in range(100):
            writer.append(f"{number}:{count}".encode() * 50)

    threads = [threading.Thread(target=append_many, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    payloads, _ = read_frames(segments(tmp_path, "predictions")[0])

    assert sorted(payloads) == sorted(f"{n}:{c}".encode() * 50 for n in range(8) for c in range(100))


def test_a_full_segment_is_followed_by_another(tmp_path):
    """A segment that has reached its size is let go, so that it can be deleted while the writer goes on."""
    writer = SegmentWriter(tmp_path, "predictions", rotate_bytes=100)

    for _ in range(5):
        writer.append(b"x" * 60)

    found = segments(tmp_path, "predictions")
    # 72 bytes a frame: a second one begins below 100, a third would begin above.
    assert sorted(len(read_frames(segment)[0]) for segment in found) == [1, 2, 2]
    assert sum(retire(segment, 10_000) for segment in found) == 2


@pytest.mark.parametrize("kept_bytes", [1, 5, HEADER.size, HEADER.size + 3])
def test_a_torn_last_frame_is_not_read(writer, tmp_path, kept_bytes):
    """What a killed writer has left behind half written is ignored, wherever it was cut."""
    writer.append(b"whole")
    (segment,) = segments(tmp_path, "predictions")
    whole = segment.stat().st_size
    writer.append(b"torn apart")
    os.truncate(segment, whole + kept_bytes)

    payloads, end = read_frames(segment)

    assert payloads == [b"whole"]
    assert end == whole


def test_a_torn_segment_is_deleted_once_it_was_read(writer, tmp_path, caplog):
    """A torn last frame was never acknowledged: its segment goes when the rest was read, and the log says so."""
    writer.append(b"whole")
    (segment,) = segments(tmp_path, "predictions")
    whole = segment.stat().st_size
    writer.append(b"torn apart")
    writer.close()
    os.truncate(segment, whole + 5)

    gone = retire(segment, whole)

    assert gone
    assert not segment.exists()
    assert "torn frame dropped" in caplog.text
    assert "bytes=5" in caplog.text


def test_damage_in_the_middle_costs_only_the_damaged_frame(writer, tmp_path, caplog):
    """A flipped bit does not hide the frames behind it; the log says what is lost, and the file is kept."""
    for payload in (b"one", b"two", b"three"):
        writer.append(payload)
    writer.close()
    (segment,) = segments(tmp_path, "predictions")
    content = bytearray(segment.read_bytes())
    content[2 * HEADER.size + len(b"one")] ^= 1
    segment.write_bytes(content)

    payloads, end = read_frames(segment)
    gone = retire(segment, end)

    assert payloads == [b"one", b"three"]
    assert gone
    assert "ledger damaged" in caplog.text
    assert f"from_byte={HEADER.size + 3} to_byte={2 * HEADER.size + 6}" in caplog.text
    assert segment.with_suffix(".damaged").read_bytes() == bytes(content)


def test_a_damaged_length_hides_nothing(writer, tmp_path):
    """A frame that claims to be longer than the file is not taken for a torn end while whole frames follow it."""
    for payload in (b"one", b"two"):
        writer.append(payload)
    (segment,) = segments(tmp_path, "predictions")
    content = bytearray(segment.read_bytes())
    content[len(MAGIC) + 3] = 0x7F
    segment.write_bytes(content)

    payloads, _ = read_frames(segment)

    assert payloads == [b"two"]


def test_a_damaged_end_is_kept_for_a_person(writer, tmp_path, caplog):
    """A last frame of full length that does not match its checksum may have been acknowledged: it is not deleted."""
    writer.append(b"one")
    writer.append(b"two")
    writer.close()
    (segment,) = segments(tmp_path, "predictions")
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)

    payloads, end = read_frames(segment)
    retire(segment, end)

    assert payloads == [b"one"]
    assert segment.with_suffix(".damaged").exists()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_segment_that_is_being_written_is_not_deleted(writer, tmp_path):
    """As long as its writer lives a segment stays, however much of it was read."""
    writer.append(b"one")
    (segment,) = segments(tmp_path, "predictions")

    gone = retire(segment, 10_000)

    assert not gone
    assert segment.exists()


def test_a_segment_that_was_not_read_to_its_end_is_not_deleted(writer, tmp_path):
    """An abandoned segment with frames that nobody has taken stays."""
    writer.append(b"one")
    (segment,) = segments(tmp_path, "predictions")
    end = segment.stat().st_size
    writer.append(b"two")
    writer.close()

    assert not retire(segment, end)
    assert segment.exists()


def test_a_segment_is_never_seen_unlocked(writer, tmp_path):
    """A reader that finds a new segment finds it locked: it can not take it for abandoned."""
    writer.append(b"one")
    (segment,) = segments(tmp_path, "predictions")

    with segment.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_deleted_file_is_noticed(writer, tmp_path):
    """What is appended a moment after someone has deleted the file goes to a new one instead of nowhere."""
    writer.append(b"one")
    segments(tmp_path, "predictions")[0].unlink()
    time.sleep(LOOK_SECONDS)

    writer.append(b"two")

    assert read_frames(segments(tmp_path, "predictions")[0])[0] == [b"two"]


def test_a_frame_that_does_not_fit_leaves_nothing_behind(tmp_path):
    """On a full disk the caller is told, the file ends where it ended before, and later frames that fit are kept."""
    program = """
import resource, sys
from pathlib import Path
from components.data.segments import segments
from components.data.writers import SegmentWriter
from components.errors import LedgerError
folder = Path(sys.argv[1])
writer = SegmentWriter(folder, "predictions")
writer.append(b"a" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))  # the system takes only a part of a write
try:
    writer.append(b"b" * 1000)
except LedgerError as err:
    print(err)
print(segments(folder, "predictions")[0].stat().st_size)
writer.append(b"c" * 100)
"""

    message, size = run_python(program, tmp_path).splitlines()

    assert "wanted to append 1,012 bytes" in message
    assert "File too large" in message
    assert "make room on that disk" in message
    assert int(size) == HEADER.size + 1000
    assert read_frames(segments(tmp_path, "predictions")[0])[0] == [b"a" * 1000, b"c" * 100]


def test_a_frame_that_may_not_be_on_disk_is_not_taken_back(tmp_path, monkeypatch):
    """When the disk does not confirm, the caller is told and later frames go to another file: no reader skips them."""
    writer = SegmentWriter(tmp_path, "predictions", durability="disk")
    writer.append(b"one")

    def fails(_descriptor: int) -> None:
        raise OSError("Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(LedgerError, match=r"on the disk, but .*Input/output error.*; check"):
            writer.append(b"two")
    writer.append(b"three")

    found = sorted(read_frames(segment)[0] for segment in segments(tmp_path, "predictions"))
    assert found == [[b"one", b"two"], [b"three"]]


def test_a_segment_that_cannot_be_read_is_said(tmp_path):
    """A segment that the system does not let us read is named; one that is gone was read before."""
    (tmp_path / "predictions-1.seg").mkdir()

    with pytest.raises(LedgerError, match=r"wanted to read the segment .*predictions-1.seg, but .*; make the file"):
        read_frames(tmp_path / "predictions-1.seg")
    with pytest.raises(FileNotFoundError):
        read_frames(tmp_path / "predictions-2.seg")


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    """A ledger that cannot be begun names the folder and the system's reason."""
    (tmp_path / "file").write_text("in the way")
    writer = SegmentWriter(tmp_path / "file" / "segments", "predictions")

    with pytest.raises(
        LedgerError, match=r"wanted to begin a segment in .*segments, but .*Not a directory.*; make room"
    ):
        writer.append(b"one")


def test_reading_can_be_limited(writer, tmp_path):
    """A long segment is read in stretches, and a frame longer than the stretch is read whole."""
    for payload in (b"a" * 100, b"b" * 100, b"c" * 100):
        writer.append(payload)
    (segment,) = segments(tmp_path, "predictions")

    first, end = read_frames(segment, max_bytes=50)
    rest, _ = read_frames(segment, end, max_bytes=150)

    assert first == [b"a" * 100]
    assert rest == [b"b" * 100, b"c" * 100]
