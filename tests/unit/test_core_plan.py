"""The plan as a whole: what makes way for what, what is held, and in which order."""

from __future__ import annotations

from syncd.core.filters import Filter
from syncd.core.model import Delete, DeleteMode, Kind, MaxDelete, Order, Status, Sync
from tests.unit.core_support import Views, said

ONE = MaxDelete(count=1, percent=None)
NONE = MaxDelete(count=0, percent=None)


def deletes(views: Views) -> list[Delete]:
    return [one for one in views.plan().operations if isinstance(one, Delete)]


def test_a_swap_of_two_names_is_two_replaces() -> None:
    views = Views().known("a", "1", inode=1).known("b", "2", inode=2)
    views.file("a", "2", inode=2, time=99).file("b", "1", inode=1, time=99)
    assert views.operations() == ["replace a", "replace b"]


def test_a_renamed_to_b_with_a_new_a_is_a_replace_and_a_create() -> None:
    views = Views().known("a", "1", inode=1).file("b", "1", inode=1, time=99).file("a", "new", inode=2)
    assert views.operations() == ["create b", "replace a"]


def test_a_chain_of_renames_vacates_no_path_that_is_on_both_sides() -> None:
    views = Views().gone("a", "1", inode=1).known("b", "2", inode=2)
    views.file("b", "1", inode=1, time=99).file("c", "2", inode=2, time=99)
    assert views.operations() == ["replace b", "create c", "delete a"]


def test_a_rename_by_case_is_a_move() -> None:
    assert Views().gone("a", inode=1).file("A", inode=1, time=99).operations() == ["move A from a"]


def test_the_order_of_everything() -> None:
    views = Views().known("kept").gone("old", "moved", inode=2).file("n/new", "moved", inode=2, time=99)
    views.directory("n").directory("e/f").directory("e").file("z", "z").known("r", inode=5).file("r", "edited", inode=5)
    views.known_directory("g", local=False).gone("g/x", "x", inode=6).gone("w", "w", inode=7).directory("w")
    views.file("w/in", "in").record("half", status=Status.PENDING).row(
        "half", None, sync=Sync.CLAIMED, claim="", id_=""
    )
    assert views.operations() == [
        "delete half (leftover)",
        "delete w (in the way)",
        "move n/new from old",
        "mkdir e (on the way)",
        "mkdir e/f",
        "mkdir n (on the way)",
        "mkdir w (on the way)",
        "create z",
        "create w/in",
        "replace r",
        "delete g",
    ]


def test_what_a_plan_is_about_without_working_on_it() -> None:
    views = Views().gone("held", "1").file("same", "2").record("same", "2").file("new", "3").row("forgotten", "4")
    views.file("sent", inode=1).record("sent", status=Status.PENDING).row("sent", sync=Sync.UPLOADED)
    views.max_delete = NONE
    plan = views.plan()
    assert said(plan) == ["create new"]
    assert plan.beside == {b"held", b"same", b"forgotten", b"sent"}


# Directories.


def test_a_directory_of_which_nothing_stays_goes_in_one_call() -> None:
    views = Views().known_directory("d", local=False).known_directory("d/e", local=False)
    views.gone("d/e/x", inode=1).gone("d/y", inode=2)
    (delete,) = deletes(views)
    assert (delete.path, delete.files, delete.size) == ("d", 2, 0)
    assert {record.id for record in delete.covers} == {"id of d/e", "id of d/e/x", "id of d/y"}


def test_a_directory_in_which_something_stays_is_emptied_of_what_is_ours() -> None:
    views = Views().known_directory("d", local=False).known_directory("d/e", local=False)
    views.gone("d/e/x", inode=1).gone("d/y", inode=2).record("d/theirs")
    assert views.operations() == ["delete d/e", "delete d/y"]


def test_an_unfinished_record_of_somebody_else_keeps_its_directory() -> None:
    views = Views(delete=DeleteMode.MIRROR).known_directory("d", local=False).record("d/p", status=Status.PENDING)
    assert views.operations() == []


def test_the_deepest_deletions_come_first() -> None:
    views = Views().known_directory("d").gone("d/x", inode=1).gone("a", inode=2).known_directory("d/e").gone("d/e/y")
    assert views.operations() == ["delete d/e/y", "delete d/x", "delete a"]


def test_what_moves_out_of_a_directory_is_not_deleted_with_it() -> None:
    views = Views().known_directory("d", local=False).gone("d/x", "1", inode=1).gone("d/y", "2", inode=2)
    views.file("x", "1", inode=1, time=99)
    assert views.operations() == ["move x from d/x", "delete d"]
    assert [record.id for one in deletes(views) for record in one.covers] == ["id of d/y"]


def test_in_mirror_what_is_beside_a_moved_record_goes_with_its_directory() -> None:
    views = Views(delete=DeleteMode.MIRROR).known_directory("d", local=False).gone("d/x", inode=1)
    views.record("d/x", "theirs", id_="2").record("d/x", "theirs too", id_="3").file("x", inode=1, time=99)
    assert views.operations() == ["move x from d/x", "delete d"]
    assert [record.id for one in deletes(views) for record in one.covers] == ["2", "3"]


