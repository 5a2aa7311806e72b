"""The delete guard and the identity of the source."""

from __future__ import annotations

import pytest

from syncd.core.diff import Census
from syncd.core.guard import DOUBTED, Guard, Source, source_verdict, suspicion, to_remember
from syncd.core.model import MaxDelete, SourceIdentity

HERE = SourceIdentity(filesystem=7, inode=100)
ELSEWHERE = SourceIdentity(filesystem=7, inode=200)


def percent(value: float) -> MaxDelete:
    return MaxDelete(count=None, percent=value)


@pytest.mark.parametrize(
    ("max_delete", "known", "deletions", "held"),
    [
        (percent(25), 10, 10, False),
        (percent(25), 20, 19, False),
        (percent(25), 20, 20, True),
        (percent(25), 80, 20, False),
        (percent(25), 80, 21, True),
        (percent(0), 1000, 19, False),
        (percent(0), 1000, 20, True),
        (percent(100), 1000, 1000, False),
        (MaxDelete(count=0, percent=None), 1000, 1, True),
        (MaxDelete(count=5, percent=None), 1000, 5, False),
        (MaxDelete(count=5, percent=None), 1000, 6, True),
        (MaxDelete(count=5, percent=25.0), 8, 6, True),
        (MaxDelete(count=None, percent=None), 1000, 20, True),
        (percent(25), 0, 0, False),
    ],
)
def test_a_percentage_bites_from_20_deletions_a_count_at_once(
    max_delete: MaxDelete, known: int, deletions: int, held: bool
) -> None:
    assert (Guard(max_delete, known).held(deletions) is not None) == held


def test_what_the_run_deleted_before_counts() -> None:
    assert Guard(MaxDelete(count=5, percent=None), 100, done=4).held(1) is None
    assert "after 4 before" in (Guard(MaxDelete(count=5, percent=None), 100, done=4).held(2) or "")
    assert Guard(percent(25), 60, done=20).held(1) is not None


def test_a_suspicious_source_holds_every_deletion_unless_there_is_no_guard() -> None:
    assert Guard(percent(25), 1000, suspicion="why").held(1) == "why"
    assert Guard(MaxDelete(count=50, percent=None), 1000, suspicion="why").held(1) == "why"
    assert Guard(percent(100), 1000, suspicion="why").held(1000) is None
    assert Guard(percent(25), 1000, suspicion="why").held(0) is None


@pytest.mark.parametrize(
    ("remembered", "census", "suspicious"),
    [
        (HERE, Census(known=5, local=0), True),
        (HERE, Census(known=4, local=0), False),
        (None, Census(known=5, local=0), True),
        (ELSEWHERE, Census(known=5, local=3, present=0), True),
        (ELSEWHERE, Census(known=5, local=3, present=1), False),
        (ELSEWHERE, Census(known=4, local=3, present=0), False),
        (HERE, Census(known=5, local=3, present=0), False),
        (None, Census(known=5, local=3, present=0), False),
        (SourceIdentity(7, DOUBTED), Census(known=5, local=5, present=5), True),
    ],
)
def test_an_emptied_or_exchanged_source_is_suspicious(
    remembered: SourceIdentity | None, census: Census, suspicious: bool
) -> None:
    assert (suspicion(remembered, HERE, census) is not None) == suspicious


@pytest.mark.parametrize(
    ("remembered", "current", "present", "verdict"),
    [
        (None, HERE, 0, Source.SAME),
        (HERE, ELSEWHERE, 0, Source.SAME),
        (HERE, SourceIdentity(8, 100), 5, Source.MOVED),
        (HERE, SourceIdentity(8, 100), 4, Source.FOREIGN),
        (HERE, SourceIdentity(0, 100), 0, Source.SAME),
        (SourceIdentity(0, 100), HERE, 0, Source.SAME),
    ],
)
def test_another_filesystem_is_taken_if_half_of_the_known_files_are_there(
    remembered: SourceIdentity | None, current: SourceIdentity, present: int, verdict: Source
) -> None:
    assert source_verdict(remembered, current, Census(known=10, present=present)) is verdict


def test_an_exchanged_source_is_remembered_as_doubted() -> None:
    full, empty = Census(known=5, local=5), Census(known=5, local=0)
    assert to_remember(ELSEWHERE, HERE, full, doubted=False) == HERE
    assert to_remember(ELSEWHERE, HERE, full, doubted=True) == SourceIdentity(7, DOUBTED)
    assert to_remember(ELSEWHERE, HERE, empty, doubted=True) == ELSEWHERE
    assert to_remember(HERE, HERE, full, doubted=True) == HERE
    assert to_remember(None, HERE, full, doubted=True) is None
