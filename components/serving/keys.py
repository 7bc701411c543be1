"""API keys as they are kept: a line each with a name, its scopes and a hash; the key itself is kept nowhere.

    # name          scopes          hash
    shop-2026-11    predict,label   sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

To rotate a key without a restart: add a new one under a new name, let the application switch to it, see in
`everfit_key_requests` of GET /metrics that nobody sends the old one any more, and remove that.

A plain SHA-256 is right here, where it would be wrong for a password: a key is 256 random bits, so there is nothing to
guess and no table to look it up in, and a slow hash would cost each request more than its prediction.
"""

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from components.errors import KeysError

SCOPES = ("predict", "label", "admin")
PREFIX = "ek_"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HASH = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """Who holds a key, and what it opens.

    Attributes:
        name: As it stands in the file; may be logged and counted.
        scopes: Some of `SCOPES`.
        sha256: Hash of the key, 64 hexadecimal digits.
    """

    name: str
    scopes: frozenset[str]
    sha256: str

    def line(self) -> str:
        """The line that keeps it."""
        return f"{self.name} {','.join(one for one in SCOPES if one in self.scopes)} sha256:{self.sha256}"


def hashed(key: bytes) -> str:
    """What is kept of a key, 64 hexadecimal digits; takes less than a microsecond."""
    return hashlib.sha256(key).hexdigest()


def new_key(name: str, scopes: Iterable[str]) -> tuple[str, Key]:
    """A fresh random key, which nobody will see again, and what is kept of it.

    Raises:
        KeysError: If the name or a scope cannot be.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    kept = Key(name, frozenset(scopes), hashed(key.encode()))
    if problem := _problem([name, ",".join(kept.scopes), f"sha256:{kept.sha256}"], ()):
        raise KeysError(f"{problem}; no key was made")
    return key, kept


def read_keys(text: str, *, where: str) -> dict[str, Key]:
    """The keys by their hashes.

    Args:
        text: Lines as in this module's docstring, separated by ends of line or semicolons.
        where: What the text is, for errors.

    Raises:
        KeysError: If a line is none, with its number but never its text: someone may have put a key there.
    """
    keys: dict[str, Key] = {}
    problems = []
    for number, line in enumerate(re.split(r"[;\n]", text), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if problem := _problem(words, keys.values()):
            problems.append(f"line {number}: {problem}")
        else:
            key = Key(words[0], frozenset(words[1].split(",")), words[2].removeprefix("sha256:"))
            keys[key.sha256] = key
    if problems:
        raise KeysError(f"{where}: {'; '.join(problems)}; write each line with everfit key NAME --scope SCOPES")
    return keys


def _problem(words: list[str], others: Collection[Key]) -> str:
    """What is wrong with a line; empty if nothing is."""
    if len(words) != len(("name", "scopes", "hash")):
        return f"wanted a name, scopes and sha256:HASH, found {len(words)} words"
    name, scopes, digest = words
    if not NAME.fullmatch(name):
        return "wanted a name of at most 64 letters, digits, dots, dashes and underscores, found something else"
    if not set(scopes.split(",")) <= set(SCOPES):
        return f"wanted scopes out of {', '.join(SCOPES)} for {name}, found something else"
    if not HASH.fullmatch(digest):
        return f"wanted sha256: and 64 hexadecimal digits for {name}, found something else"
    if any(name == other.name or digest.endswith(other.sha256) for other in others):
        return f"wanted each name and each key once, found {name} again"
    return ""


def keys_of(file: Path) -> dict[str, Key]:
    """The keys that stand in a file, by their hashes.

    Raises:
        KeysError: If it cannot be read, or a line is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise KeysError(f"wanted a file of API keys, but {file.name} cannot be read: {err}; see everfit key") from err
    return read_keys(text, where=file.name)


def add(file: Path, key: Key) -> None:
    """Write a key into a file, which is made for its owner alone if it is not there.

    Raises:
        KeysError: If the file is none of keys, or has one of that name.
    """
    if file.exists() and any(key.name == other.name for other in keys_of(file).values()):
        raise KeysError(f"wanted a new name in {file}, found {key.name} there already; choose another, or remove it")
    with os.fdopen(os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        ends_open = size > 0 and os.pread(stream.fileno(), 1, size - 1) != b"\n"
        # One write: a service that reads at this moment finds the whole line or none of it.
        stream.write(b"\n" * ends_open + f"{key.line()}\n".encode())


def remove(file: Path, name: str) -> None:
    """Take a key out of a file; whoever holds it is refused a second later.

    Raises:
        KeysError: If there is none of that name.
    """
    if all(name != key.name for key in keys_of(file).values()):
        raise KeysError(f"wanted the key {name} in {file}, found no such name; see everfit keys --file {file}")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if line.partition("#")[0].split()[:1] != [name])
    fresh = file.with_name(f".{file.name}.new")
    was = file.stat()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(kept)
        os.fchmod(stream.fileno(), stat.S_IMODE(was.st_mode))
        with contextlib.suppress(PermissionError):  # only root may give a file away
            os.fchown(stream.fileno(), was.st_uid, was.st_gid)
    fresh.replace(file)
