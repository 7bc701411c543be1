"""Requests are read quickly when they are right, and explained precisely when they are wrong."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from components.records.rows import Column, ColumnKind, Schema
from components.serving import bodies
from components.serving.bodies import Gone, read_body
from components.serving.labels import LabelReader
from components.serving.refusals import Problem, Refused
from components.serving.rows import MANY_ROWS, RowReader
from tests.components.serving import tiny

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
JSON_HEADERS = {b"content-type": b"application/json"}
READER = RowReader(tiny.SCHEMA, max_rows=50)


def test_rows_become_columns_with_their_times_and_ids():
    """Numbers, texts, missing values, event times of any zone and ids of any kind arrive as they were meant."""
    rows = [
        tiny.row(temp=1, carrier="日本", at="2026-01-01T01:00:00.000001+01:00") | {"flight id": 7},
        {"wind speed": 2.5, "tail": "N1"},
    ]

    read = READER.read(json.dumps({"rows": rows}).encode(), now_us=NOW_US + 5)

    assert read.columns == {
        "temp": (1.0, None),
        "wind speed": (0.0, 2.5),
        "carrier": ("日本", None),
        "tail": ("N1", "N1"),
    }
    assert read.timestamps == [NOW_US + 1, NOW_US + 5]
    assert read.entity_ids == ["7", None]


def test_the_numbers_of_many_rows_are_arrays():
    """A missing one is NaN there, as the graph takes it; texts stay as they are."""
    rows = [tiny.row(temp=None if place == 7 else place, wind=place / 2) for place in range(MANY_ROWS)]

    read = READER.read(json.dumps({"rows": rows}).encode(), now_us=NOW_US)

    wanted = [float("nan") if place == 7 else float(place) for place in range(MANY_ROWS)]
    assert np.array_equal(read.columns["temp"], wanted, equal_nan=True)
    assert read.columns["wind speed"].tolist() == [place / 2 for place in range(MANY_ROWS)]
    assert read.columns["tail"] == ["N1"] * MANY_ROWS
    assert read.timestamps == [NOW_US] * MANY_ROWS
    assert read.entity_ids == [None] * MANY_ROWS


@pytest.mark.parametrize(
    "kinds", [("number",), ("category",), ("category", "category"), ("category", "number", "number")]
)
@pytest.mark.parametrize("count", [1, 2, MANY_ROWS])
def test_few_or_many_rows_of_any_columns_are_read_alike(kinds: tuple[ColumnKind, ...], count: int):
    """One column or none of a kind, one row or many: every value stands in its column, at its row."""
    features = tuple(Column(f"column {place}", kind) for place, kind in enumerate(kinds))
    rows = [
        {
            one.name: row * 10.0 + place if one.kind == "number" else f"{row}-{place}"
            for place, one in enumerate(features)
        }
        for row in range(count)
    ]
    sent = [one | {"at": "1970-01-01T00:00:01Z", "key": place} for place, one in enumerate(rows)]

    read = RowReader(Schema(features, "late", "binary", "at", "key"), max_rows=50).read(
        json.dumps({"rows": sent}).encode(), now_us=NOW_US
    )

    assert list(read.columns) == [one.name for one in features]
    found = {name: list(values) for name, values in read.columns.items()}
    assert found == {one.name: [row[one.name] for row in rows] for one in features}
    assert read.timestamps == [1_000_000] * count
    assert read.entity_ids == [str(place) for place in range(count)]


WRONG_ROWS: list[tuple[str, dict[str, Any] | str, Problem]] = [
    ("text for a number", tiny.row(temp="warm"), Problem(0, "temp", "a number or null", '"warm"')),
    ("a number as text", tiny.row(wind="1.5"), Problem(0, "wind speed", "a number", '"1.5"')),
    ("a boolean for a number", tiny.row(temp=True), Problem(0, "temp", "a number or null", "true")),
    ("a number for text", tiny.row(carrier=5), Problem(0, "carrier", "text or null", "5")),
    ("null where none may be", tiny.row(tail=None), Problem(0, "tail", "text", "null")),
    ("a missing column", {"temp": 1, "tail": "N1"}, Problem(0, "wind speed", "a number", "nothing")),
    (
        "a misspelt column",
        tiny.row() | {"carier": "UA"},
        Problem(0, "carier", "no such column; did you mean 'carrier'?", '"UA"'),
    ),
    (
        "an unknown column",
        tiny.row() | {"zzzzzzzz": 1},
        Problem(0, "zzzzzzzz", "no such column; the model takes temp, wind speed, carrier, tail, at, flight id", "1"),
    ),
    (
        "the target itself",
        tiny.row() | {"late": 1},
        Problem(0, "late", "no such column: it is what the model predicts", "1"),
    ),
    ("a list for text", tiny.row(carrier=["UA"]), Problem(0, "carrier", "text or null", "a list")),
    ("NaN", '{"wind speed": NaN, "tail": "N1"}', Problem(0, "wind speed", "a number", "NaN")),
    (
        "Infinity",
        '{"wind speed": -Infinity, "tail": "N1"}',
        Problem(0, "wind speed", "a number", "a number that is infinite or too large for a double"),
    ),
    (
        "1e400",
        '{"wind speed": 1e400, "tail": "N1"}',
        Problem(0, "wind speed", "a number", "a number that is infinite or too large for a double"),
    ),
    (
        "a whole number of 5,000 digits",
        f'{{"wind speed": 1{"0" * 5000}, "tail": "N1"}}',
        Problem(0, "wind speed", "a number", "a number that is infinite or too large for a double"),
    ),
    (
        "half a surrogate pair",
        '{"wind speed": 1, "tail": "\\ud800"}',
        Problem(0, "tail", "text", '"\\ud800"'),
    ),
    (
        "a naive time",
        tiny.row(at="2026-01-01T00:00:00"),
        Problem(
            0,
            "at",
            "a time with its zone between 1970 and 2099, such as 2026-01-31T12:00:00Z",
            '"2026-01-01T00:00:00"',
        ),
    ),
    (
        "a time in seconds",
        tiny.row(at=1767225600),
        Problem(0, "at", "a time with its zone between 1970 and 2099, such as 2026-01-31T12:00:00Z", "1767225600"),
    ),
    (
        "a time beyond all times",
        tiny.row(at="9999-12-31T23:59:59-12:00"),
        Problem(
            0,
            "at",
            "a time with its zone between 1970 and 2099, such as 2026-01-31T12:00:00Z",
            '"9999-12-31T23:59:59-12:00"',
        ),
    ),
    (
        "an id that is none",
        tiny.row() | {"flight id": True},
        Problem(0, "flight id", "text, a whole number or null", "true"),
    ),
]


@pytest.mark.parametrize(("row", "problem"), [case[1:] for case in WRONG_ROWS], ids=[case[0] for case in WRONG_ROWS])
def test_a_wrong_value_is_named_with_row_column_wanted_and_found(row: dict[str, Any] | str, problem: Problem):
    """Whoever sent it knows from the answer alone what to change."""
    text = row if isinstance(row, str) else json.dumps(row)

    with pytest.raises(Refused) as refused:
        READER.read(f'{{"rows": [{text}]}}'.encode(), now_us=NOW_US)

    assert refused.value.status == 422
    assert refused.value.problems == (problem,)
    assert refused.value.error == str(problem)
    json.dumps(refused.value.body()).encode()


def test_all_problems_of_a_request_are_listed_up_to_twenty():
    """A sender with many mistakes does not have to find them one request at a time."""
    rows = [tiny.row(temp="a", tail=1), "no row", tiny.row()] + [tiny.row(wind=None)] * 40

    with pytest.raises(Refused) as refused:
        READER.read(json.dumps({"rows": rows}).encode(), now_us=NOW_US)

    found = [(problem.row, problem.column) for problem in refused.value.problems]
    assert found[:4] == [(0, "temp"), (0, "tail"), (1, ""), (3, "wind speed")]
    assert len(found) == 20
    assert refused.value.error.endswith("(and at least 20 more)")


WRONG_BODIES = [
    ("nothing", b"", 400, "wanted JSON, found a mistake in line 1, column 1"),
    ("not JSON", b'{"rows": [', 400, "wanted JSON, found a mistake in line 1, column 11"),
    ("not UTF-8", b'{"rows": "\xff"}', 400, "wanted JSON in UTF-8, found the byte 0xff at 10"),
    ("deep nesting", b"[" * 100_000, 400, "nested too deeply"),
    ("deep nesting in a row", b'{"rows": [{"tail": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}", 400, "too deeply"),
    ("a list", b"[]", 422, 'wanted an object {"rows": [...]}, found a list'),
    ("another key", b'{"row": []}', 422, 'wanted the key "rows", found "row"'),
    ("one key too many", b'{"rows": [{}], "x": 1}', 422, 'wanted only the key "rows", found "rows", "x"'),
    ("no list", b'{"rows": {}}', 422, 'wanted a list under "rows", found an object'),
    ("no rows", b'{"rows": []}', 422, 'wanted at least one item under "rows", found an empty list'),
    ("too many rows", b'{"rows": [' + b"{}," * 50 + b"{}]}", 422, 'at most 50 items under "rows", found 51'),
]


@pytest.mark.parametrize(
    ("body", "status", "sentence"), [c[1:] for c in WRONG_BODIES], ids=[c[0] for c in WRONG_BODIES]
)
def test_a_body_that_holds_no_rows_is_refused_with_a_sentence(body: bytes, status: int, sentence: str):
    """Whatever arrives is answered with a status from 400 on and a reason, never with a traceback."""
    with pytest.raises(Refused) as refused:
        READER.read(body, now_us=NOW_US)

    assert refused.value.status == status
    assert sentence in refused.value.error


def test_labels_of_each_target_are_read():
    """A binary truth may be 0, 1, false or true."""
    reader = LabelReader(tiny.SCHEMA, max_labels=4)

    read = reader.read(b'{"labels": [{"id": "a", "label": 1}, {"id": "b", "label": false}, {"id": "a", "label": 0.0}]}')

    assert read.ids == ["a", "b", "a"]
    assert read.labels == [1.0, 0.0, 0.0]


WRONG_LABELS = [
    (
        "another number",
        b'{"labels": [{"id": "a", "label": 2}]}',
        "row 0, column 'label': wanted 0, 1, false or true, found 2",
    ),
    ("a text", b'{"labels": [{"id": "a", "label": "yes"}]}', 'wanted 0, 1, false or true, found "yes"'),
    ("NaN", b'{"labels": [{"id": "a", "label": NaN}]}', "wanted 0, 1, false or true, found NaN"),
    ("null", b'{"labels": [{"id": "a", "label": null}]}', "wanted 0, 1, false or true, found null"),
    (
        "a number as id",
        b'{"labels": [{"id": 5, "label": 1}]}',
        "wanted an id that POST /predict answered with, found 5",
    ),
    ("an empty id", b'{"labels": [{"id": "", "label": 1}]}', 'an id that POST /predict answered with, found ""'),
    ("no label", b'{"labels": [{"id": "a"}]}', 'wanted an object of "id" and "label", found an object of id'),
    ("no object", b'{"labels": [1]}', 'wanted an object of "id" and "label", found 1'),
    ("none at all", b'{"labels": []}', 'wanted at least one item under "labels", found an empty list'),
    ("rows", b'{"rows": []}', 'wanted the key "labels", found "rows"'),
]


@pytest.mark.parametrize(("body", "sentence"), [c[1:] for c in WRONG_LABELS], ids=[c[0] for c in WRONG_LABELS])
def test_a_wrong_label_is_refused_with_a_sentence(body: bytes, sentence: str):
    """A label that is none of the target's would spoil every metric after it."""
    with pytest.raises(Refused) as refused:
        LabelReader(tiny.SCHEMA, max_labels=4).read(body)

    assert refused.value.status == 422
    assert sentence in refused.value.error