def test_empty_directories_are_made_only_if_wanted() -> None:
    views = Views().directory("a").directory("a/b").directory("c")
    assert views.operations() == ["mkdir a (on the way)", "mkdir a/b", "mkdir c"]
    views.empty_directories = False
    assert views.operations() == []
    views.empty_directories, views.rules = True, Filter(include=["c/"])
    assert views.operations() == ["mkdir c"]


# Where a file becomes a directory, or the reverse.


def test_a_file_makes_way_for_a_directory() -> None:
    views = Views().gone("p", "old").directory("p").file("p/x", "x")
    assert views.operations() == ["delete p (in the way)", "mkdir p (on the way)", "create p/x"]


def test_a_file_that_becomes_a_directory_with_itself_inside() -> None:
    views = Views().gone("p", inode=1).directory("p").file("p/p", inode=1, time=99)
    assert views.operations() == ["delete p (in the way)", "mkdir p (on the way)", "create p/p"]
    assert deletes(views)[0].after == ()


def test_a_directory_makes_way_for_a_file() -> None:
    views = Views().known_directory("p", local=False).gone("p/x", "x").file("p", "now")
    assert views.operations() == ["delete p (in the way)", "create p"]
    assert [record.id for record in deletes(views)[0].covers] == ["id of p/x"]


def test_what_moves_out_of_a_directory_does_so_before_that_makes_way() -> None:
    views = Views().known_directory("p", local=False).gone("p/x", "x", inode=1).file("q", "x", inode=1, time=99)
    views.file("p", "now")
    assert views.operations() == ["move q from p/x", "delete p (in the way)", "create p"]


def test_what_makes_way_for_the_target_of_a_move_goes_before_it() -> None:
    views = Views().known_directory("p", local=False).gone("p/x", "x", inode=1).file("p", "now")
    views.gone("q", "old", inode=2).directory("q").file("q/x", "x", inode=1, time=99)
    assert views.operations() == [
        "delete q (in the way)",
        "move q/x from p/x",
        "delete p (in the way)",
        "mkdir q (on the way)",
        "create p",
    ]


def test_an_adopted_directory_makes_way_a_strangers_does_not() -> None:
    views = Views().known_directory("p", local=False, sync=Sync.ADOPTED).file("p")
    assert views.operations() == ["delete p (in the way)", "create p"]
    views = Views().record("p", None).file("p")
    assert views.operations() == []
    views = Views().row("p").record("p", None).file("p", "x")
    plan = views.plan()
    assert plan.operations == ()
    assert [problem.path for problem in plan.problems] == ["p"]


def test_below_a_strangers_file_nothing_can_come_and_what_was_to_move_there_stays() -> None:
    views = Views().record("q", "theirs").directory("q").directory("q/e").file("q/new", "n")
    views.known_directory("d", local=False).gone("d/x", "x", inode=1).file("q/x", "x", inode=1, time=99)
    plan = views.plan()
    assert plan.operations == ()
    actions = [(problem.path, problem.action) for problem in plan.problems]
    assert actions == [("q", "mkdir"), ("q/e", "mkdir"), ("q/new", "create"), ("q/x", "move")]


def test_what_was_to_be_replaced_by_what_cannot_come_stays() -> None:
    views = Views().record("q", "theirs").directory("q").gone("a", inode=1).file("q/a", "edited", inode=1, time=99)
    views.gone("b", "b", inode=2)
    assert views.operations() == ["delete b"]


def test_what_stays_in_a_directory_keeps_a_file_from_its_place() -> None:
    views = Views().known_directory("p", local=False).gone("p/x", "x").record("p/theirs").file("p", "now")
    plan = views.plan()
    assert said(plan) == ["delete p/x"]
    assert [problem.path for problem in plan.problems] == ["p"]


def test_two_records_in_the_way_of_which_one_is_somebody_elses() -> None:
    views = Views().gone("p", "old").record("p", "theirs", id_="2").directory("p").file("p/x")
    plan = views.plan()
    assert plan.operations == ()
    assert [problem.path for problem in plan.problems] == ["p", "p/x"]


def test_what_filters_leave_out_makes_no_way() -> None:
    views = Views(rules=Filter(exclude=["p/"])).known_directory("p", local=False).file("p")
    assert views.operations() == []


def test_our_own_unfinished_file_makes_way_unless_nothing_may_go() -> None:
    views = (
        Views().record("p", status=Status.PENDING).row("p", None, sync=Sync.CLAIMED, claim="", id_="").directory("p")
    )
    assert views.operations() == ["delete p (leftover)", "mkdir p"]
    views.delete = DeleteMode.NEVER
    assert views.operations() == []


# Never lose.


def test_a_deletion_waits_for_what_replaces_it() -> None:
    renamed_and_edited = Views().gone("a", inode=1).file("b", "edited", inode=1, time=99)
    assert [one.after for one in deletes(renamed_and_edited)] == [("b",)]
    other_type = Views().gone("a.txt", inode=1).file("b.bin", inode=7, time=99)
    assert [one.after for one in deletes(other_type)] == [("b.bin",)]
    inside = Views().known_directory("d", local=False).gone("d/a", inode=1).file("b", "edited", inode=1, time=99)
    assert [one.after for one in deletes(inside)] == [("b",)]
    unrelated = Views().gone("a", inode=1).file("b", "longer", inode=2)
    assert [one.after for one in deletes(unrelated)] == [()]


