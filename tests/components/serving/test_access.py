"""Who may ask what of the endpoint, from outside: a real `bentoml serve` with keys."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import KeysError, ServerNotHealthy
from components.serving.access import Access
from components.serving.keys import add, new_key, remove
from components.serving.rollout import live_model
from components.settings.environment import Environment
from tests.components.serving import tiny
from tests.components.serving.alone import alone
from tests.components.serving.conftest import Service, post, send, wait_for

ROWS = {"rows": [tiny.row()]}
SCOPES = ("predict", "label", "admin")

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of keys that the service reads."""
    return tmp_path_factory.mktemp("keys") / "keys"


@pytest.fixture(scope="module")
def keys(file: Path) -> dict[str, str]:
    """One key of each scope, which stays in the file."""
    made = {scope: new_key(scope, [scope]) for scope in SCOPES}
    for _, kept in made.values():
        add(file, kept)
    return {scope: key for scope, (key, _) in made.items()}


@pytest.fixture(scope="module")
def locked(file: Path, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for keys."""
    with alone(tmp_path_factory.mktemp("locked"), EVERFIT_API_KEYS_FILE=str(file)) as service:
        yield service


def status(service: Service, route: str, key: str = "") -> int:
    """Status of a right request for a route."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if route == "/predict":
        return post(service.port, route, ROWS, **headers)[0]
    if route == "/labels":
        return post(service.port, route, {"labels": [{"id": "a", "label": 1}]}, **headers)[0]
    return send(service.port, "GET", route, headers=headers)[0]


@pytest.mark.parametrize(
    ("route", "opened_by", "answer"),
    [
        ("/predict", {"predict"}, 200),
        ("/labels", {"label"}, 200),
        ("/model", {"admin"}, 200),
        ("/metrics", {"admin"}, 200),
        (f"/explain/{'0' * 20}-0", {"admin"}, 404),
        ("/docs.json", set(SCOPES), 200),
        ("/nowhere", set(SCOPES), 404),
    ],
)
def test_a_route_is_opened_by_a_key_of_its_scope(
    locked: Service, keys: dict[str, str], route: str, opened_by: set[str], answer: int
):
    """Without a key 401, with one of another scope 403, with the right one what is there."""
    statuses = {scope: status(locked, route, key) for scope, key in keys.items()}

    assert statuses == {scope: answer if scope in opened_by else 403 for scope in SCOPES}
    assert status(locked, route) == status(locked, route, "ek_of_nobody") == 401


@pytest.mark.parametrize("route", ["/livez", "/readyz", "/", "/docs.js", "/static_content/swagger-ui.css"])
def test_probes_and_the_empty_page_need_no_key(locked: Service, route: str):
    """Whoever watches the service, and a browser that opens the page, send none; neither sees anything of the model."""
    assert status(locked, route) == 200


def test_a_key_may_come_in_either_header(locked: Service, keys: dict[str, str]):
    """Whatever else stands in the header authorization, for a proxy before the service, is no key."""
    key = keys["predict"]

    assert post(locked.port, "/predict", ROWS, **{"x-api-key": key})[0] == 200
    assert post(locked.port, "/predict", ROWS, **{"x-api-key": key, "authorization": "Basic abc"})[0] == 200
    assert post(locked.port, "/predict", ROWS, authorization=f"bearer  {key}")[0] == 200
    assert post(locked.port, "/predict", ROWS, authorization=key)[0] == 401


def test_who_is_refused_is_told_what_to_send(locked: Service, keys: dict[str, str]):
    """The scope that is wanted and those of the key; never the key."""
    without = post(locked.port, "/predict", ROWS)[1]["error"]
    wrong = post(locked.port, "/predict", ROWS, authorization="Bearer ek_wrong")[1]["error"]
    other = post(locked.port, "/predict", ROWS, authorization=f"Bearer {keys['label']}")[1]["error"]

    assert "wanted an API key that is accepted here, found none" in without
    assert "found another one" in wrong
    assert "ek_wrong" not in wrong
    assert "wanted a key with the scope predict, found label with label" in other
    assert send(locked.port, "GET", "/model")[0] == 401


def test_a_key_is_rotated_without_a_restart(locked: Service, file: Path):
    """Add the new one, switch, see that the old one is silent, remove it: nobody is refused on the way."""
    old, old_kept = new_key("rotated-1", ["predict", "admin"])
    new, new_kept = new_key("rotated-2", ["predict", "admin"])
    workers = locked.workers()
    add(file, old_kept)
    wait_for(lambda: status(locked, "/predict", old) == 200, seconds=5)

    add(file, new_kept)
    wait_for(lambda: status(locked, "/predict", new) == 200, seconds=5)
    both = [status(locked, "/predict", key) for key in (old, new)]
    remove(file, "rotated-1")
    wait_for(lambda: status(locked, "/predict", old) == 401, seconds=5)

    assert both == [200, 200]
    assert status(locked, "/predict", new) == 200
    page = send(locked.port, "GET", "/metrics", headers={"x-api-key": new})[1]
    assert 'everfit_key_requests_total{key="rotated-1"}' in page
    assert 'everfit_refused_total{reason="key"}' in page
    assert locked.workers() == workers


def test_a_broken_or_missing_file_leaves_the_keys_of_before(locked: Service, file: Path, keys: dict[str, str]):
    """A slip of whoever edits the file shuts nobody out, and lets nobody in; the log says it once."""
    right = file.read_text()
    broken, nobody = new_key("broken", ["predict"])

    file.write_text(f"{nobody.line()}\nnonsense {keys['predict']}\n")
    wait_for(lambda: status(locked, "/predict", broken) and "line 2" in _log(locked, "not read"), seconds=5)
    statuses = [status(locked, "/predict", key) for key in (keys["predict"], broken)]
    file.unlink()
    wait_for(lambda: status(locked, "/predict", broken) and "No such file" in _log(locked, "not read"), seconds=5)
    statuses += [status(locked, "/predict", key) for key in (keys["predict"], broken)]
    file.write_text(right)

    assert statuses == [200, 401, 200, 401]
    assert "nonsense" not in locked.program.log.read_text()
    assert _log(locked, "not read").count("No such file") == 1


def _log(service: Service, words: str) -> str:
    return "\n".join(line for line in service.program.log.read_text().splitlines() if words in line)


def test_no_key_stands_in_the_log_or_in_a_command_line(locked: Service, keys: dict[str, str]):
    """Names do; keys and what they were mistaken for do not."""
    for key in keys.values():
        status(locked, "/predict", key)
    lines = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if os.access(file, os.R_OK)]

    said = locked.program.log.read_text()

    assert "names=admin,label,predict" in said
    assert not any(key in said or any(key.encode() in line for line in lines) for key in keys.values())


