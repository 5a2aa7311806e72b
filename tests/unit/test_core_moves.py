"""Move, not re-upload: files by proof, whole directories where nothing forbids it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd.core.filters import Filter
from syncd.core.model import UNTRUSTED, Delete, DeleteMode, Kind, MaxDelete, Move, Status, Sync
from syncd.core.paths import key_of
from tests.unit.core_support import ALL, Views, said


def test_a_renamed_file_is_read_for_proof_and_moved() -> None:
    views = Views().gone("a", inode=1).file("b", inode=1, time=99)
    (move,) = views.plan().operations
    assert isinstance(move, Move)
    assert (move.source, move.path, move.checksum, move.files) == ("a", "b", "c", 1)
    assert move.remote.id == "id of a"
    assert views.read == ["b"]


def test_a_file_with_the_same_stat_needs_no_reading() -> None:
    views = Views().gone("d/a", inode=1).file("e/a", inode=1)
    assert views.operations() == ["move e/a from d/a", "mkdir e (on the way)"]
    assert views.read == []


def test_a_name_that_was_reused_with_its_inode_is_no_rename() -> None:
    """Inode numbers are reused at once: the number alone proves nothing."""
    views = Views().gone("a", inode=1).file("b", "x", inode=1, time=99)
    assert views.operations() == ["create b", "delete a"]


def test_other_sizes_are_not_read() -> None:
    views = Views().gone("a", inode=1).file("b", "longer", inode=1, time=99)
    assert views.operations() == ["create b", "delete a"]
    assert views.read == []


def test_a_copy_that_outlives_its_original_is_a_move() -> None:
    views = Views().gone("a", inode=1).file("b", inode=2, time=99)
    assert views.operations() == ["move b from a"]


def test_a_copy_of_a_file_that_is_still_there_is_an_upload() -> None:
    views = Views().known("a").file("b", inode=2, time=99)
    assert views.operations() == ["create b"]
    assert views.read == []


def test_the_stat_of_the_reading_is_what_is_recorded() -> None:
    views = Views().gone("a", inode=1).file("b", inode=1, time=99)
    plan = views.plan()
    assert [one.local for one in plan.operations if isinstance(one, Move)] == [views.local["b"]]


def test_a_move_onto_an_occupied_path_is_a_replacement() -> None:
    views = Views().gone("a", inode=1).known("b", "x", inode=2).file("b", "c", inode=1, time=99)
    assert views.operations() == ["replace b", "delete a"]


def test_another_content_type_is_an_upload() -> None:
    plan = Views().gone("a.txt").file("a.bin", inode=1, time=99).plan()
    create, delete = plan.operations
    assert said(plan) == ["create a.bin", "delete a.txt"]
    assert create.reason == "same content as a.txt, which is gone; a move keeps its content type"
    assert isinstance(delete, Delete)
    assert (delete.after, delete.superseded) == (("a.bin",), True)


@pytest.mark.parametrize("time", [1, 99])
def test_renames_that_change_the_content_type_are_nothing_that_the_guard_counts(time: int) -> None:
    views = Views(max_delete=MaxDelete(count=0, percent=None))
    for number in range(40):
        views.gone(f"{number:02}.txt", f"c{number}", inode=number)
        views.file(f"{number:02}.md", f"c{number}", inode=number, time=time)
    plan = views.plan()
    assert [one.name for one in plan.operations] == ["create"] * 40 + ["delete"] * 40
    assert (plan.held, plan.withheld) == (0, ())


def test_each_copy_elsewhere_excuses_one_deletion() -> None:
    views = Views(max_delete=MaxDelete(count=0, percent=None))
    views.gone("a.txt", inode=1).gone("b.txt", inode=2).file("c.md", inode=3, time=99)
    assert views.plan().held == 1


def test_what_is_in_the_way_counts_wherever_its_content_goes() -> None:
    views = Views(max_delete=MaxDelete(count=0, percent=None))
    views.gone("a.txt", inode=1).file("a.txt/inside.md", inode=1, time=99)
    assert views.plan().held == 1


def test_a_partner_of_the_right_content_type_is_found() -> None:
    views = Views().gone("a.txt", inode=1).gone("b.bin", inode=2).file("c.bin", inode=3, time=99)
    assert views.operations() == ["move c.bin from b.bin", "delete a.txt"]


def test_with_never_a_rename_uploads_the_new_one_and_keeps_the_old() -> None:
    views = Views(delete=DeleteMode.NEVER).gone("a").file("b", inode=1, time=99)
    assert views.operations() == ["create b"]


def test_a_remote_that_cannot_move() -> None:
    views = Views(capabilities=replace(ALL, move=False, move_directory=False)).gone("a").file("b", inode=1)
    assert views.operations() == ["create b", "delete a"]


@pytest.mark.parametrize(
    "fields", [{"checksum": "theirs"}, {"status": Status.PENDING, "checksum": None}, {"kind": Kind.DIRECTORY}]
)
def test_what_somebody_else_changed_is_not_moved(fields: dict[str, object]) -> None:
    views = Views().gone("a").file("b", inode=1)
    views.remote[0] = views.remote[0]._replace(**fields)  # type: ignore[arg-type]
    assert views.operations() == ["create b"]


def test_what_may_be_being_uploaded_is_not_moved() -> None:
    views = Views().gone("a").file("b", inode=1)
    views.base["a"] = views.base["a"]._replace(sync=Sync.CLAIMED, claim="new")
    assert views.operations() == ["create b", "delete a"]


def test_what_filters_leave_out_is_not_moved() -> None:
    views = Views(rules=Filter(exclude=["a"])).gone("a").file("b", inode=1)
    assert views.operations() == ["create b"]


def test_what_the_remote_cannot_have_is_not_moved_there_and_keeps_its_place() -> None:
    views = Views().gone("a", inode=1).gone("z", "other", inode=2).file("b" * 41, inode=1, time=99)
    assert views.operations() == ["delete z"]


def test_the_same_inode_is_preferred_then_the_same_name() -> None:
    views = Views().gone("d/x", inode=1).gone("d/y", inode=2).gone("d/z", inode=3)
    views.file("e/x", inode=3, time=99).file("e/y", inode=8, time=99).file("e/w", inode=9, time=99)
    assert views.operations()[:3] == ["move e/w from d/x", "move e/x from d/z", "move e/y from d/y"]


def test_empty_files_are_moved_by_inode_or_name_only() -> None:
    views = Views().gone("d/x", "", inode=1).gone("d/y", "", inode=2).gone("d/z", "", inode=3)
    views.file("e/x", "", inode=7).file("e/q", "", inode=3, time=99).file("e/p", "", inode=9)
    made = "mkdir e (on the way)"
    assert views.operations() == ["move e/q from d/z", "move e/x from d/x", made, "create e/p", "delete d/y"]


def test_what_could_not_be_read_is_not_proved() -> None:
    views = Views(unreadable={"b"}).gone("a", inode=1).file("b", inode=1, time=99)
    assert views.operations() == ["create b", "delete a"]


def tree(views: Views, name: str, files: dict[str, tuple[str, int]], *, here: bool, there: bool) -> Views:
    """A directory with files (content, inode) of which the source (`here`) and the remote (`there`) may know."""
    directories = {name, *(f"{name}/{path}".rpartition("/")[0] for path in files)}
    for directory in sorted(directories):
        if there:
            views.known_directory(directory, local=here)
        elif here:
            views.directory(directory)
    for path, (content, inode) in files.items():
        if there:
            views.gone(f"{name}/{path}", content, inode=inode)
        if here:
            views.file(f"{name}/{path}", content, inode=inode)
    return views


FILES = {"x": ("1", 1), "y": ("2", 2), "s/z": ("3", 3)}


def renamed(**fields: object) -> Views:
    views = tree(Views(**fields), "a", FILES, here=False, there=True)  # type: ignore[arg-type]
    return tree(views, "b", FILES, here=True, there=False)


def test_a_renamed_directory_is_one_move_and_no_reading() -> None:
    views = renamed()
    (move,) = views.plan().operations
    assert isinstance(move, Move)
    assert (move.source, move.path, move.files, move.size) == ("a", "b", 3, 0)
    assert {key_of(path) for path in ("a/x", "a/y", "a/s", "a/s/z")} == {one.key for one in move.covers}
    assert views.read == []


def test_a_directory_of_copies_is_one_move_too() -> None:
    views = tree(Views(), "a", FILES, here=False, there=True)
    views = tree(
        views, "b", {path: (content, inode + 50) for path, (content, inode) in FILES.items()}, here=True, there=False
    )
    (move,) = views.plan().operations
    assert isinstance(move, Move)
    assert move.files == 3


def test_a_rename_with_edits_inside_is_a_move_and_the_edits() -> None:
    views = renamed()
    views.file("b/x", "edited", inode=1, time=99).file("b/new", "n").contents.pop("b/y")
    del views.local["b/y"]
    plan = views.plan()
    assert said(plan) == ["move b from a", "create b/new", "replace b/x", "delete b/y"]
    assert plan.directory_moves == plan.operations[:1]


def test_a_rename_inside_a_renamed_directory_is_found() -> None:
    views = renamed()
    views.local["b/w"] = views.local.pop("b/x")._replace(key=key_of("b/w"), ctime_ns=99)
    views.contents["b/w"] = "1"
    assert views.operations() == ["move b from a", "move b/w from b/x"]


def test_a_remote_that_cannot_move_directories_moves_the_files() -> None:
    views = renamed(capabilities=replace(ALL, move_directory=False))
    plan = views.plan()
    assert said(plan)[:3] == ["move b/s/z from a/s/z", "move b/x from a/x", "move b/y from a/y"]
    assert said(plan)[-1] == "delete a"
    assert plan.directory_moves == ()


@pytest.mark.parametrize("where", ["a/theirs", "a/s/theirs"])
def test_a_directory_that_holds_something_else_is_not_moved_whole(where: str) -> None:
    moves = said(renamed().record(where).plan())
    assert "move b from a" not in moves
    assert ("move b/s from a/s" in moves) == (where == "a/theirs")


def test_a_directory_with_a_drifted_file_is_not_moved_whole() -> None:
    views = renamed()
    views.remote = [one._replace(checksum="theirs") if one.key == key_of("a/x") else one for one in views.remote]
    assert views.operations()[:3] == ["move b/s from a/s", "move b/y from a/y", "mkdir b (on the way)"]


def test_a_directory_with_a_pending_record_or_a_repeat_is_not_moved_whole() -> None:
    assert "move b from a" not in renamed().record("a/p", status=Status.PENDING).operations()
    assert "move b from a" not in renamed().record("a/x", "1", id_="again").operations()


def test_a_directory_that_somebody_made_anew_is_not_moved() -> None:
    views = renamed()
    views.remote = [one._replace(id="theirs") if one.key == b"a" else one for one in views.remote]
    assert "move b from a" not in views.operations()


def test_a_directory_that_holds_what_filters_leave_out_is_not_moved_whole() -> None:
    assert "move b from a" not in renamed(rules=Filter(exclude=["y"])).operations()


def test_a_directory_is_not_moved_to_where_filters_leave_part_of_it_out() -> None:
    views = renamed(rules=Filter(exclude=["b/y", "b/e/"])).known_directory("a/e", local=False)
    del views.local["b/y"]
    assert "move b from a" not in views.operations()
    views.rules = Filter(exclude=["b/e/"])
    assert "move b from a" not in views.file("b/y", "2", inode=2).operations()


def test_a_directory_is_not_moved_to_where_the_remote_cannot_have_part_of_it() -> None:
    deep = {"d" * 25 + "/" + "e" * 25 + "/x": ("1", 1), "y": ("2", 2)}
    views = tree(Views(), "a", deep, here=False, there=True)
    views = tree(views, "b" * 20, deep, here=True, there=False)
    assert "move " + "b" * 20 + " from a" not in views.operations()
    views = tree(Views(), "a", FILES, here=False, there=True)
    assert "move " + "b" * 41 + " from a" not in tree(views, "b" * 41, FILES, here=True, there=False).operations()


def test_a_directory_is_moved_only_if_that_saves_requests() -> None:
    many = {f"f{number}": (f"{number}", number) for number in range(9)}
    views = tree(Views(), "a", many, here=False, there=True).directory("b")
    for name in ("f1", "f2", "f3", "f4"):
        views.file(f"b/{name}", many[name][0], inode=many[name][1])
    assert "move b from a" not in views.operations()
    views.file("b/f5", "5", inode=5)
    assert [one for one in views.operations() if not one.startswith("delete b/f")] == ["move b from a"]


def test_a_file_in_the_place_of_a_directory_forbids_the_move() -> None:
    views = renamed()
    for path in ("b/s", "b/s/z"):
        del views.local[path]
    assert "move b from a" not in views.file("b/s", "x").operations()


def test_nothing_is_carried_to_where_a_link_stands() -> None:
    views = renamed().strange("b/x", Kind.SYMLINK)
    assert "move b from a" not in views.operations()


def test_a_directory_that_cannot_be_read_now_comes_along_as_it_was() -> None:
    views = renamed().strange("b/s", Kind.UNREADABLE)
    del views.local["b/s/z"]
    plan = views.plan()
    assert said(plan) == ["move b from a"]
    assert [problem.path for problem in plan.problems] == ["b/s"]


def test_a_directory_is_not_moved_into_the_place_of_a_file() -> None:
    views = tree(Views(), "a", FILES, here=False, there=True).gone("p", "old", inode=9).directory("p")
    views = tree(views, "p/b", FILES, here=True, there=False)
    operations = views.operations()
    assert operations[0] == "delete p (in the way)"
    assert "move p/b from a" not in operations


def test_a_directory_is_not_moved_to_where_the_remote_has_something() -> None:
    assert "move b from a" not in renamed().record("b/theirs").operations()


def test_rows_without_a_record_do_not_matter() -> None:
    views = renamed().row("a/lost", inode=77)
    assert views.operations() == ["move b from a"]


def test_a_tree_that_fell_apart_moves_in_parts() -> None:
    views = tree(Views(), "a", {"p/1": ("1", 1), "p/2": ("2", 2), "q/3": ("3", 3)}, here=False, there=True)
    views = tree(views, "m", {"p/1": ("1", 1), "p/2": ("2", 2)}, here=True, there=False)
    views = tree(views, "n", {"q/3": ("3", 3)}, here=True, there=False)
    assert views.operations() == [
        "move m from a",
        "move n/q/3 from m/q/3",
        "mkdir n (on the way)",
        "mkdir n/q (on the way)",
        "delete m/q",
    ]


def test_of_two_places_the_one_that_takes_more_has_the_directory() -> None:
    views = tree(Views(), "a", {"1": ("1", 1), "2": ("2", 2), "s/3": ("3", 3)}, here=False, there=True)
    views = tree(views, "m", {"1": ("1", 1), "2": ("2", 2)}, here=True, there=False)
    views = tree(views, "n", {"s/3": ("3", 3)}, here=True, there=False)
    plan = views.plan()
    assert said(plan)[0] == "move m from a"
    assert len(plan.directory_moves) == 1
    assert "move n/s/3 from m/s/3" in said(plan)


def test_the_parents_of_a_moved_directory_are_announced() -> None:
    views = tree(Views(), "a", FILES, here=False, there=True).directory("n")
    assert tree(views, "n/b", FILES, here=True, there=False).operations() == [
        "move n/b from a",
        "mkdir n (on the way)",
    ]


@pytest.mark.timeout(60)
def test_directories_that_scatter_or_gather_take_no_square_of_time() -> None:
    number = 4000
    scattered, gathered = Views().known_directory("o", local=False), Views().directory("n")
    for one in range(number):
        scattered.gone(f"o/f{one}", f"{one}", inode=one).directory(f"n{one}")
        scattered.file(f"n{one}/f{one}", f"{one}", inode=one)
        gathered.known_directory(f"o{one}", local=False).gone(f"o{one}/f{one}", f"{one}", inode=one)
        gathered.file(f"n/f{one}", f"{one}", inode=one)
    assert sum(one.startswith("move") for one in scattered.operations()) == number
    assert sum(one.startswith("move") for one in gathered.operations()) == number


def test_a_row_whose_time_is_untrusted_is_read_before_it_is_moved() -> None:
    views = Views().gone("a", inode=1).file("b", inode=1)
    views.base["a"] = views.base["a"]._replace(mtime_ns=UNTRUSTED)
    assert views.operations() == ["move b from a"]
    assert views.read == ["b"]
