"""What of a plan is carried out together, what alone, and what is planned later."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.core.model import Operation
from syncd.engine.carry import FEW, divided, portion
from tests.unit.core_support import Views


def paths(operations: Sequence[Operation]) -> list[str]:
    return [one.path for one in operations]


def many(views: Views, *, below: str = "") -> Views:
    for number in range(FEW + 1):
        views.file(f"{below}new {number:02}", f"{number}")
    return views


def test_many_uploads_are_carried_out_together() -> None:
    parts = divided(many(Views(), below="d/").plan())
    assert (len(parts.together), parts.alone, parts.later) == (FEW + 2, [], [])


def test_deletions_do_not_wait_for_many_uploads_beside_them() -> None:
    parts = divided(many(Views().gone("old")).plan())
    assert (paths(parts.together), parts.alone, len(parts.later)) == (["old"], [], FEW + 1)


def test_deletions_do_not_wait_for_what_comes_into_a_new_directory() -> None:
    parts = divided(Views().gone("old").directory("d").file("d/new", "n").plan())
    assert (paths(parts.together), parts.alone, paths(parts.later)) == (["d", "old"], [], ["d/new"])


def test_a_few_uploads_go_alone_beside_deletions() -> None:
    parts = divided(Views().gone("old").file("new", "n").plan())
    assert (paths(parts.together), paths(parts.alone), parts.later) == (["old"], ["new"], [])


def test_a_deletion_waits_for_what_replaces_it() -> None:
    parts = divided(Views().gone("old.txt").file("new.png").plan())
    assert (paths(parts.together), parts.later) == (["new.png", "old.txt"], [])


def test_of_many_records_many_uploads_are_confirmed_by_one_listing() -> None:
    assert [portion(records) for records in (0, 999, 1999, 3000, 13_000, 10**6)] == [1000, 1000, 1000, 3000, 4000, 4000]
