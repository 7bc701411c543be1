"""What the service counts of itself, for Prometheus; summed over all workers of one service."""

import os
from http import HTTPStatus
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from components.serving.rollout_counters import RolloutCounters

# BentoML gives its workers one folder to write their counts to; without it (one process, a test) they stay in memory.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Counters:
    """The counters of one worker, kept in files of the service's folder, and the page that shows those of all."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "everfit_requests", "Requests answered, by route and status.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "everfit_request_seconds", "Seconds from request to answer.", ["route"], registry=registry, buckets=SECONDS
        )
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.rows = Counter("everfit_rows", "Rows predicted and kept in the ledger.", registry=registry)
        self.labels = Counter("everfit_labels", "Labels kept in the ledger.", registry=registry)
        self.ledger_failures = Counter(
            "everfit_ledger_failures", "Requests refused because the ledger could not be written.", registry=registry
        )
        self.rows_not_kept = Counter(
            "everfit_rows_not_kept",
            "Rows predicted though the ledger could not be written (serving.on_ledger_failure: serve).",
            registry=registry,
        )
        self._refused = Counter(
            "everfit_refused", "Requests refused though nothing was wrong with them.", ["reason"], registry=registry
        )
        self._key_requests = Counter(
            "everfit_key_requests", "Requests with a key that is accepted, by its name.", ["key"], registry=registry
        )
        self.swaps = Counter("everfit_swaps", "Versions that took over.", registry=registry)
        self.follow_failures = Counter(
            "everfit_follow_failures", "Looks at the registry, or versions, that failed.", registry=registry
        )
        self.rollout = RolloutCounters(registry)
        self.version = Gauge(
            "everfit_model_version", "Version that answers.", registry=registry, multiprocess_mode="liveall"
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request.

        Args:
            route: One of the service's routes, or `other`: never what a caller made up.
            status: HTTP status.
            seconds: From request to answer.
        """
        # Looking a labelled child up costs more than counting with it, so each is looked up once.
        known = self._answered.get((route, status))
        if known is None:
            one = self._requests.labels(route, str(int(HTTPStatus(status))))
            known = self._answered[route, status] = (one, self._seconds.labels(route))
        known[0].inc()
        known[1].observe(seconds)

    def refused(self, reason: str) -> None:
        """Count one request refused for its sender or its time: key, scope, rate, queue, bytes, late, deadline."""
        self._refused.labels(reason).inc()

    def shed(self, route: str, count: int) -> None:
        """Count requests that were refused unparsed because the queue was full; nobody took their time."""
        self._requests.labels(route, "503").inc(count)
        self._refused.labels("queue").inc(count)

    def key_used(self, name: str) -> None:
        """Count one request with a key; a key that is not counted any more can be removed."""
        self._key_requests.labels(name).inc()

    def page(self) -> bytes:
        """What Prometheus scrapes: the sum over all workers, the version of each that is alive."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._registry)
        _forget_dead_workers(Path(folder))
        everything = CollectorRegistry()
        MultiProcessCollector(everything, folder)
        return generate_latest(everything)


def _forget_dead_workers(folder: Path) -> None:
    """Drop the live gauges of workers that were killed; their counters stay, since counters never go down."""
    for file in folder.glob("gauge_liveall_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            mark_process_dead(int(pid), str(folder))
