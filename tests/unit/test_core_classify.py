"""What each difference asks for, alone: the contract's rules on single paths."""

from __future__ import annotations

import pytest

from syncd.core.model import (
    UNTRUSTED,
    Create,
    Delete,
    DeleteMode,
    Drift,
    Kind,
    Replace,
    Status,
    Sync,
)
from tests.unit.core_support import Views, said

NEVER, TRACKED, MIRROR = DeleteMode.NEVER, DeleteMode.TRACKED, DeleteMode.MIRROR


def with_mode(mode: DeleteMode) -> Views:
    return Views(delete=mode)


# Content decides. Adopt.


def test_a_new_file_is_created() -> None:
    plan = Views().file("a").plan()
    (create,) = plan.operations
    assert isinstance(create, Create)
    assert (create.path, create.size, create.reason) == ("a", 1, "new")
    assert plan.drifted == ()


def test_what_is_equal_at_first_sight_is_adopted() -> None:
    views = Views().file("a", inode=5).record("a").directory("d").record("d", None)
    plan = views.plan()
    assert plan.operations == ()
    file, directory = plan.adopted
    assert (file.checksum, file.id, file.inode, file.sync) == ("c", "id of a", 5, Sync.SYNCED)
    assert (directory.kind, directory.sync) == (Kind.DIRECTORY, Sync.ADOPTED)
    assert views.read == ["a"]


def test_a_touched_file_is_read_and_not_sent() -> None:
    views = Views().known("a").file("a", time=99, inode=1)
    plan = views.plan()
    assert plan.operations == ()
    assert [row.mtime_ns for row in plan.adopted] == [99]


def test_another_size_is_another_content_and_needs_no_reading() -> None:
    views = Views().known("a").file("a", "longer", inode=1)
    assert views.operations() == ["replace a"]
    assert views.read == []


def test_an_edit_with_its_size_and_mtime_put_back_is_seen() -> None:
    views = Views().known("a").file("a", "x", inode=1)
    views.local["a"] = views.local["a"]._replace(ctime_ns=99)
    assert views.operations() == ["replace a"]


def test_what_was_read_too_soon_is_read_again_and_then_known() -> None:
    views = Views().known("a")
    views.base["a"] = views.base["a"]._replace(mtime_ns=UNTRUSTED)
    assert [row.mtime_ns for row in views.plan().adopted] == [10]
    assert views.read == ["a"]


def test_what_needs_to_be_read_and_cannot_be_is_tried() -> None:
    views = Views(unreadable={"a"}).file("a").record("a")
    assert views.operations() == ["replace a"]


def test_without_a_remote_checksum_size_and_the_known_id_and_checksum_decide() -> None:
    views = Views().file("a", time=99, inode=1).record("a", checksum=False).row("a")
    assert views.operations() == []
    assert views.read == ["a"]
    assert Views().file("a", "x", inode=1, time=99).record("a", checksum=False).row("a").operations() == ["replace a"]
    assert Views().file("a").record("a", checksum=False).operations() == ["replace a"]
    unsure = Views().file("a", inode=1).record("a", checksum=False).row("a", sync=Sync.CLAIMED, claim="x")
    assert unsure.operations() == ["replace a"]


def test_nothing_is_recorded_that_is_known() -> None:
    views = Views(delete=NEVER).known("a").record("a", "x", id_="other")
    assert views.plan().adopted == ()


# Replace in place. Drift.


def test_a_replacement_keeps_the_record() -> None:
    (replace,) = Views().known("a").file("a", "new", inode=1).plan().operations
    assert isinstance(replace, Replace)
    assert replace.remote.id == "id of a"
    assert replace.base is not None
    assert (replace.size, replace.reason) == (3, "the content changed")


@pytest.mark.parametrize("mode", DeleteMode)
def test_the_source_wins_over_what_somebody_else_changed_and_it_is_said(mode: DeleteMode) -> None:
    views = with_mode(mode).known("a")
    views.remote[0] = views.remote[0]._replace(checksum="theirs")
    plan = views.plan()
    assert said(plan) == ["replace a"]
    assert plan.drifted == (Drift("a", "changed"),)


def test_a_differing_file_that_is_not_known_counts_as_drifted() -> None:
    plan = Views().file("a").record("a", "x").plan()
    assert said(plan) == ["replace a"]
    assert plan.drifted == (Drift("a", "changed"),)


