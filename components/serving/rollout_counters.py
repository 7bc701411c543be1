"""What a worker counts of versions that take over, or are on their way to: for Prometheus, and to end a rollout by."""

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class RolloutCounters:
    """The counters of challengers and of refused versions; see `components.serving.counters`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "everfit_challenger_seconds",
            "Seconds that a challenger took for a request that it could answer.",
            ["variant", "version"],
            registry=registry,
            buckets=SECONDS,
        )
        self._failures = Counter(
            "everfit_challenger_failures",
            "Requests that a challenger could not answer; the champion did.",
            ["variant", "version", "reason"],
            registry=registry,
        )
        self._dropped = Counter(
            "everfit_shadow_dropped",
            "Requests that a shadow was not asked for, since too many waited or the ledger could not be written.",
            ["version"],
            registry=registry,
        )
        self._refused = Counter(
            "everfit_versions_refused", "Versions that were not taken.", ["reason"], registry=registry
        )

    def seconds_of(self, variant: str, version: int) -> Histogram:
        """Where the answers of this challenger are counted; looking it up costs more than counting."""
        return self._seconds.labels(variant, str(version))

    def failed(self, variant: str, version: int, err: Exception) -> None:
        """Count a request that a challenger could not answer, by the class of the error."""
        self._failures.labels(variant, str(version), type(err).__name__).inc()

    def dropped(self, version: int) -> None:
        """Count a request that a shadow was not asked for."""
        self._dropped.labels(str(version)).inc()

    def refused(self, err: Exception) -> None:
        """Count a version that was not taken, by the class of the error."""
        self._refused.labels(type(err).__name__).inc()
