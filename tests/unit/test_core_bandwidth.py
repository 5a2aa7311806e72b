"""How much may be sent, by the time of day, and in what turns."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.core.bandwidth import SLACK_S, SMALLEST_PIECE_BYTES, UNLIMITED, Bucket, Change, Timetable, piece_bytes

OFFICE = Timetable((Change(480, 1000.0), Change(1140, math.inf)))


@pytest.mark.parametrize(
    ("minute", "bytes_per_s"), [(0, math.inf), (479, math.inf), (480, 1000.0), (1139, 1000.0), (1140, math.inf)]
)
def test_the_last_change_of_a_day_holds_until_the_first_of_the_next(minute: int, bytes_per_s: float) -> None:
    assert OFFICE.bytes_per_s(minute) == bytes_per_s


def test_no_change_is_no_limit() -> None:
    assert UNLIMITED.bytes_per_s(700) == math.inf


@pytest.mark.parametrize(
    ("rate", "piece"), [(math.inf, 65536), (10.0, SMALLEST_PIECE_BYTES), (1e9, 65536), (200_000.0, 10_000)]
)
def test_a_piece_is_a_moment_of_the_rate(rate: float, piece: int) -> None:
    assert piece_bytes(rate, largest=65536) == piece


def test_turns_are_taken_in_the_order_of_asking() -> None:
    bucket = Bucket()
    waits = [bucket.reserve_s(100, 1000.0, now_s=10.0) for _ in range(4)]
    assert waits == pytest.approx([0.0, 0.0, 0.1, 0.2])


def test_where_the_limit_ends_nobody_waits_and_nothing_is_owed() -> None:
    bucket = Bucket()
    bucket.reserve_s(1_000_000, 1000.0, now_s=0.0)
    assert bucket.reserve_s(100, math.inf, now_s=1.0) == 0.0
    assert bucket.reserve_s(100, 1000.0, now_s=1.0) == 0.0


@given(
    pieces=st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 2, allow_nan=False)), min_size=1, max_size=60),
    rate=st.floats(1e3, 1e6),
)
@example(pieces=[(51, 0.0), (51, 0.0), (1, 0.0)], rate=1000.0)  # two alike
def test_over_no_time_more_is_sent_than_the_rate_allows(pieces: list[tuple[int, float]], rate: float) -> None:
    """Each piece is sent when it was granted, and the next is asked for some time after."""
    bucket, now_s, sent = Bucket(), 0.0, [(0.0, 0)]
    for size, pause_s in pieces:
        now_s += bucket.reserve_s(size, rate, now_s=now_s)
        sent.append((now_s, size))
        now_s += pause_s
    for first in range(1, len(sent)):
        total = 0
        for (_, size), (following_s, _) in pairwise(sent[first:]):
            total += size
            assert total <= rate * (following_s - sent[first][0] + SLACK_S) * 1.001 + 1