def test_what_somebody_else_deleted_comes_back_and_it_is_said() -> None:
    plan = Views().file("a", inode=1).row("a").plan()
    assert said(plan) == ["create a"]
    assert plan.drifted == (Drift("a", "deleted"),)


def test_a_drifted_file_that_is_gone_locally_is_detached() -> None:
    views = Views().gone("a")
    views.remote[0] = views.remote[0]._replace(checksum="theirs")
    plan = views.plan()
    assert plan.operations == ()
    assert plan.drifted == (Drift("a", "changed"),)
    assert plan.forgotten == (b"a",)


def test_in_mirror_a_drifted_file_goes_and_it_is_said() -> None:
    views = with_mode(MIRROR).gone("a")
    views.remote[0] = views.remote[0]._replace(checksum="theirs")
    plan = views.plan()
    assert said(plan) == ["delete a"]
    assert plan.drifted == (Drift("a", "changed"),)


def test_a_file_that_somebody_is_writing_stays_known() -> None:
    views = Views().gone("a")
    views.remote[0] = views.remote[0]._replace(status=Status.PENDING, checksum=None)
    plan = views.plan()
    assert plan.operations == ()
    assert plan.drifted == (Drift("a", "changed"),)
    assert plan.forgotten == ()


def test_a_known_file_that_is_a_directory_now_is_drift() -> None:
    plan = Views().row("a").record("a", None).plan()
    assert plan.operations == ()
    assert plan.drifted == (Drift("a", "changed"),)


# Deletions by mode.


@pytest.mark.parametrize(("mode", "done"), [(NEVER, []), (TRACKED, ["delete a"]), (MIRROR, ["delete a", "delete b"])])
def test_what_the_source_lacks_goes_as_the_mode_says(mode: DeleteMode, done: list[str]) -> None:
    plan = with_mode(mode).gone("a").record("b").plan()
    assert said(plan) == done
    assert plan.extra == (0 if mode is MIRROR else 1)
    assert plan.forgotten == ()


@pytest.mark.parametrize(("mode", "goes"), [(NEVER, False), (TRACKED, True), (MIRROR, True)])
def test_a_directory_that_syncd_made_goes_when_it_is_empty(mode: DeleteMode, goes: bool) -> None:
    views = with_mode(mode).known_directory("d", local=False)
    assert views.operations() == (["delete d"] if goes else [])


def test_a_directory_that_was_there_before_stays() -> None:
    plan = Views().known_directory("d", local=False, sync=Sync.ADOPTED).plan()
    assert plan.operations == ()
    assert plan.forgotten == (b"d",)


def test_a_directory_that_somebody_made_anew_is_theirs() -> None:
    views = Views().known_directory("d", local=False)
    views.remote[0] = views.remote[0]._replace(id="another")
    assert views.operations() == []
    (row,) = views.directory("d").plan().adopted
    assert (row.sync, row.id) == (Sync.ADOPTED, "another")


def test_a_directory_made_on_the_way_is_known_by_its_id_from_then_on() -> None:
    views = Views().known_directory("d")
    views.base["d"] = views.base["d"]._replace(id="")
    (row,) = views.plan().adopted
    assert (row.sync, row.id) == (Sync.SYNCED, "id of d")


def test_a_row_that_neither_side_has_is_forgotten() -> None:
    assert Views().row("a").plan().forgotten == (b"a",)


# Uploads that were cut short.


def test_an_upload_on_its_way_to_be_completed_is_waited_for() -> None:
    for sync in (Sync.UPLOADED, Sync.SYNCED):
        views = Views().file("a", inode=1).record("a", status=Status.PENDING).row("a", sync=sync)
        plan = views.plan()
        assert plan.operations == ()
        assert [one.key for one in plan.awaiting] == [b"a"]


def test_an_upload_of_what_changed_since_is_not_waited_for() -> None:
    views = Views().file("a", "new", inode=1).record("a", status=Status.PENDING).row("a", sync=Sync.UPLOADED)
    assert views.operations() == ["replace a"]


def test_a_pending_record_at_a_wanted_path_is_used_whoever_made_it() -> None:
    assert Views().file("a").record("a", status=Status.PENDING).operations() == ["replace a"]


def test_an_upload_that_was_complete_all_the_same_is_adopted() -> None:
    views = Views().file("a").record("a").row("a", None, sync=Sync.CLAIMED, claim="c", id_="")
    (row,) = views.plan().adopted
    assert (row.sync, row.claim, row.id) == (Sync.SYNCED, None, "id of a")


