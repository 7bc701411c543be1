"""What is private never reaches the ledger's files, and what follows is said."""

import logging
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from components.data.compaction import compact
from components.data.ledger import Ledger, segment_folder
from components.data.privacy import Privacy, can_teach, in_clear, privacy_of
from components.data.windows import read_window
from components.errors import LedgerError, ProjectFileError, SchemaMismatch
from components.records.watching import Window
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.reading import load_project
from tests.components.data.ledgers import SCHEMA, START, asked

KEY = "0123456789abcdef"
PROJECT = """
name: rides
data:
  source: {class_path: components.data.sources.Parquet, init_args: {path: rides.parquet}}
  target: {column: late, kind: binary}
  timestamp: departure
  id: flight
  split: {by: time, test_days: 10, validation_days: 10}
training:
  model: {class_path: components.training.models.TabularNet}
evaluation: {metric: roc_auc, minimum: 0.6}
"""


def project(folder: Path, serving: str) -> Project:
    """A project with that `serving`, as YAML in one line."""
    file = folder / "rides.yaml"
    file.write_text(f"{PROJECT}serving: {serving}\n")
    return load_project(file)


def privacy(folder: Path, serving: str, key: str | None = KEY) -> Privacy:
    """What that project says about privacy."""
    found = privacy_of(project(folder, serving), Environment(hash_key=key))
    assert found is not None
    return found


