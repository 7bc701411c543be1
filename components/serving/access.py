"""Who may ask what: API keys with scopes, and their rotation without a restart.

Without keys (neither EVERFIT_API_KEYS nor EVERFIT_API_KEYS_FILE) everybody may ask everything. With them each route but
the probes and the page at / wants a key, and most want a scope of it. `components.serving.keys` says how keys are kept.
"""

import contextlib
import ipaddress
import logging
import time
from pathlib import Path

from components.errors import KeysError
from components.serving.keys import Key, hashed, keys_of, read_keys
from components.serving.refusals import Refused
from components.settings.environment import Environment

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0

# The page itself shows nothing of the model's columns: its document does, to whoever has any key. A path that is not
# there is told to them only.
OPEN = {"/", "/docs.js"}
ANY_KEY = {"/docs.json", "/schema.json", "other"}
SCOPES_OF_ROUTES = {"/predict": "predict", "/labels": "label"}
OTHER_ROUTES = "admin"


class Access:
    """The keys that are accepted now.

    Args:
        environment: Says where the keys stand.

    Raises:
        KeysError: If EVERFIT_API_KEYS is set and empty, or holds a line that is no key. A file that cannot be read yet
            is an error in the log, and nobody is let in until it can.
    """

    def __init__(self, environment: Environment) -> None:
        self._keys: dict[str, Key] = {}
        self._file: Path | None = None
        self._stamp: tuple[int, ...] | None = None
        self._look_at = 0.0
        self.is_open = environment.api_keys is None and environment.api_keys_file is None
        if environment.api_keys is not None:
            self._keys = read_keys(environment.api_keys, where="EVERFIT_API_KEYS")
            if not self._keys:  # a secret that was not filled in must not open the service to everybody
                raise KeysError("EVERFIT_API_KEYS: wanted a key, found none; unset it, or see everfit key")
        elif environment.api_keys_file is not None:
            self._file = environment.api_keys_file.expanduser().absolute()
            self._look()
        elif not _is_loopback(environment.host):
            log.warning(
                "service open to everybody host=%s; set EVERFIT_API_KEYS_FILE (see everfit key), or EVERFIT_HOST",
                environment.host,
            )

    def caller(self, route: str, headers: dict[bytes, bytes]) -> str:
        """The name of the key that was sent; empty where none is asked for.

        Args:
            route: One of the service's routes, or `other`.
            headers: Headers of the request, their names in lower case.

        Raises:
            Refused: 401 without a key that is accepted, 403 if that key does not open this route.
        """
        if self.is_open or route in OPEN:
            return ""
        if self._file is not None and time.monotonic() >= self._look_at:
            self._look()
        # Looked up by its hash, so that the time it takes tells nothing: nobody can choose how a hash begins.
        key = self._keys.get(hashed(_sent(headers)))
        if key is None:
            raise Refused(
                401,
                "wanted an API key that is accepted here, found "
                f"{'another one' if _sent(headers) else 'none'}; send it as the header authorization: Bearer KEY",
                reason="key",
            )
        scope = SCOPES_OF_ROUTES.get(route, OTHER_ROUTES)
        if scope not in key.scopes and route not in ANY_KEY:
            raise Refused(
                403,
                f"wanted a key with the scope {scope}, found {key.name} with {', '.join(sorted(key.scopes))}; "
                "use another key, or make one with everfit key",
                reason="scope",
            )
        return key.name

    def _look(self) -> None:
        """Read the file again if it changed; one that is gone or broken leaves what was accepted before."""
        assert self._file is not None, "looked for only where keys stand in a file"
        self._look_at = time.monotonic() + LOOK_SECONDS
        stamp: tuple[int, ...] = ()
        with contextlib.suppress(OSError):
            found = self._file.stat()
            stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = keys_of(self._file)
        except KeysError as err:
            log.error("API keys not read, %d stay accepted error=%s", len(self._keys), err)
        else:
            log.info("API keys read names=%s", ",".join(sorted(key.name for key in self._keys.values())) or "none")


def _sent(headers: dict[bytes, bytes]) -> bytes:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
