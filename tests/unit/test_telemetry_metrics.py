"""What is counted, and what Prometheus reads of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from syncd.core.model import Create, Drift, Kind, LocalEntry, Problem
from syncd.telemetry.console import Console
from syncd.telemetry.counts import WATCH_BUCKETS_S, Counted, Counts
from syncd.telemetry.log import DEBUG, Log
from syncd.telemetry.metrics import Metrics
from tests.daemon_support import BUSY, IDLE, FakeDaemon

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(counts: Counts, daemon: FakeDaemon | None = None) -> Samples:
    body, content_type = Metrics(daemon or FakeDaemon(), counts).text("text/plain")
    assert content_type.startswith("text/plain; version=")
    families = parse_text(body.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value for each in families for sample in each.samples
    }


def of(found: Samples, name: str, labels: Mapping[str, str]) -> float:
    return found[f"syncd_{name}", frozenset(labels.items())]


class TestStatus:
    @pytest.mark.parametrize(
        ("name", "assets", "backup"),
        [
            ("oldest_unsynced_change_age_seconds", 0, 75.25),
            ("queue_depth", 0, 3),
            ("in_flight_operations", 0, 2),
            ("held_deletions", 0, 2),
            ("parked_paths", 0, 1),
            ("last_reconcile_timestamp_seconds", 1_700_000_000, 0),
            ("degraded", 0, 1),
        ],
    )
    def test_is_told_for_each_job(self, name: str, assets: float, backup: float) -> None:
        found = samples(Counts())
        assert (of(found, name, {"syncd_job": "assets"}), of(found, name, {"syncd_job": "backup"})) == (assets, backup)

    def test_one_state_is_1(self) -> None:
        found = samples(Counts())
        states = {
            dict(labels)["state"]: value
            for (name, labels), value in found.items()
            if name == "syncd_job_state" and ("syncd_job", "backup") in labels
        }
        assert {state for state, value in states.items() if value == 1} == {"syncing"}
        assert len(states) == 7

    def test_a_job_that_is_gone_is_told_no_more(self) -> None:
        counts, daemon = Counts(), FakeDaemon()
        counts.of("backup").retried()
        daemon.statuses = [IDLE]
        assert not any(("syncd_job", "backup") in labels for _, labels in samples(counts, daemon))
        daemon.statuses = [IDLE, BUSY]
        assert of(samples(counts, daemon), "request_retries_total", {"syncd_job": "backup"}) == 1


class TestCounting:
    def test_what_a_job_tells_is_counted_and_passed_on(self) -> None:
        counts = Counts()
        lines: list[str] = []
        telemetry = Counted(
            Console("assets", Log(level=DEBUG, as_json=False, write=lines.append), None), counts.of("assets")
        )
        create = Create("a", "new", LocalEntry(b"a", Kind.FILE, 3, 0, 0, 1))
        problem = Problem("b", "delete", "500")
        telemetry.planned([create])
        telemetry.sent(100)
        telemetry.sent(-100)
        telemetry.sent(100)
        telemetry.done(create)
        telemetry.done(create)
        telemetry.failed(problem)
        telemetry.notice("said")
        telemetry.warning("warned", files=2)
        telemetry.drifted(Drift("a", "changed"))
        telemetry.drifted(Drift("c", "deleted"))
        told = ["create path=a", "create path=a", "delete failed path=b", "said", "warned files=2"]
        told += ["drifted path=a kind=changed", "drifted path=c kind=deleted"]
        assert [text in line for text, line in zip(told, lines, strict=True)] == [True] * 7
        found = samples(counts)
        job = {"syncd_job": "assets"}
        assert of(found, "actions_total", {**job, "action": "create", "outcome": "done"}) == 2
        assert of(found, "actions_total", {**job, "action": "delete", "outcome": "failed"}) == 1
        assert of(found, "sent_bytes_total", job) == 200
        assert of(found, "drifted_paths_total", job) == 2
        assert of(found, "drifted_paths_total", {"syncd_job": "backup"}) == 0

    def test_requests_by_operation_and_status(self) -> None:
        counts = Counts()
        assets = counts.of("assets")
        for status in (200, 200, 503, None):
            assets.request("list", status)
        assets.retried()
        found = samples(counts)
        told = [
            of(found, "requests_total", {"syncd_job": "assets", "operation": "list", "status": status})
            for status in ("200", "503", "none")
        ]
        assert told == [2, 1, 1]
        assert of(found, "request_retries_total", {"syncd_job": "assets"}) == 1

    def test_the_watch_latency_is_a_histogram(self) -> None:
        counts = Counts()
        for latency_s in (-1.0, 0.0, 0.025, 0.03, 60.0, 1000.0):
            Counted(Console("assets", Log(level=DEBUG, as_json=False, write=print), None), counts.of("assets")).noticed(
                latency_s, announced=latency_s < 60.0
            )
        found = samples(counts)
        at = [
            of(found, "watch_latency_seconds_bucket", {"syncd_job": "assets", "le": bound})
            for bound in (*map(str, WATCH_BUCKETS_S), "+Inf")
        ]
        assert at == [3, *[4] * 9, 5, 5, 6]
        assert of(found, "watch_latency_seconds_count", {"syncd_job": "assets"}) == 6
        assert math.isclose(of(found, "watch_latency_seconds_sum", {"syncd_job": "assets"}), 1060.055)
        assert of(found, "unannounced_changes_total", {"syncd_job": "assets"}) == 2


def test_names_follow_the_conventions_and_every_metric_has_its_help() -> None:
    body, content_type = Metrics(FakeDaemon(), Counts()).text(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    parsed = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]
    families = [family for family in parsed if family.name.startswith("syncd_")]
    assert len(families) == 16
    for family in families:
        assert re.fullmatch(r"syncd_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation
        assert not family.name.endswith(("_total", "_ms", "_milliseconds"))
    units = {family.name for family in families if family.name.endswith(("seconds", "bytes"))}
    assert len(units) == 4


def test_a_name_that_is_no_utf_8_breaks_nothing() -> None:
    daemon = FakeDaemon(replace(IDLE, job='x\udcff"\n'))
    assert of(samples(Counts(), daemon), "queue_depth", {"syncd_job": 'x\\xff"\n'}) == 0
