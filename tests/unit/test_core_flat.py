"""Plans where the remote has names and nothing else: no directories, no moves, no checksums, no replacing in place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd.core.claims import is_effect, is_replaced, upload_claim
from syncd.core.model import Create, Delete, DeleteMode, Kind, MaxDelete, Operation, Replace, Sync
from syncd.core.paths import key_of
from syncd.core.plan import Plan
from tests.unit.core_support import ALL, Views, said

FLAT = replace(
    ALL,
    directories=False,
    move=False,
    move_directory=False,
    replace_in_place=False,
    checksums=False,
    unique_names=False,
)


class FlatViews(Views):
    """The remote tells no checksum."""

    def __init__(self, **how: object) -> None:
        super().__init__(capabilities=FLAT, **how)  # type: ignore[arg-type]

    def flat(self, path: str, content: str = "c", *, id_: str = "") -> FlatViews:
        self.record(path, content, id_=id_, checksum=False)
        return self

    def synced(self, path: str, content: str = "c", *, inode: int = 1) -> FlatViews:
        self.went(path, content, inode=inode)
        self.file(path, content, inode=inode)
        return self

    def went(self, path: str, content: str = "c", *, inode: int = 1) -> FlatViews:
        self.flat(path, content).row(path, content, inode=inode)
        return self


def only(plan: Plan) -> Operation:
    (operation,) = plan.operations
    return operation


def test_what_the_baseline_knows_is_the_same_by_id_size_and_local_stat() -> None:
    plan = FlatViews().synced("d/a").directory("d").plan()

    assert plan.operations == ()
    assert [(row.key, row.kind, row.sync) for row in plan.adopted] == [(b"d", Kind.DIRECTORY, Sync.ADOPTED)]


def test_a_touched_file_is_read_and_found_the_same() -> None:
    views = FlatViews().synced("a", "cc")
    views.file("a", "cc", inode=1, time=20)

    assert views.operations() == []
    assert views.read == ["a"]


def test_directories_are_neither_made_nor_removed() -> None:
    views = FlatViews().directory("new").directory("new/empty").file("new/a")
    views.row("old", None, kind=Kind.DIRECTORY, id_="", sync=Sync.ADOPTED)
    plan = views.plan()

    assert said(plan) == ["create new/a"]
    assert plan.forgotten == (b"old",)


def test_a_known_directory_is_no_difference() -> None:
    views = FlatViews().directory("d").row("d", None, kind=Kind.DIRECTORY, id_="", sync=Sync.ADOPTED)

    assert views.plan() == Plan()


def test_a_file_that_became_a_directory_goes_like_any() -> None:
    views = FlatViews().went("a", "old").directory("a").file("a/b", "new")
    plan = views.plan()

    assert said(plan) == ["create a/b", "delete a"]
    assert plan.adopted == ()


def test_a_directory_where_its_file_is_gone_is_known_as_one() -> None:
    views = FlatViews().row("a", "old").directory("a")

    assert [row.kind for row in views.plan().adopted] == [Kind.DIRECTORY]


@pytest.mark.parametrize(("mode", "does"), [(DeleteMode.TRACKED, []), (DeleteMode.MIRROR, ["delete a"])])
@pytest.mark.parametrize("known", [True, False])
def test_somebody_elses_file_with_the_name_of_a_directory(mode: DeleteMode, does: list[str], known: bool) -> None:
    views = FlatViews(delete=mode).flat("a").directory("a")
    if known:
        views.row("a", None, kind=Kind.DIRECTORY, id_="", sync=Sync.ADOPTED)
    plan = views.plan()

    assert said(plan) == does
    assert plan.extra == (mode is DeleteMode.TRACKED)
    assert plan.forgotten == ()


def test_a_directory_that_became_a_file() -> None:
    views = FlatViews().went("d/x", "old").file("d", "new")
    views.row("d", None, kind=Kind.DIRECTORY, id_="", sync=Sync.ADOPTED)

    assert views.operations() == ["create d", "delete d/x"]


class TestRenames:
    def test_are_an_upload_and_the_deletion_of_the_old_after_it(self) -> None:
        plan = FlatViews().went("a.txt", "cc").file("b.md", "cc", inode=1).plan()
        create, delete = plan.operations

        assert isinstance(create, Create)
        assert create.reason == "same content as a.txt, which is gone; the remote cannot move it"
        assert isinstance(delete, Delete)
        assert (delete.after, delete.superseded, delete.files) == (("b.md",), True, 1)
        assert delete.reason == "uploaded as b.md instead"

    def test_are_nothing_that_the_guard_counts(self) -> None:
        views = FlatViews(max_delete=MaxDelete(count=0, percent=None))
        for number in range(3):
            views.went(f"old/{number}", f"c{number}", inode=number).file(f"new/{number}", f"c{number}", inode=number)
        plan = views.plan()

        assert [one.name for one in plan.operations] == ["create"] * 3 + ["delete"] * 3
        assert (plan.held, plan.withheld) == (0, ())

    def test_are_done_beside_deletions_that_are_held(self) -> None:
        views = FlatViews(max_delete=MaxDelete(count=0, percent=None))
        views.went("a", "aa", inode=1).went("gone", "gg", inode=2).file("b", "aa", inode=1)
        plan = views.plan()

        assert said(plan) == ["create b", "delete a"]
        assert (plan.held, [one.key for one in plan.withheld]) == (1, [b"gone"])

    def test_keep_the_old_where_nothing_may_be_deleted(self) -> None:
        views = FlatViews(delete=DeleteMode.NEVER).went("a", "cc").file("b", "cc", inode=1)

        assert views.operations() == ["create b"]

    def test_do_not_take_others_of_the_name_along(self) -> None:
        views = FlatViews(delete=DeleteMode.MIRROR, max_delete=MaxDelete(count=0, percent=None))
        plan = views.went("a", "cc").flat("a", "x", id_="theirs").file("b", "cc", inode=1).plan()

        assert said(plan) == ["create b"]
        assert plan.held == 2

    def test_to_where_the_remote_cannot_have_it_leave_it(self) -> None:
        plan = FlatViews().went("a", "cc").file("x" * 41, "cc", inode=1).plan()

        assert plan.operations == ()
        assert [problem.path for problem in plan.problems] == ["x" * 41]


class TestUnknownRecords:
    def test_one_of_the_name_is_replaced_and_said(self) -> None:
        plan = FlatViews().flat("a", "same").file("a", "same").plan()
        operation = only(plan)

        assert isinstance(operation, Replace)
        assert (operation.remote.id, operation.beside) == ("id of a", ())
        assert [drift.kind for drift in plan.drifted] == ["changed"]

    def test_of_several_none_stands_for_the_path(self) -> None:
        plan = FlatViews().flat("a", "one", id_="1").flat("a", "two", id_="2").file("a", "new").plan()
        operation = only(plan)

        assert isinstance(operation, Create)
        assert operation.beside == ("1", "2")
        assert (plan.extra, plan.drifted) == (2, ())

    def test_the_one_that_the_baseline_knows_is_the_jobs(self) -> None:
        plan = FlatViews().synced("a").flat("a", "x", id_="0").flat("a", "y", id_="zz").plan()

        assert (plan.operations, plan.extra) == ((), 2)

    def test_those_beside_a_replaced_one_are_told(self) -> None:
        operation = only(FlatViews().went("a").flat("a", "x", id_="0").file("a", "new").plan())

        assert isinstance(operation, Replace)
        assert (operation.remote.id, operation.beside) == ("id of a", ("0",))

    def test_go_in_mirror_where_the_source_lacks_them(self) -> None:
        views = FlatViews(delete=DeleteMode.MIRROR).flat("a", "x", id_="1").flat("a", "y", id_="2")

        assert views.operations() == ["delete a", "delete a"]


class TestAdoptionBySize:
    def test_takes_the_only_one_of_that_size_and_says_so(self) -> None:
        views = FlatViews(adopt_by_size=True).flat("a", "same").file("a", "same")
        plan = views.plan()

        assert plan.operations == ()
        assert [(row.id, row.checksum, row.sync) for row in plan.adopted] == [("id of a", "same", Sync.SYNCED)]
        assert (plan.by_size, plan.drifted) == (1, ())

    @pytest.mark.parametrize("case", ["another size", "several", "known", "not readable"])
    def test_takes_no_other(self, case: str) -> None:
        views = FlatViews(adopt_by_size=True).flat("a", "size")
        views.file("a", "siz" if case == "another size" else "size")
        if case == "several":
            views.flat("a", "size", id_="another")
        elif case == "known":
            views.row("a", "x", id_="gone")
        elif case == "not readable":
            views.unreadable.add("a")
        plan = views.plan()

        assert (plan.by_size, plan.adopted) == (0, ())
        assert [one.name for one in plan.operations] == ["create" if case == "several" else "replace"]


class TestAfterACrash:
    """What a claim tells of the records of a path."""

    def test_the_effect_of_a_create_is_replaced_and_is_no_drift(self) -> None:
        views = FlatViews().flat("a", "new", id_="made").file("a", "new")
        views.row("a", "new", sync=Sync.CLAIMED, claim=upload_claim(3, ()), id_="")
        views.base["a"] = views.base["a"]._replace(checksum=None, mtime_ns=0)
        plan = views.plan()
        operation = only(plan)

        assert isinstance(operation, Replace)
        assert operation.reason == "an upload of it was not seen to its end"
        assert plan.drifted == ()

    def test_a_create_whose_effect_is_not_listed_yet_is_looked_for(self) -> None:
        views = FlatViews().file("a", "new")
        views.row("a", "new", sync=Sync.CLAIMED, claim=upload_claim(3, ()), id_="")
        views.base["a"] = views.base["a"]._replace(checksum=None, mtime_ns=0)
        operation = only(views.plan())

        assert isinstance(operation, Create)
        assert operation.begun

    def test_the_effect_of_a_create_that_is_gone_from_the_source_goes(self) -> None:
        views = FlatViews().flat("a", "new", id_="made")
        views.row("a", "new", sync=Sync.CLAIMED, claim=upload_claim(3, ()), id_="")
        views.base["a"] = views.base["a"]._replace(checksum=None)

        assert views.operations() == ["delete a"]

    def test_the_effect_of_a_create_beside_a_strangers_goes(self) -> None:
        views = FlatViews().flat("a", "xyz", id_="0").flat("a", "new", id_="made").file("a", "new")
        views.row("a", "new", sync=Sync.CLAIMED, claim=upload_claim(3, ["0"]), id_="")
        views.base["a"] = views.base["a"]._replace(checksum=None, mtime_ns=0)
        plan = views.plan()

        assert said(plan) == ["delete a (leftover)", "replace a"]
        assert [one.remote.id for one in plan.operations if isinstance(one, Replace | Delete)] == ["made", "0"]

    def test_the_effect_of_a_replacement_goes_and_it_is_made_again(self) -> None:
        views = FlatViews().flat("a", "old").flat("a", "newer", id_="made").file("a", "newer")
        views.row("a", "old", sync=Sync.CLAIMED, claim=upload_claim(5, ["id of a"]))
        plan = views.plan()

        assert said(plan) == ["delete a (leftover)", "replace a"]
        assert [one.remote.id for one in plan.operations if isinstance(one, Replace | Delete)] == ["made", "id of a"]
        assert plan.drifted == ()

    def test_a_replacement_that_is_not_wanted_any_more_is_taken_back(self) -> None:
        views = FlatViews().synced("a", "old").flat("a", "newer", id_="made")
        views.row("a", "old", sync=Sync.CLAIMED, claim=upload_claim(5, ["id of a"]))
        plan = views.plan()

        assert said(plan) == ["delete a (leftover)"]
        assert plan.adopted == ()

    def test_the_old_one_of_a_replacement_goes_and_is_remembered_until_then(self) -> None:
        views = FlatViews().flat("a", "new", id_="made").flat("a", "old", id_="0").file("a", "new", inode=1)
        views.row("a", "new", sync=Sync.UPLOADED, claim="0", id_="made")
        plan = views.plan()

        assert said(plan) == ["delete a (leftover)"]
        assert (plan.adopted, plan.forgotten, plan.extra) == ((), (), 0)
        views.remote.pop()
        assert [(row.sync, row.claim) for row in views.plan().adopted] == [(Sync.SYNCED, None)]

    def test_both_records_go_where_the_file_is_gone(self) -> None:
        views = FlatViews().flat("a", "new", id_="made").flat("a", "old", id_="0")
        views.row("a", "new", sync=Sync.UPLOADED, claim="0", id_="made")

        assert views.operations() == ["delete a (leftover)", "delete a"]

    def test_others_records_stay(self) -> None:
        views = FlatViews().flat("a", "old").flat("a", "newer", id_="theirs").file("a", "newer")
        views.row("a", "old", sync=Sync.CLAIMED, claim=upload_claim(5, ["id of a", "theirs"]))
        plan = views.plan()

        assert said(plan) == ["replace a"]
        assert plan.extra == 1


def test_a_claim_that_is_a_checksum_matches_nothing() -> None:
    views = Views().record("a", "c" * 3, checksum=False).row("a", "c", sync=Sync.CLAIMED, claim="d41d8cd9")
    (record,), row = views.remote, views.base["a"]

    assert not is_effect(record, row)
    assert not is_effect(record._replace(checksum="d41d8cd9"), row)
    assert not is_effect(record, None)
    assert not is_replaced(record, None)
    assert record.key == key_of("a")


def test_a_replacement_begun_twice_is_no_drift() -> None:
    views = FlatViews().flat("a", "made", id_="made").file("a", "newer")
    views.row("a", "newer", sync=Sync.CLAIMED, claim=upload_claim(5, ["made"]), id_="made")
    views.base["a"] = views.base["a"]._replace(checksum=None, mtime_ns=0)
    plan = views.plan()

    assert (said(plan), plan.drifted) == (["replace a"], ())