# Delete guard.


def test_more_deletions_than_allowed_are_held_all_of_them() -> None:
    views = Views(max_delete=ONE).gone("a", inode=1).gone("b", inode=2).file("new", "longer")
    plan = views.plan()
    assert said(plan) == ["create new"]
    assert plan.held == 2
    assert plan.held_because == "2 to delete, more than max_delete = 1"


def test_what_moves_and_what_is_replaced_does_not_count() -> None:
    views = Views(max_delete=NONE).gone("a", inode=1).file("b", inode=1, time=99).known("r").file("r", "new")
    plan = views.plan()
    assert plan.held == 0
    assert said(plan) == ["move b from a", "replace r"]


def test_directories_alone_are_not_guarded_but_held_with_files() -> None:
    views = Views(max_delete=NONE).known_directory("d", local=False)
    assert views.operations() == ["delete d"]
    assert views.gone("a").operations() == []


def test_if_a_deletion_is_held_so_is_what_takes_its_place() -> None:
    views = Views(max_delete=NONE).gone("p", "old").directory("p").file("p/x", "x").file("other", "o")
    plan = views.plan()
    assert said(plan) == ["create other"]
    assert plan.held == 1
    assert plan.problems == ()


def test_what_could_not_come_anyway_fails_while_others_are_held() -> None:
    views = Views(max_delete=NONE).gone("a").record("q", "theirs").directory("q").file("q/x", "x")
    plan = views.plan()
    assert plan.held == 1
    assert [problem.path for problem in plan.problems] == ["q", "q/x"]


def test_while_deletions_are_held_no_directory_takes_something_lost_along() -> None:
    views = Views(max_delete=NONE).known_directory("a", local=False).directory("b")
    for inode, name in enumerate(("x", "y", "z")):
        views.gone(f"a/{name}", name, inode=inode)
        views.file(f"b/{name}", name, inode=inode)
    assert views.operations() == ["move b from a"]
    del views.local["b/z"]
    plan = views.plan()
    assert said(plan) == ["move b/x from a/x", "move b/y from a/y", "mkdir b (on the way)"]
    assert plan.held == 1


def test_our_own_leftovers_are_removed_whatever_the_guard_says() -> None:
    views = Views(max_delete=NONE).gone("a").known("b", inode=3).record("b", id_="again")
    plan = views.plan()
    assert said(plan) == ["delete b (leftover)"]
    assert [one.files for one in plan.operations if isinstance(one, Delete)] == [0]


def test_a_plan_of_nothing_is_empty() -> None:
    plan = Views().known("a").known_directory("d").plan()
    assert plan.operations == ()
    assert plan.directory_moves == ()


def test_an_unsyncable_path_in_a_directory_keeps_what_the_remote_has_there() -> None:
    views = Views().known_directory("d").gone("d/l/x", inode=1).known_directory("d/l", local=False)
    assert views.strange("d/l", Kind.SYMLINK).operations() == []


def test_a_directory_that_lacks_a_record_is_made_though_a_file_in_it_is_replaced() -> None:
    views = Views().directory("d").row("d", None, kind=Kind.DIRECTORY).known("d/a", "1").file("d/a", "22", time=99)
    assert views.operations() == ["mkdir d", "replace d/a"]


def test_of_a_link_only_what_an_upload_left_unfinished_is_removed() -> None:
    for kind in (Kind.SYMLINK, Kind.SPECIAL, Kind.UNREADABLE):
        views = Views().strange("half", kind).record("half", status=Status.PENDING)
        views.row("half", None, sync=Sync.CLAIMED, claim="", id_="")
        plan = views.plan()
        removed = kind != Kind.UNREADABLE
        assert said(plan) == (["delete half (leftover)"] if removed else [])
        assert plan.forgotten == ((b"half",) if removed else ())
        views.delete = DeleteMode.NEVER
        assert views.operations() == []
    views = Views().strange("whole", Kind.SYMLINK).record("whole").row("whole")
    assert views.operations() == []


def test_a_record_that_no_path_can_stand_for_is_never_deleted() -> None:
    views = Views(delete=DeleteMode.MIRROR)
    views.known_directory("d", local=False).record("d/\udcff0123").record("e")
    plan = views.plan()
    assert said(plan) == ["delete e"]
    assert plan.extra == 1


def test_uploads_go_by_size_or_by_age_as_the_job_wants() -> None:
    views = (
        Views()
        .file("a", "large", time=1)
        .file("b", "s", time=2)
        .file("c", "mid", time=3)
        .known("d", "x")
        .file("d", "y")
    )
    assert views.operations() == ["create b", "replace d", "create c", "create a"]
    views.order = Order.NEWEST_FIRST
    assert views.operations() == ["replace d", "create c", "create b", "create a"]