def test_a_body_is_counted_while_it_arrives():
    """A chunked body says no length beforehand, and is cut off all the same."""
    pieces = iter([{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 10)

    async def receive():
        return next(pieces)

    with pytest.raises(Refused, match=r"wanted at most 0\.0001 MB in a request, found more than 100 bytes") as refused:
        asyncio.run(read_body(JSON_HEADERS, receive, max_bytes=100))

    assert refused.value.status == 413
    assert len(list(pieces)) == 8


def test_an_application_that_hangs_up_is_not_answered():
    """Half a request is not predicted."""
    pieces = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(pieces)

    with pytest.raises(Gone):
        asyncio.run(read_body(JSON_HEADERS, receive, max_bytes=100))


@pytest.mark.parametrize(
    "sent", [[], [{"type": "http.request", "body": b"{", "more_body": True}]], ids=["none", "half"]
)
def test_a_body_that_does_not_come_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch, sent: list[Any]):
    """A slow client gets a 408, whether it sends nothing after its headers or stops in the middle."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    pieces = iter(sent)

    async def receive():
        if (piece := next(pieces, None)) is None:
            await asyncio.sleep(60)
        return piece

    with pytest.raises(Refused, match="found it unfinished") as refused:
        asyncio.run(read_body(JSON_HEADERS, receive, max_bytes=100))

    assert refused.value.status == 408


def test_a_body_that_comes_late_is_read_whole():
    """Waiting for the first piece loses nothing of it, nor of those behind it."""
    pieces = iter([{"type": "http.request", "body": b"[1", "more_body": True}, {"type": "http.request", "body": b"]"}])

    async def receive():
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return next(pieces)

    assert asyncio.run(read_body(JSON_HEADERS, receive, max_bytes=100)) == ("application/json", b"[1]")
