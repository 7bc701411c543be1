"""The endpoint seen from outside: which version does it answer with, and since when?"""

import time
from datetime import UTC, datetime

import httpx

from components.errors import PassingFault, ServerNotHealthy
from components.records.models import ModelVersion
from components.settings.environment import Environment

POLL_SECONDS = 0.2
# With several workers behind one port each follows the alias on its own: this many answers in a row, each on a new
# connection, must come from the new version before it counts as live.
ANSWERS_IN_A_ROW = 5


def await_live(service: str, version: ModelVersion, *, seconds: float = 60) -> datetime:
    """The moment (UTC) from which the endpoint answers with this version.

    Args:
        service: Address of the endpoint.
        version: The version that should be live.
        seconds: How long to wait for it.

    Raises:
        PassingFault: If the endpoint cannot be reached at all.
        ServerNotHealthy: If it answers with something else until the end, with the reason it gives.
    """
    end = time.monotonic() + seconds
    seen: dict[str, object] = {}
    in_a_row = 0
    while in_a_row < ANSWERS_IN_A_ROW:
        seen = live_model(service)
        in_a_row = in_a_row + 1 if is_live(seen, version) else 0
        if time.monotonic() > end:
            raise ServerNotHealthy(_not_live(service, version, seen, seconds))
        if not in_a_row:
            time.sleep(POLL_SECONDS)
    return datetime.now(UTC)


def live_model(service: str) -> dict[str, object]:
    """What the endpoint says of the model it answers with; empty while it has none.

    Raises:
        PassingFault: If the endpoint cannot be reached.
        ServerNotHealthy: If it asks for another key than EVERFIT_API_KEY.
    """
    try:
        answer = httpx.get(f"{service}/model", timeout=10, headers=key_header(Environment()))
    except httpx.HTTPError as err:
        raise PassingFault(
            f"wanted to ask the endpoint at {service} which version is live, but it did not answer: {err}; "
            "start it with everfit up, or set EVERFIT_SERVICE_URL"
        ) from err
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise ServerNotHealthy(
            f"wanted to ask the endpoint at {service} which version is live, but it refused: {answer.text[:300]}; "
            "set EVERFIT_API_KEY to a key with the scope admin"
        )
    facts = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
    return facts if isinstance(facts, dict) else {}


def key_header(environment: Environment) -> dict[str, str]:
    """The header that carries EVERFIT_API_KEY; none where that is unset."""
    return {"authorization": f"Bearer {environment.api_key}"} if environment.api_key else {}


def live_columns(service: str) -> list[str]:
    """Names of the raw columns that the endpoint asks for.

    Raises:
        PassingFault: If the endpoint cannot be reached.
        ServerNotHealthy: If no version is live.
    """
    columns = live_model(service).get("columns")
    if not isinstance(columns, list):
        raise ServerNotHealthy(f"wanted the columns of the live version at {service}, found no version; release one")
    return [str(column["name"]) for column in columns]


def is_live(seen: dict[str, object], version: ModelVersion) -> bool:
    """Whether what the endpoint says is this very version: same number and same file."""
    return str(seen.get("version")) == str(version.version) and seen.get("sha256") == version.sha256


def _not_live(service: str, version: ModelVersion, seen: dict[str, object], seconds: float) -> str:
    found = f"version {seen['version']}" if seen.get("version") else "no version"
    why = f" ({seen['last_error']})" if seen.get("last_error") else ""
    return (
        f"wanted {version.name} version {version.version} live at {service} within {seconds:.0f} s, "
        f"found {found}{why}; "
        "look into the service's log and at GET /model"
    )
