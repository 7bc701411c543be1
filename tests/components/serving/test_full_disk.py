"""A full disk under the ledger, of a real file system of two megabytes."""

import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.components.serving import tiny
from tests.components.serving.alone import alone
from tests.components.serving.conftest import NAME, Service, get, post, wait_for


@dataclass
class SmallDisk:
    """A file system that is soon full.

    Attributes:
        folder: Where it stands.
    """

    folder: Path

    def fill(self) -> None:
        """Leave no byte free, but for what is left in files' last pages."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 16, 1 << 12):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    continue

    def make_room(self) -> None:
        """As someone does who was called."""
        (self.folder / "filler").unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Two megabytes of memory as a file system; needs root."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "everfit-test", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system can be mounted by root alone: {mounted.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def ask(service: Service) -> tuple[int, list[str], str | None]:
    """One request: status, ids, and what the answer says about being kept."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    body = json.dumps({"rows": [tiny.row(), tiny.row()]})
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, [one["id"] for one in said.get("predictions", [])], answer.headers.get("x-everfit-kept")


def label(service: Service, name: str) -> int:
    """Status of one label."""
    return post(service.port, "/labels", {"labels": [{"id": name, "label": 1}]})[0]


def fill_up(service: Service, disk: SmallDisk, *, until: int, said: str | None) -> list[str]:
    """Fill the disk, and ask until that shows; the ids that were answered before and kept."""
    disk.fill()
    kept: list[str] = []

    def shows() -> bool:
        status, ids, is_kept = ask(service)
        if (status, is_kept) == (until, said):
            return True
        assert (status, is_kept) == (200, None)
        kept.extend(ids)
        return False

    wait_for(shows, seconds=30)
    return kept


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a file system can be mounted by root alone")


@needs_root
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_nothing_is_answered_unlogged_on_a_full_disk(tmp_path: Path, durability: str):
    """Predictions and labels are refused with 503; once there is room they are answered again, without a restart."""
    with (
        small_disk(tmp_path / "home" / "ledger" / NAME) as disk,
        alone(tmp_path, serving=f"durability: {durability},") as service,
    ):
        status, kept, _ = ask(service)
        kept += fill_up(service, disk, until=503, said=None)
        refused = [ask(service)[:2] for _ in range(10)]
        refused_label = label(service, kept[0])
        ready = get(service.port, "/readyz")[0]
        recorded_full = service.recorded_ids()
        disk.make_room()
        again, ids, _ = ask(service)
        labelled = label(service, kept[0])

        assert (status, again, ready) == (200, 200, 200)
        assert refused == [(503, [])] * 10
        assert (refused_label, labelled) == (503, 200)
        assert set(recorded_full) == set(kept)
        assert service.recorded_ids() == dict.fromkeys([*kept, *ids], 1)
        assert [batch.ids for batch in service.labelled()] == [[kept[0]]]
        log = service.program.log.read_text()
        assert "No space left on device" in log
        assert log.count("ledger not written") < 10


@needs_root
def test_a_service_that_may_answers_without_its_ledger(tmp_path: Path):
    """With `on_ledger_failure: serve` rows are answered, each answer says it, and they are counted; labels wait."""
    with (
        small_disk(tmp_path / "home" / "ledger" / NAME) as disk,
        alone(tmp_path, serving="on_ledger_failure: serve,") as service,
    ):
        _, kept, _ = ask(service)
        kept += fill_up(service, disk, until=200, said="no")
        unkept = [ask(service) for _ in range(9)]
        refused_label = label(service, kept[0])
        ready = get(service.port, "/readyz")[0]
        metrics = get(service.port, "/metrics")[1]
        disk.make_room()
        status, ids, said = ask(service)

        assert [(status, len(ids), said) for status, ids, said in unkept] == [(200, 2, "no")] * 9
        assert (refused_label, ready) == (503, 200)
        assert "everfit_rows_not_kept_total 20.0" in metrics
        assert (status, said) == (200, None)
        assert service.recorded_ids() == dict.fromkeys([*kept, *ids], 1)
