"""What the ledger never holds as it came: columns outside of the allow-list, and those of which it keeps a hash.

It is the ledger's pen that asks this, so that nothing can be kept round it. What a hash stands for is known to nobody
without the key; the same value has the same hash, so that rows can still be counted and joined by it.
"""

import difflib
import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from components.data.feeds import text_of
from components.data.ledger import PredictionBatch
from components.errors import ProjectFileError, SchemaMismatch
from components.records.rows import Schema
from components.settings.environment import Environment
from components.settings.project import Project
from components.settings.secrets import hash_key

log = logging.getLogger(__name__)

Way = Literal["hash", "absent"]

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Privacy:
    """Which columns the ledger keeps, and how.

    Attributes:
        kept: Names of the input columns that are kept; None for all.
        private: Column, or the id column, to what becomes of it: `hash` or `absent`.
        id: Name of the column of the application's own row ids; None if there is none.
        key: Key of the hashes, at most 64 bytes.
    """

    kept: frozenset[str] | None
    private: dict[str, Way]
    id: str | None
    key: bytes

    def check(self, schema: Schema) -> None:
        """Look whether every name is one of the version's columns: a name with a typo would keep nothing private.

        Raises:
            SchemaMismatch: If one is not.
        """
        features = [column.name for column in schema.features]
        known = [*features, *([schema.id] if schema.id else [])]
        wrong = {"ledger_columns": [*sorted(self.kept or ())], "private": list(self.private)}
        found = [
            f"serving.{place} names {name!r}{_near(name, known)}"
            for place, names in wrong.items()
            for name in names
            if name not in (features if place == "ledger_columns" else known)
        ]
        if found:
            raise SchemaMismatch(
                f"wanted columns of the version, but {'; '.join(found)}; it has {', '.join(known)}: correct the name"
            )

    def hide(self, batch: PredictionBatch) -> PredictionBatch:
        """The batch as it may be kept.

        Args:
            batch: Rows as they came; it stays as it is.

        Raises:
            SchemaMismatch: If a column that is to be private is not among them.
        """
        if not batch.inputs:
            # A shadow's: the champion's row has them.
            return _without_entities(batch) if self.id in self.private else batch
        ways = {name: _way(name, self.kept, self.private) for name in batch.inputs}
        unknown = [name for name in self.private if name not in ways and name != self.id]
        if unknown:
            raise SchemaMismatch(f"serving.private names {unknown}, but the rows hold {list(ways)}; correct the names")
        hashes = {name: self._hashes(batch.inputs[name]) for name, way in ways.items() if way == "hash"}
        absent = [name for name, way in ways.items() if way == "absent"]
        if self.id is not None and self.id in self.private:
            if self.private[self.id] == "hash":
                hashes[self.id] = self._hashes(batch.entity_ids)
            else:
                absent.append(self.id)
            batch = _without_entities(batch)
        clear = {name: values for name, values in batch.inputs.items() if ways[name] == "clear"}
        return msgspec.structs.replace(batch, inputs=clear, hashes=hashes, absent=absent)

    def _hashes(self, values: Iterable[Any]) -> list[str]:
        """A hash of each value's text; "" where it is missing."""
        texts = (text_of(value) for value in values)
        return [
            hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=HASH_BYTES, key=self.key).hexdigest()
            if text
            else ""
            for text in texts
        ]


def privacy_of(project: Project, environment: Environment) -> Privacy | None:
    """What the project says about privacy; None if the ledger may keep everything.

    Raises:
        ProjectFileError: If hashes are wanted and there is no key for them, or the timestamp is to be private.
    """
    serving, data = project.serving, project.data
    if serving.ledger_columns is None and not serving.private:
        return None
    if data.timestamp in serving.private:
        raise ProjectFileError(
            f"{project.file}: serving.private names the timestamp {data.timestamp!r}, but without it no row belongs to "
            "a window; take it out"
        )
    kept = None if serving.ledger_columns is None else frozenset(serving.ledger_columns)
    return Privacy(kept, dict(serving.private), data.id, hash_key(project, environment))


def in_clear(project: Project, schema: Schema) -> Schema:
    """The schema with those feature columns alone whose values the ledger holds as they came."""
    serving = project.serving
    names = {
        column.name
        for column in schema.features
        if _way(column.name, serving.ledger_columns, serving.private) == "clear"
    }
    return replace(schema, features=tuple(column for column in schema.features if column.name in names))


def can_teach(project: Project, schema: Schema) -> bool:
    """Whether a retraining may learn from the ledger's rows; the log says why not.

    From a row of which some column is hashed or absent a model would learn the hash, or that the value is missing; and
    without its id nobody can tell whether the source has the row too.
    """
    clear = {column.name for column in in_clear(project, schema).features}
    hidden = [column.name for column in schema.features if column.name not in clear]
    hidden += [project.data.id] if project.data.id in project.serving.private and project.data.id else []
    if hidden:
        log.warning(
            "live rows left out project=%s columns=%s; the ledger does not hold these as they came (serving.private, "
            "serving.ledger_columns), so a retraining learns from the source alone",
            *(project.name, ",".join(hidden)),
        )
    return not hidden


def _way(name: str, kept: Collection[str] | None, private: Mapping[str, Way]) -> Way | Literal["clear"]:
    """How that input column is kept."""
    return "absent" if kept is not None and name not in kept else private.get(name, "clear")


def _without_entities(batch: PredictionBatch) -> PredictionBatch:
    return msgspec.structs.replace(batch, entity_ids=[None] * len(batch.entity_ids))


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
