"""The metrics of a daemon in the formats of Prometheus, under its naming conventions, labelled by job.

Made by the status server. Everything is gathered when somebody asks, from the daemon's status and from `counts`;
nothing is kept here. The registry is its own, so that two daemons in one process do not meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from syncd import __version__
from syncd.core.model import JobState, JobStatus
from syncd.ports import Daemon
from syncd.telemetry.counts import WATCH_BUCKETS_S, Counts, JobCounts
from syncd.telemetry.text import encodable

Row = tuple[str, JobStatus, JobCounts]

JOB = "syncd_job"
"""The label of a job of the configuration: `job` is Prometheus's own (its scrape job)."""

_GAUGES: tuple[tuple[str, str, Callable[[JobStatus], float]], ...] = (
    (
        "oldest_unsynced_change_age_seconds",
        "Age of the oldest change that is not on the destination; 0 without one.",
        lambda status: status.oldest_unsynced_s,
    ),
    ("queue_depth", "Scopes waiting to be reconciled.", lambda status: status.queued),
    ("in_flight_operations", "Operations under way.", lambda status: status.in_flight),
    ("held_deletions", "Deletions that wait for approval.", lambda status: status.held),
    ("parked_paths", "Paths that keep failing and are tried again later.", lambda status: len(status.failed)),
    (
        "last_reconcile_timestamp_seconds",
        "Unix time of the last full reconcile; 0 before the first.",
        lambda status: status.last_reconcile or 0,
    ),
    ("degraded", "1 while changes may be noticed late.", lambda status: status.degraded is not None),
)
_COUNTERS: tuple[tuple[str, str, Callable[[JobCounts], float]], ...] = (
    ("request_retries", "Requests that were made again.", lambda counts: counts.retries),
    ("sent_bytes", "Bytes of file content given to the network.", lambda counts: counts.sent_bytes),
    ("drifted_paths", "Paths that somebody else changed on the destination.", lambda counts: counts.drifted),
    (
        "unannounced_changes",
        "Changes that a rescan found and no event had announced.",
        lambda counts: counts.unannounced,
    ),
)
_TABLES: tuple[tuple[str, str, list[str], Callable[[JobCounts], Mapping[tuple[str, str], int]]], ...] = (
    ("actions", "Actions on the destination by outcome.", ["action", "outcome"], lambda counts: counts.actions),
    (
        "requests",
        'HTTP requests by operation and status ("none": no answer).',
        ["operation", "status"],
        lambda counts: counts.requests,
    ),
)


class Metrics:
    """`text` is what `/metrics` answers."""

    def __init__(self, daemon: Daemon, counts: Counts) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Jobs(daemon, counts))
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their content type, in what the `accept` header asks for (OpenMetrics or the text format)."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Jobs(Collector):
    def __init__(self, daemon: Daemon, counts: Counts) -> None:
        self._daemon = daemon
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before the first job is: the registry need not ask."""
        return ()

    def collect(self) -> Iterator[Metric]:
        rows = [(encodable(status.job), status, self._counts.of(status.job)) for status in self._daemon.status()]
        info = GaugeMetricFamily("syncd_build_info", "The version that runs; always 1.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from _gauges(rows)
        yield _states(rows)
        yield from _counters(rows)
        yield from _tables(rows)
        yield _watch_latency(rows)


def _gauges(rows: Sequence[Row]) -> Iterator[Metric]:
    for name, text, value in _GAUGES:
        family = GaugeMetricFamily(f"syncd_{name}", text, labels=[JOB])
        for job, status, _ in rows:
            family.add_metric([job], value(status))
        yield family


def _states(rows: Sequence[Row]) -> Metric:
    family = GaugeMetricFamily("syncd_job_state", "1 for the state that the job is in.", labels=[JOB, "state"])
    for job, status, _ in rows:
        for state in JobState:
            family.add_metric([job, state.value], int(status.state is state))
    return family


def _counters(rows: Sequence[Row]) -> Iterator[Metric]:
    for name, text, value in _COUNTERS:
        family = CounterMetricFamily(f"syncd_{name}", text, labels=[JOB])
        for job, _, counts in rows:
            family.add_metric([job], value(counts))
        yield family


def _tables(rows: Sequence[Row]) -> Iterator[Metric]:
    for name, text, labels, table in _TABLES:
        family = CounterMetricFamily(f"syncd_{name}", text, labels=[JOB, *labels])
        for job, _, counts in rows:
            for key, count in sorted(table(counts).items()):
                family.add_metric([job, *key], count)
        yield family


def _watch_latency(rows: Sequence[Row]) -> Metric:
    name, text = "syncd_watch_latency_seconds", "Age of a change when it was noticed, by an event or by a rescan."
    family = HistogramMetricFamily(name, text, labels=[JOB])
    bounds = [*map(str, WATCH_BUCKETS_S), "+Inf"]
    for job, _, counts in rows:
        total, buckets = 0, []
        for bound, count in zip(bounds, counts.watch_latencies, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([job], buckets=buckets, sum_value=counts.watch_latency_sum_s)
    return family
