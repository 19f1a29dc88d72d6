"""What Prometheus reads of a service."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)  # fmt: skip

from mmkd_core.serving.catalogue import Catalogue

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10)


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        self.requests = Counter("mmkd_requests", "Requests by route and status.", ("route", "status"), registry=own)
        self.seconds = Histogram("mmkd_request_seconds", "Seconds in the service.", ("route",), buckets=SECONDS,
                                 registry=own)  # fmt: skip
        self.switches = Counter("mmkd_export_loads", "New versions: loaded, or broken.", ("result",), registry=own)
        self.size = Gauge("mmkd_export_rows", "Rows of the tables that are served.", ("kind",), registry=own)
        self.export = Info("mmkd_export", "The export that is served.", registry=own)

    def served(self, catalogue: Catalogue) -> None:
        """Notes which export is served now."""
        self.size.labels("user").set(len(catalogue.user_names))
        self.size.labels("item").set(len(catalogue.item_names))
        self.export.info({"version": catalogue.version, "data": catalogue.card["data"]["name"]})

    def done(self, route: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self.registry)