def everything_in(folder: Path) -> bytes:
    """All bytes of all files under the folder."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_project_that_says_nothing_keeps_everything(tmp_path: Path):
    """Without settings there is nothing to do, and no key is asked for."""
    assert privacy_of(project(tmp_path, "{}"), Environment(hash_key=None)) is None


@pytest.mark.parametrize(("key", "found"), [(None, "there is none"), ("short", "it has 5")])
def test_hashes_without_a_good_key_are_refused(tmp_path: Path, key: str | None, found: str):
    """Who wants hashes must give a key that cannot be guessed; the message names variable and columns."""
    with pytest.raises(
        ProjectFileError, match=rf"a hash of carrier, .* EVERFIT_HASH_KEY must hold a key of .* but {found}; set it to"
    ):
        privacy(tmp_path, "{private: {carrier: hash}}", key)


def test_the_timestamp_cannot_be_private(tmp_path: Path):
    """A row without its time belongs to no window."""
    with pytest.raises(
        ProjectFileError, match=r"private names the timestamp 'departure', but without it .*; take it out"
    ):
        privacy(tmp_path, "{private: {departure: absent}}")


def test_a_name_that_is_no_column_is_refused(tmp_path: Path):
    """A typo would keep nothing private: it is named, with the nearest right name."""
    private = privacy(tmp_path, "{private: {carier: absent, flight: absent}, ledger_columns: [temp, flight]}")

    with pytest.raises(
        SchemaMismatch,
        match=r"ledger_columns names 'flight', .*private names 'carier', did you mean 'carrier'\?; it has temp, c",
    ):
        private.check(SCHEMA)


def test_rows_without_a_private_column_are_not_kept(tmp_path: Path):
    """Where a name fits nothing, the pen refuses: it cannot know which column was meant."""
    ledger = Ledger(tmp_path / "ledger", privacy=privacy(tmp_path, "{private: {carier: hash}}"))

    with pytest.raises(
        LedgerError, match=r"serving.private names \['carier'\], but the rows hold .*; nothing was kept"
    ):
        ledger.record(asked(2))

    assert not segment_folder(tmp_path / "ledger").exists()


def test_hidden_columns_are_hashes_or_nothing(tmp_path: Path):
    """Equal values have equal hashes, a missing one has none, another key gives others; the batch itself stays."""
    batch = asked(3, inputs={"temp": np.array([1.0, np.nan, 1.0]), "carrier": ["AA", "AA", None]})
    serving = "{private: {temp: hash, carrier: absent, flight: hash}}"

    kept = privacy(tmp_path, serving).hide(batch)
    other = privacy(tmp_path, serving, "another key of 16 and more").hide(batch)

    assert (kept.inputs, kept.absent, kept.entity_ids) == ({}, ["carrier"], [None, None, None])
    assert sorted(kept.hashes) == ["flight", "temp"]
    first, missing, third = kept.hashes["temp"]
    assert first == third != missing == ""
    assert len(first) == 32
    assert len(set(kept.hashes["flight"])) == 3
    assert first not in other.hashes["temp"]
    assert batch.entity_ids[0] == "flight 0"
    assert batch.inputs["carrier"] == ["AA", "AA", None]


def test_only_the_columns_of_the_allow_list_are_kept(tmp_path: Path):
    """A column that is not on the list is absent, whatever else is said of it; the id is none of the inputs."""
    kept = privacy(tmp_path, "{ledger_columns: [temp], private: {carrier: hash}}").hide(asked(1))

    assert list(kept.inputs) == ["temp"]
    assert kept.absent == ["carrier"]
    assert kept.hashes == {}
    assert kept.entity_ids == ["flight 0"]


def test_no_private_value_stands_in_any_file(tmp_path: Path):
    """Neither the segments nor the tables hold it in any spelling, and what may be kept is read back."""
    ledger = Ledger(tmp_path / "ledger", privacy=privacy(tmp_path, "{private: {carrier: hash, flight: absent}}"))
    for number in range(3):
        batch = asked(2, inputs={"temp": [1.5, 2.5], "carrier": ["SECRET-A", f"SECRET-{number}"]})
        ledger.record(batch)
    written = everything_in(tmp_path / "ledger")
    ledger.close()
    compact(tmp_path / "ledger", SCHEMA)
    window = Window(START, START + timedelta(days=1))
    frame = read_window(tmp_path / "ledger", window, schema=SCHEMA)

    for content in (written, everything_in(tmp_path / "ledger")):
        assert b"prediction_id" in content or b"request_id" in content
        assert b"SECRET" not in content
        assert b"flight 0" not in content
    assert frame["temp"].to_list() == [1.5, 1.5, 1.5, 2.5, 2.5, 2.5]
    assert frame["carrier"].to_list() == [None] * 6
    assert frame["flight"].to_list() == [None] * 6


def test_a_number_that_is_hashed_can_be_compacted_beside_one_that_is_not(tmp_path: Path):
    """Settings change while segments wait: clear values and hashes have columns of their own."""
    open_pen = Ledger(tmp_path / "ledger")
    open_pen.record(asked(2))
    open_pen.close()
    private_pen = Ledger(tmp_path / "ledger", privacy=privacy(tmp_path, "{private: {temp: hash}}"))
    private_pen.record(asked(2))
    private_pen.close()

    compact(tmp_path / "ledger", SCHEMA)

    frame = read_window(tmp_path / "ledger", Window(START, START + timedelta(days=1)), schema=SCHEMA)
    assert sorted(frame["temp"].to_list(), key=str) == [0.0, 1.0, None, None]


def test_what_is_in_clear_can_be_measured(tmp_path: Path):
    """Monitoring is given the columns that the ledger holds as they came."""
    assert [c.name for c in in_clear(project(tmp_path, "{private: {temp: hash}}"), SCHEMA).features] == ["carrier"]
    assert [c.name for c in in_clear(project(tmp_path, "{ledger_columns: []}"), SCHEMA).features] == []
    assert in_clear(project(tmp_path, "{private: {flight: hash}}"), SCHEMA) == SCHEMA


@pytest.mark.parametrize(
    ("serving", "names"),
    [
        ("{private: {temp: hash}}", "temp"),
        ("{ledger_columns: [temp]}", "carrier"),
        ("{private: {flight: absent}}", "flight"),
    ],
)
def test_a_retraining_learns_nothing_from_rows_with_holes(
    tmp_path: Path, serving: str, names: str, caplog: pytest.LogCaptureFixture
):
    """Live rows whose columns or ids are hidden are left out, and the log says which and why."""
    with caplog.at_level(logging.WARNING):
        teaches = can_teach(project(tmp_path, serving), SCHEMA)

    assert not teaches
    assert f"columns={names}; the ledger does not hold these as they came" in caplog.text
    assert can_teach(project(tmp_path, "{}"), SCHEMA)
