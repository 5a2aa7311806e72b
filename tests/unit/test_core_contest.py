"""Two writers of one path."""

from __future__ import annotations

from syncd.core.contest import MOST, TIMES, WITHIN_S, Contest


def test_a_path_is_contested_when_it_was_changed_once_too_often() -> None:
    contest = Contest()
    for time in range(TIMES + 1):
        assert not contest.over("a")
        assert contest.noticed("a", f"version {time}", now_s=float(time))
    assert contest.over("a")
    assert not contest.over("b")


def test_the_same_change_seen_again_is_no_further_one() -> None:
    contest = Contest()
    assert contest.noticed("a", "one", now_s=0.0)
    assert not any(contest.noticed("a", "one", now_s=float(time)) for time in range(10))
    assert not contest.over("a")


def test_after_a_while_it_is_tried_again() -> None:
    contest = Contest()
    for time in range(TIMES + 1):
        contest.noticed("a", str(time), now_s=0.0)
    assert not contest.noticed("a", str(TIMES), now_s=WITHIN_S + 1)
    assert not contest.over("a")


def test_no_more_paths_are_remembered_than_so_many() -> None:
    contest = Contest()
    for number in range(MOST + 1):
        contest.noticed(str(number), "", now_s=0.0)
    assert contest.noticed("0", "", now_s=0.0)
