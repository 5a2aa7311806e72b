"""How long to wait, when to give up, what an outage costs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.retry import Patience, RetryBudget, Verdict, retry_after_s, verdict

PATIENCE = Patience()
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@given(tries=st.integers(1, 100_000), chance=st.floats(0, 1, exclude_max=True))
def test_backoff_is_a_share_of_a_ceiling_that_doubles_up_to_its_cap(tries: int, chance: float) -> None:
    ceiling = min(15.0, 0.25 * 2 ** min(tries - 1, 30))
    assert PATIENCE.backoff_s(tries, chance) == pytest.approx(chance * ceiling)


def test_looks_come_further_and_further_apart() -> None:
    waits = [PATIENCE.poll_s(looks) for looks in range(60)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.25, 5.0)


@pytest.mark.parametrize(
    ("tries", "others", "failing", "retry_after", "expected"),
    [
        (1, False, 0.0, 0.0, Verdict.RETRY),
        (5, True, 60.0, 0.0, Verdict.RETRY),
        (6, True, 60.0, 0.0, Verdict.GIVE_UP),
        (6, False, 119.9, 120.0, Verdict.RETRY),
        (1000, False, 119.9, 0.0, Verdict.RETRY),
        (1, False, 120.0, 0.0, Verdict.DEAD),
        (1, True, 0.0, 120.1, Verdict.DEAD),
        (6, True, 120.0, 0.0, Verdict.DEAD),
    ],
)
def test_verdict(tries: int, others: bool, failing: float, retry_after: float, expected: Verdict) -> None:
    decided = verdict(
        PATIENCE,
        tries=tries,
        enough_tries=6,
        others_succeeded=others,
        failing_for_s=failing,
        retry_after_s=retry_after,
    )
    assert decided is expected


def test_the_first_retries_cost_no_wait() -> None:
    budget = RetryBudget(cap_s=15.0)
    assert [budget.spend_s(0.0) for _ in range(20)] == [0.0] * 20
    assert budget.spend_s(0.0) == pytest.approx(0.1)
    assert budget.spend_s(0.0) == pytest.approx(0.2)


def test_requests_and_time_pay_for_retries() -> None:
    budget = RetryBudget(cap_s=15.0)
    while budget.spend_s(0.0) == 0.0:
        pass
    for _ in range(25):
        budget.earn()
    assert budget.spend_s(0.0) == 0.0
    assert budget.spend_s(0.0) > 0.0
    assert budget.spend_s(1.0) == 0.0


def test_an_old_budget_is_no_larger_than_a_new_one() -> None:
    budget = RetryBudget(cap_s=15.0)
    budget.spend_s(0.0)
    for _ in range(1000):
        budget.earn()
    waits = [budget.spend_s(3600.0) for _ in range(21)]
    assert waits.count(0.0) == 20


@given(st.lists(st.floats(0, 10), max_size=400))
def test_a_retry_is_never_delayed_longer_than_the_cap(gaps: list[float]) -> None:
    budget, now = RetryBudget(cap_s=3.0), 0.0
    for gap in gaps:
        now += gap / 100
        assert 0.0 <= budget.spend_s(now) <= 3.0


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        (None, None, 0.0),
        ("0", None, 0.0),
        (" 17 ", None, 17.0),
        ("-1", None, 0.0),
        ("1.5", None, 0.0),
        ("²", None, 0.0),
        ("soon", None, 0.0),
        ("", None, 0.0),
        ("9" * 5000, None, 999_999_999_999.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", None, 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", None, 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", None, 0.0),
        ("Thu, 01 Jan 2026 14:00:30 GMT", "Thu, 01 Jan 2026 14:00:00 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", "no date", 30.0),
    ],
)
def test_retry_after(value: str | None, date: str | None, expected: float) -> None:
    assert retry_after_s(value, date=date, now=NOW) == expected