def test_everfits_own_clients_send_their_key(locked: Service, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """EVERFIT_API_KEY opens what flows ask; without it, or with too little scope, a sentence says what to set."""
    monkeypatch.setenv("EVERFIT_API_KEY", keys["admin"])
    found = live_model(locked.address)

    assert found["version"] == 3
    monkeypatch.setenv("EVERFIT_API_KEY", keys["predict"])
    with pytest.raises(ServerNotHealthy, match=r"scope admin, found predict with predict.*set EVERFIT_API_KEY"):
        live_model(locked.address)
    monkeypatch.delenv("EVERFIT_API_KEY")
    with pytest.raises(ServerNotHealthy, match=r"found none.*set EVERFIT_API_KEY"):
        live_model(locked.address)


def test_keys_in_the_environment_are_closed_when_empty():
    """A secret that was not filled in must not open the service to everybody; no variable at all does."""
    key, kept = new_key("shop", ["predict"])

    with pytest.raises(KeysError, match="EVERFIT_API_KEYS: wanted a key, found none"):
        Access(Environment(api_keys=" "))
    access = Access(Environment(api_keys=kept.line()))

    assert access.caller("/predict", {b"x-api-key": key.encode()}) == "shop"
    assert Access(Environment()).caller("/predict", {}) == ""


def test_a_file_that_is_not_there_yet_lets_nobody_in(tmp_path: Path):
    """Until it is: a mount may come late."""
    key, kept = new_key("shop", ["predict"])
    access = Access(Environment(api_keys_file=tmp_path / "keys"))

    with pytest.raises(Exception, match="wanted an API key that is accepted here"):
        access.caller("/predict", {b"x-api-key": key.encode()})
    add(tmp_path / "keys", kept)

    wait_for(lambda: _is_accepted(access, key), seconds=5)


def _is_accepted(access: Access, key: str) -> bool:
    try:
        return access.caller("/predict", {b"x-api-key": key.encode()}) == "shop"
    except ValueError:
        return False


def test_a_service_open_to_a_network_says_so(caplog: pytest.LogCaptureFixture):
    """On the loopback nothing is said."""
    Access(Environment(host="127.0.0.1"))
    Access(Environment(host="localhost"))
    before = list(caplog.messages)

    Access(Environment(host="0.0.0.0"))

    assert not before
    assert "service open to everybody host=0.0.0.0" in caplog.text
