"""Additive increase, multiplicative decrease, pauses asked for, and a configured cap."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.pacing import SLACK_S, SLOWEST_PER_S, Pace


class Server:
    """Allows so many requests in each second of its clock, and answers after `trip_s`."""

    def __init__(self, allowed: int, trip_s: float) -> None:
        self.allowed = allowed
        self.trip_s = trip_s
        self.second = -1
        self.seen = 0

    def serves(self, now_s: float) -> bool:
        if int(now_s) != self.second:
            self.second, self.seen = int(now_s), 0
        self.seen += 1
        return self.seen <= self.allowed


def run(pace: Pace, server: Server, *, until_s: float, at_once: int) -> tuple[int, int]:
    """`at_once` clients that ask again and again; returns how many requests were served and refused."""
    clients = [0.0] * at_once
    served = refused = 0
    while (now_s := min(clients)) < until_s:
        client = clients.index(now_s)
        start_s = now_s + pace.reserve_s(now_s)
        end_s = start_s + server.trip_s
        if server.serves(start_s):
            served += 1
            pace.succeeded(end_s)
        else:
            refused += 1
            pace.throttled(started_s=start_s, now_s=end_s, retry_after_s=0.0)
        clients[client] = end_s
    return served, refused


def test_nothing_waits_until_the_remote_throttles() -> None:
    pace = Pace()
    assert [pace.reserve_s(0.0) for _ in range(1000)] == [0.0] * 1000
    pace.succeeded(0.0)
    assert math.isinf(pace.rate_per_s)


def test_a_configured_cap_is_kept_from_the_start() -> None:
    pace = Pace(cap_per_s=10.0)
    waits = [pace.reserve_s(100.0) for _ in range(11)]
    assert waits[0] == 0.0
    assert waits[-1] == pytest.approx(1.0 - SLACK_S)
    assert pace.reserve_s(200.0) == 0.0


def test_a_pause_is_for_every_request() -> None:
    pace = Pace()
    pace.throttled(started_s=0.0, now_s=1.0, retry_after_s=7.0)
    assert pace.paused_s(2.0) == 6.0
    assert pace.reserve_s(2.0) >= 6.0
    assert pace.paused_s(9.0) == 0.0
    unlimited = Pace()
    unlimited._resume_s = 5.0
    assert unlimited.reserve_s(1.0) == 4.0


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pace = Pace()
    pace.throttled(started_s=0.0, now_s=0.0, retry_after_s=10.0)
    pace.throttled(started_s=1.0, now_s=1.0, retry_after_s=1.0)
    assert pace.paused_s(1.0) == 9.0


def test_what_was_under_way_at_a_decrease_decreases_no_further() -> None:
    pace = Pace()
    for _ in range(100):
        pace.reserve_s(0.0)
    pace.throttled(started_s=0.0, now_s=0.1, retry_after_s=0.0)
    once = pace.rate_per_s
    for _ in range(99):
        pace.throttled(started_s=0.05, now_s=0.15, retry_after_s=0.0)
    assert pace.rate_per_s == once
    pace.throttled(started_s=0.2, now_s=0.3, retry_after_s=0.0)
    assert pace.rate_per_s < once


def test_success_raises_the_rate_again() -> None:
    pace = Pace(rate_per_s=10.0)
    pace.throttled(started_s=0.0, now_s=0.0, retry_after_s=0.0)
    low = pace.rate_per_s
    for n in range(50):
        pace.succeeded(float(n))
    assert pace.rate_per_s > low + 1.0


def test_one_refusal_in_a_quiet_time_does_not_keep_much_work_back_for_long() -> None:
    pace, server = Pace(), Server(300, 0.02)
    for second in range(5):
        pace.reserve_s(float(second))
        pace.succeeded(second + 0.1)
    pace.reserve_s(5.0)
    pace.throttled(started_s=5.0, now_s=5.1, retry_after_s=0.0)
    run(pace, server, until_s=25.0, at_once=16)
    assert pace.rate_per_s > 100.0


@given(st.lists(st.floats(0.001, 5.0), min_size=1, max_size=200))
def test_throttling_never_raises_the_rate_nor_stops_it(gaps: list[float]) -> None:
    pace, now = Pace(), 0.0
    for gap in gaps:
        now += gap
        pace.reserve_s(now)
        before = pace.rate_per_s
        pace.throttled(started_s=now, now_s=now, retry_after_s=0.0)
        assert SLOWEST_PER_S <= pace.rate_per_s <= before


@pytest.mark.parametrize("allowed", [10, 60, 400])
@pytest.mark.parametrize("trip_s", [0.002, 0.05, 0.4])
@pytest.mark.parametrize("at_once", [8, 32])
def test_most_of_what_a_remote_allows_is_used_and_little_is_refused(allowed: int, trip_s: float, at_once: int) -> None:
    served, refused = run(Pace(), Server(allowed, trip_s), until_s=60.0, at_once=at_once)
    possible = min(allowed, at_once / trip_s) * 60
    assert served >= 0.6 * possible
    assert refused <= 0.15 * served + 2 * at_once


class TestAWindowThatIsTold:
    def test_is_waited_for_when_nothing_is_left_of_it(self) -> None:
        pace = Pace()
        pace.allowed(2, now_s=10.0, window_s=60.0)
        pace.allowed(1, now_s=20.0, window_s=60.0)
        assert pace.paused_s(20.0) == 0.0
        pace.allowed(0, now_s=30.0, window_s=60.0)
        assert pace.paused_s(30.0) == 40.0
        assert pace.reserve_s(30.0) == 40.0

    def test_is_another_one_after_its_end(self) -> None:
        pace = Pace()
        pace.allowed(5, now_s=10.0, window_s=60.0)
        pace.allowed(0, now_s=75.0, window_s=60.0)
        assert pace.paused_s(75.0) == 60.0
