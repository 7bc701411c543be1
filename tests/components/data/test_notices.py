"""Each notice is written down once for each receiver, sent by one, and given up after some tries."""

from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread

import pytest

from components.data.notices import ABANDONED, MAX_TRIES, Notices
from components.records.notices import Notice

BREACH = Notice("flights", "breach", "breach/week-1", "week 1 is breached", "47% drifted", "report.html", 3)


@pytest.fixture
def box(tmp_path: Path) -> Notices:
    """An empty outbox of notices."""
    return Notices(f"sqlite:///{tmp_path}/decisions.db")


def test_the_same_happening_is_written_down_once_for_each_receiver(box: Notices):
    """A window that is measured again tells nobody again; a receiver that was added later is told."""
    first = box.add(BREACH, ["slack-webhook/team", "slack-webhook/team"])
    again = box.add(BREACH, ["slack-webhook/team"])
    later = box.add(BREACH, ["slack-webhook/team", "custom-webhook/pager"])

    assert (first, again, later) == (1, 0, 1)
    assert [(entry.block, entry.notice) for entry in box.due("flights")] == [
        ("slack-webhook/team", BREACH),
        ("custom-webhook/pager", BREACH),
    ]
    assert box.due("another") == []


def test_of_two_that_send_at_once_one_gets_the_notice(box: Notices, tmp_path: Path):
    """Nobody is told twice by a flow and a reconcile that meet."""
    box.add(BREACH, ["custom-webhook/pager"])
    (entry,) = box.due("flights")
    start, got = Barrier(6), []

    def take() -> None:
        mine = Notices(f"sqlite:///{tmp_path}/decisions.db")
        start.wait()
        got.append(mine.take(entry))

    threads = [Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [False] * 5 + [True]
    assert box.due("flights") == []


def test_what_was_received_is_not_due_any_more(box: Notices):
    """It stays in the history."""
    box.add(BREACH, ["custom-webhook/pager"])
    (entry,) = box.due("flights")

    taken, told = box.take(entry), box.told(entry)

    assert (taken, told) == (True, True)
    assert box.due("flights") == []
    assert [(e.state, e.tries) for e in box.history("flights")] == [("told", 1)]


def test_a_receiver_that_never_answers_is_given_up(box: Notices):
    """After some tries a person must look; the reason stands there."""
    box.add(BREACH, ["custom-webhook/pager"])
    given_up = []
    for _ in range(MAX_TRIES):
        (entry,) = box.due("flights")
        box.take(entry)
        given_up.append(box.failed(entry, "it answered 500"))

    (last,) = box.history("flights")

    assert given_up == [False] * (MAX_TRIES - 1) + [True]
    assert (last.state, last.tries, last.failure) == ("given_up", MAX_TRIES, "it answered 500")
    assert box.due("flights") == []


def test_what_someone_took_who_is_gone_is_due_again(box: Notices):
    """A process killed while it sent leaves its notice to the next."""
    box.add(BREACH, ["custom-webhook/pager"])
    box.take(box.due("flights")[0])

    soon, late = box.due("flights"), box.due("flights", datetime.now(UTC) + ABANDONED)

    assert soon == []
    assert [entry.state for entry in late] == ["sending"]
    assert box.take(late[0])


def test_the_history_can_be_cut_to_the_newest(box: Notices):
    """A list for a person."""
    for number in range(5):
        box.add(Notice("flights", "promotion", f"promotion/{number}", "subject", "reason"), ["b/c"])

    assert [entry.notice.key for entry in box.history("flights", 2)] == ["promotion/3", "promotion/4"]
