"""Keys that a project needs from the environment, looked at where it starts and not when they are first used."""

import hashlib

from components.errors import ProjectFileError
from components.settings.environment import Environment
from components.settings.project import Project

# 128 bits of a random key are 22 characters of base64; a short word could be found by trying.
KEY_CHARACTERS = 16


def hash_key(project: Project, environment: Environment) -> bytes:
    """Key of the hashes that stand for private columns, 32 bytes; any other where the project wants no hashes.

    Raises:
        ProjectFileError: If hashes are wanted and there is no key for them, or a short one.
    """
    key = environment.hash_key or ""
    hashed = [name for name, way in project.serving.private.items() if way == "hash"]
    if hashed and len(key) < KEY_CHARACTERS:
        found = f"it has {len(key)}" if key else "there is none"
        raise ProjectFileError(
            f"{project.file}: serving.private wants a hash of {', '.join(hashed)}, for which the environment variable "
            f"EVERFIT_HASH_KEY must hold a key of at least {KEY_CHARACTERS} characters, but {found}; set it to the "
            "same secret wherever the project runs, or write absent instead of hash"
        )
    # BLAKE2b takes keys of up to 64 bytes; the hash of a longer one is as good.
    return hashlib.sha256(key.encode()).digest()
