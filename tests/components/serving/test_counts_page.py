"""What a monitor reads of the endpoint's own counts: requests for predictions, those that failed, and since when."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from components.records.watching import Requests
from components.serving.counts_page import counts_of, requests_since
from components.serving.keys import add, new_key
from components.serving.rival_counts import ASKED, FAILED
from components.serving.rollout_counters import RolloutCounters
from tests.components.serving import tiny
from tests.components.serving.alone import alone
from tests.components.serving.conftest import free_port, get, post, wait_for


def test_requests_are_counted_from_look_to_look_and_anew_after_a_restart(tmp_path: Path):
    """Failures are those of the service alone: a wrong row is its caller's, and labels and pages are no predictions."""
    with alone(tmp_path) as service:
        assert requests_since(service.address, None) == Requests(asked=0, failed=0, counted=(0, 0))

        assert service.predict(tiny.row())[0] == 200
        assert post(service.port, "/predict", b"no rows")[0] == 400
        assert get(service.port, "/model")[0] == 200
        first = requests_since(service.address, (0, 0))
        in_no_time = {"x-request-timeout": "0.000001"}
        late = [post(service.port, "/predict", {"rows": [tiny.row()]}, **in_no_time)[0] for _ in range(3)]
        second = requests_since(service.address, (2, 0))
        service.program.kill()
        nobody = requests_since(service.address, (5, 3))
        service.program.start()
        wait_for(lambda: get(service.port, "/readyz")[0] == 200, why=service.program.log.read_text)
        assert service.predict(tiny.row())[0] == 200
        third = requests_since(service.address, (5, 3))

    assert first == Requests(asked=2, failed=0, counted=(2, 0))
    assert min(late) >= 500
    assert second == Requests(asked=3, failed=3, counted=(5, 3))
    assert nobody is None
    assert third == Requests(asked=1, failed=0, counted=(1, 0))


def test_counts_that_are_kept_from_others_are_known_with_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """EVERFIT_API_KEY needs the scope admin; without it nobody knows, and nothing fails."""
    admin, kept = new_key("monitor", ["admin"])
    add(tmp_path / "keys", kept)
    with alone(tmp_path, EVERFIT_API_KEYS_FILE=str(tmp_path / "keys")) as service:
        unknown = requests_since(service.address, None)
        monkeypatch.setenv("EVERFIT_API_KEY", admin)
        known = requests_since(service.address, None)

    assert unknown is None
    assert known == Requests(asked=0, failed=0, counted=(0, 0))


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{port}", "http://nowhere.invalid:{port}", "http://[::1", "nothing"]
)
def test_an_endpoint_that_is_not_there_is_no_error(address: str):
    """A window is measured all the same."""
    assert requests_since(address.format(port=free_port()), None) is None


def test_a_challengers_counts_stand_on_the_same_page():
    """Under its variant and its version, as Prometheus reads them."""
    registry = CollectorRegistry()
    counters = RolloutCounters(registry)
    for version in (5, 5, 6):
        counters.seconds_of("shadow", version).observe(0.1)
    counters.failed("shadow", 5, ValueError())

    page = generate_latest(registry).decode()

    asked = {frozenset(labels): value for labels, value in counts_of(page, ASKED)}
    failed = list(counts_of(page, FAILED))
    assert asked == {
        frozenset({'variant="shadow"', 'version="5"'}): 2,
        frozenset({'variant="shadow"', 'version="6"'}): 1,
    }
    assert failed == [({'variant="shadow"', 'version="5"', 'reason="ValueError"'}, 1)]
