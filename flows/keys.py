"""What `everfit key` and `everfit keys` do: make, remove and list the API keys of the endpoint."""

from pathlib import Path

from components.errors import KeysError
from components.serving.keys import SCOPES, add, keys_of, new_key, remove


def make(name: str, scopes: str, file: Path | None) -> tuple[str, list[str]]:
    """A new key, which is shown this once, and the sentences that say where it goes.

    Raises:
        KeysError: If there is such a name already, or no such scope.
    """
    key, kept = new_key(name, scopes.split(","))
    shown = "this is the key, shown this once; an application sends it as the header authorization: Bearer KEY"
    if file is None:
        return key, [shown, "put this line into the file EVERFIT_API_KEYS_FILE, or into EVERFIT_API_KEYS:", kept.line()]
    add(file, kept)
    return key, [shown, f"{file} has its hash; a service that reads this file takes it within two seconds"]


def take_away(name: str, file: Path | None) -> str:
    """Remove a key; the sentence that says so.

    Raises:
        KeysError: If no file is named, or it has no such key.
    """
    remove(_named(file), name)
    return f"{name} is removed from {file}; a service that reads this file refuses it within two seconds"


def listing(file: Path | None) -> list[str]:
    """One line a key: its name, its scopes, and how its hash begins.

    Raises:
        KeysError: If no file is named, or it cannot be read.
    """
    keys = keys_of(_named(file)).values()
    return [
        f"{key.name:<32} {','.join(one for one in SCOPES if one in key.scopes):<20} {key.sha256[:12]}" for key in keys
    ] or [f"{file} has no keys: nobody is let in"]


def _named(file: Path | None) -> Path:
    if file is None:
        raise KeysError("wanted a file of keys, found none named; give --file, or set EVERFIT_API_KEYS_FILE")
    return file