def claimed(mode: DeleteMode = TRACKED, status: Status = Status.PENDING, claim: str = "c") -> Views:
    """A create that was cut short, of a file that is gone now."""
    views = with_mode(mode).record("a", status=status)
    views.row("a", None, sync=Sync.CLAIMED, claim=claim, id_="")
    views.base["a"] = views.base["a"]._replace(size=1)
    return views


@pytest.mark.parametrize("mode", [TRACKED, MIRROR])
def test_an_unfinished_record_of_ours_that_is_not_wanted_is_removed(mode: DeleteMode) -> None:
    plan = claimed(mode).plan()
    assert said(plan) == ["delete a (leftover)"]
    assert plan.forgotten == (b"a",)


def test_with_never_an_unfinished_record_may_still_complete() -> None:
    assert claimed(NEVER).operations() == []


@pytest.mark.parametrize("mode", DeleteMode)
def test_an_unfinished_record_of_somebody_else_is_left_alone(mode: DeleteMode) -> None:
    assert with_mode(mode).record("a", status=Status.PENDING).operations() == []


def test_a_create_that_was_complete_all_the_same_is_ours() -> None:
    assert claimed(status=Status.COMPLETED).operations() == ["delete a"]
    assert claimed(status=Status.COMPLETED, claim="").operations() == ["delete a"]
    assert claimed(status=Status.COMPLETED, claim="x").operations() == []


def test_a_streamed_replacement_that_may_have_ended_proves_nothing() -> None:
    views = Views().record("a", "new").row("a", sync=Sync.CLAIMED, claim="")
    assert views.operations() == []
    views = Views().file("a", "newer").record("a", "new").row("a", sync=Sync.CLAIMED, claim="")
    assert views.plan().drifted == ()


def test_a_patched_record_is_ours_while_it_is_pending() -> None:
    views = Views().record("a", status=Status.PENDING).row("a", sync=Sync.CLAIMED, claim="new")
    assert views.operations() == ["delete a"]
    assert views.file("a", "new").operations() == ["replace a"]


# At most one record a path.


@pytest.mark.parametrize("mode", DeleteMode)
def test_our_own_repeats_are_removed(mode: DeleteMode) -> None:
    views = with_mode(mode).known("a").record("a", id_="same").record("a", id_="unfinished", status=Status.PENDING)
    plan = views.plan()
    assert said(plan) == ["delete a (leftover)", "delete a (leftover)"]
    assert {one.remote.id for one in plan.operations if isinstance(one, Delete)} == {"same", "unfinished"}


def test_what_is_repeated_and_equal_at_first_sight_is_adopted_once() -> None:
    views = Views().file("a").record("a", id_="1").record("a", id_="2")
    assert views.operations() == ["delete a (leftover)"]
    views.delete = NEVER
    assert views.operations() == []


@pytest.mark.parametrize("mode", DeleteMode)
def test_another_content_at_a_path_that_we_have_is_somebody_elses(mode: DeleteMode) -> None:
    plan = with_mode(mode).known("a").record("a", "x", id_="theirs").plan()
    assert plan.operations == ()
    assert plan.extra == 1


def test_a_repeat_stays_while_the_record_that_stands_for_the_path_is_not_complete() -> None:
    views = Views().file("a", inode=1).record("a", status=Status.PENDING).row("a", sync=Sync.UPLOADED)
    views.record("a", id_="copy")
    assert views.operations() == []


def test_in_mirror_all_records_of_a_path_go() -> None:
    views = with_mode(MIRROR).gone("a").record("a", "x", id_="theirs")
    plan = views.plan()
    assert said(plan) == ["delete a", "delete a"]
    assert plan.extra == 0
    views.record("a", "x", id_="unknown", status=Status.PENDING)
    assert len(views.operations()) == 2 + 1


def test_in_mirror_an_upload_that_somebody_began_beside_is_left_alone() -> None:
    views = with_mode(MIRROR).record("a", "x", id_="1").record("a", "y", id_="2", status=Status.PENDING)
    plan = views.plan()
    assert said(plan) == ["delete a"]
    assert plan.extra == 1


def test_a_directory_beside_a_file_is_no_repeat() -> None:
    views = Views().known("a").record("a", None, id_="directory")
    assert views.operations() == []


def test_a_file_beside_a_known_directory_is_somebody_elses() -> None:
    plan = Views().known_directory("d").record("d", "x", id_="file").plan()
    assert plan.operations == ()
    assert plan.adopted == ()
    assert plan.extra == 1
