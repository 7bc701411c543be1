"""What is wrong with a request that the quick reader refused: row, column, wanted, found.

Not on the fast path: this parses the body once more, leniently, to find every mistake instead of the first one.
"""

import difflib
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from components.records.rows import Column, Schema
from components.serving.refusals import Problem, Refused

# More than this helps nobody, and a wrong column name in 10,000 rows is one mistake, not 10,000.
MAX_PROBLEMS = 20
SHOWN_CHARACTERS = 60
FIRST_YEAR, LAST_YEAR = 1970, 2099


def parse(body: bytes) -> Any:
    """The JSON value of a body, with NaN and numbers too large for a double kept, so that they can be named.

    Raises:
        Refused: 400 if it is not JSON.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_int=_whole)
    except UnicodeDecodeError as err:
        raise Refused(400, f"wanted JSON in UTF-8, found the byte 0x{body[err.start]:02x} at {err.start}") from err
    except RecursionError as err:
        raise Refused(400, "wanted JSON of a few levels, found it nested too deeply to be read") from err
    except json.JSONDecodeError as err:
        raise Refused(400, f"wanted JSON, found a mistake in line {err.lineno}, column {err.colno}: {err.msg}") from err


def explain_rows(body: bytes, schema: Schema, *, max_rows: int, refusal: str) -> Refused:
    """Why POST /predict refuses this body: 400 if it is not JSON, 422 with up to 20 problems if rows are wrong.

    Args:
        body: The body that was refused.
        schema: What a row looks like.
        max_rows: Largest number of rows in one request.
        refusal: The quick reader's own words, for the case that nothing more precise is found.
    """
    try:
        rows = list_of(parse(body), "rows", max_rows)
    except Refused as refused:
        return refused
    problems = tuple(islice(_problems(rows, schema), MAX_PROBLEMS + 1))
    if not problems:
        return Refused(422, f"the request was refused: {shown_text(refusal)}")
    return too_many(problems)


def too_many(problems: tuple[Problem, ...]) -> Refused:
    """One refusal for all problems: the first in its sentence, up to 20 in its list."""
    others = min(len(problems), MAX_PROBLEMS) - 1
    more = "at least 20 more" if len(problems) > MAX_PROBLEMS else f"{others} more"
    return Refused(422, f"{problems[0]}" + (f" (and {more})" if others else ""), problems[:MAX_PROBLEMS])


def shown(value: Any) -> str:
    """A JSON value as a person reads it, shortened."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, float) and math.isinf(value):
        return "a number that is infinite or too large for a double"
    return shown_text(json.dumps(value, ensure_ascii=False))


def shown_text(text: str) -> str:
    """Text that is safe in an answer: half surrogate pairs escaped, shortened."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return safe if len(safe) <= SHOWN_CHARACTERS else f"{safe[:SHOWN_CHARACTERS]}…"


def list_of(request: Any, name: str, max_items: int) -> list[Any]:
    """The list under the only key that the request may have."""
    if not isinstance(request, dict):
        raise Refused(422, f'wanted an object {{"{name}": [...]}}, found {shown(request)}')
    if name not in request:
        raise Refused(422, f'wanted the key "{name}", found {_keys(request)}; send {{"{name}": [...]}}')
    if len(request) > 1:
        raise Refused(422, f'wanted only the key "{name}", found {_keys(request)}; leave the others out')
    items = request[name]
    if not isinstance(items, list):
        raise Refused(422, f'wanted a list under "{name}", found {shown(items)}')
    if not items:
        raise Refused(422, f'wanted at least one item under "{name}", found an empty list')
    if len(items) > max_items:
        raise Refused(
            422, f'wanted at most {max_items} items under "{name}", found {len(items)}; send them in several requests'
        )
    return items


def _keys(request: dict[str, Any]) -> str:
    return ", ".join(f'"{shown_text(key)}"' for key in islice(request, 5)) or "no key"


def _problems(rows: list[Any], schema: Schema) -> Iterator[Problem]:
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            yield Problem(position, "", "an object of columns", shown(row))
            continue
        yield from _unknown(position, row, schema)
        yield from (problem for column in schema.features if (problem := _feature(position, row, column)))
        yield from _beside(position, row, schema)


def _unknown(position: int, row: dict[str, Any], schema: Schema) -> Iterator[Problem]:
    known = [column.name for column in schema.features] + [schema.timestamp] + ([schema.id] if schema.id else [])
    for name, value in row.items():
        if name in known:
            continue
        if name == schema.target:
            yield Problem(position, name, "no such column: it is what the model predicts", shown(value))
            continue
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"the model takes {listed(known)}"
        yield Problem(position, shown_text(name), f"no such column; {hint}", shown(value))


def listed(names: list[str]) -> str:
    """Names in a sentence, the first twelve of them."""
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _feature(position: int, row: dict[str, Any], column: Column) -> Problem | None:
    if column.name not in row:
        return None if column.nullable else Problem(position, column.name, wanted(column), "nothing")
    value = row[column.name]
    right = _is_number(value) if column.kind == "number" else _is_text(value)
    if right or (value is None and column.nullable):
        return None
    return Problem(position, column.name, wanted(column), shown(value))


def wanted(column: Column) -> str:
    """What a column takes, in words."""
    kind = "a number" if column.kind == "number" else "text"
    return f"{kind} or null" if column.nullable else kind


def _beside(position: int, row: dict[str, Any], schema: Schema) -> Iterator[Problem]:
    """Problems of the columns that travel with a row without being features: its time and its own id."""
    time = row.get(schema.timestamp)
    if time is not None and not _is_time(time):
        wants = f"a time with its zone between {FIRST_YEAR} and {LAST_YEAR}, such as 2026-01-31T12:00:00Z"
        yield Problem(position, schema.timestamp, wants, shown(time))
    entity = row.get(schema.id) if schema.id else None
    if entity is not None and not _is_text(entity) and (isinstance(entity, bool) or not isinstance(entity, int)):
        yield Problem(position, str(schema.id), "text, a whole number or null", shown(entity))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= sys.float_info.max


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        time = msgspec.convert(value, datetime)
        return time.tzinfo is not None and FIRST_YEAR <= time.astimezone(UTC).year <= LAST_YEAR
    except (msgspec.ValidationError, OverflowError):
        return False


def _whole(digits: str) -> float:
    """A whole number, without Python's own limit of digits: one of over 310 is too large for a double anyway."""
    return int(digits) if len(digits) < 310 else math.copysign(math.inf, -1 if digits[0] == "-" else 1)
