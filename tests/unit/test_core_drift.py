"""What becomes of what somebody else did on the destination, by `on_drift`."""

from __future__ import annotations

import pytest

from syncd.core.model import DeleteMode, Drift, Kind, OnDrift, Replace, Status, Sync
from tests.unit.core_support import STAMP, Views, said

ASIDE = f"a.theirs-{STAMP}.txt"
LEAVING = [OnDrift.KEEP, OnDrift.COPY]


@pytest.mark.parametrize(
    ("on_drift", "does", "kept"),
    [(OnDrift.OVERWRITE, ["replace a.txt"], 0), (OnDrift.COPY, ["replace a.txt"], 0), (OnDrift.KEEP, [], 1)],
)
def test_a_changed_file(on_drift: OnDrift, does: list[str], kept: int) -> None:
    views = Views(on_drift=on_drift).file("a.txt", "mine").row("a.txt", "before").record("a.txt", "theirs")
    plan = views.plan()
    assert (said(plan), plan.kept) == (does, kept)
    assert plan.drifted == (Drift("a.txt", "changed"),)
    assert plan.forgotten == ()
    asides = [one.aside for one in plan.operations if isinstance(one, Replace)]
    assert asides == ([ASIDE] if on_drift is OnDrift.COPY else [""] * len(does))


@pytest.mark.parametrize("on_drift", LEAVING)
def test_an_edit_of_ours_alone_is_no_drift(on_drift: OnDrift) -> None:
    plan = Views(on_drift=on_drift).gone("a").file("a", "new").plan()
    assert said(plan) == ["replace a"]
    assert plan.drifted == ()
    assert [one.aside for one in plan.operations if isinstance(one, Replace)] == [""]


@pytest.mark.parametrize("on_drift", OnDrift)
def test_what_is_equal_is_adopted_whoever_made_it(on_drift: OnDrift) -> None:
    plan = Views(on_drift=on_drift).file("a", "same").row("a", "before").record("a", "same").plan()
    assert (said(plan), plan.drifted, len(plan.adopted)) == ([], (), 1)


@pytest.mark.parametrize("on_drift", LEAVING)
def test_an_upload_of_somebody_else_under_way_is_left(on_drift: OnDrift) -> None:
    views = Views(on_drift=on_drift).file("a", "mine").row("a").record("a", status=Status.PENDING)
    plan = views.plan()
    assert (said(plan), plan.drifted, plan.kept) == ([], (Drift("a", "changed"),), 1)


@pytest.mark.parametrize("on_drift", LEAVING)
def test_an_upload_of_ours_cut_short_is_done_again(on_drift: OnDrift) -> None:
    views = Views(on_drift=on_drift).file("a", "mine").record("a", status=Status.PENDING)
    assert views.row("a", sync=Sync.CLAIMED, claim="mine").operations() == ["replace a"]


@pytest.mark.parametrize(
    ("on_drift", "does"), [(OnDrift.OVERWRITE, ["create a"]), (OnDrift.COPY, ["create a"]), (OnDrift.KEEP, [])]
)
def test_a_deleted_file(on_drift: OnDrift, does: list[str]) -> None:
    plan = Views(on_drift=on_drift).file("a", inode=1).row("a").plan()
    assert (said(plan), plan.drifted) == (does, (Drift("a", "deleted"),))


def test_what_may_never_have_been_there_is_no_deletion() -> None:
    """An upload that was not seen complete, a file whose directory was moved by us, a path of another kind."""
    for views in (
        Views().row("a", sync=Sync.UPLOADED),
        Views().row("a", id_=""),
        Views().row("a", None, kind=Kind.DIRECTORY),
    ):
        views.on_drift = OnDrift.KEEP
        assert views.file("a", inode=1).operations() == ["create a"]


def test_nothing_is_moved_to_where_somebody_deleted_something() -> None:
    views = Views(on_drift=OnDrift.KEEP).file("a", "same").row("a", "before").gone("b", "same", inode=2)
    assert views.operations() == ["delete b"]
    tree = Views(on_drift=OnDrift.KEEP).directory("d").file("d/x", "1", inode=3).row("d/x", "0", inode=3)
    tree.file("d/y", "2", inode=4).known_directory("e", local=False).gone("e/x", "1", inode=3).gone("e/y", "2", inode=4)
    assert "move d from e" not in tree.operations()


@pytest.mark.parametrize(("on_drift", "does"), [(OnDrift.KEEP, []), (OnDrift.OVERWRITE, ["mkdir d"])])
def test_a_deleted_directory(on_drift: OnDrift, does: list[str]) -> None:
    assert Views(on_drift=on_drift).directory("d").row("d", None, kind=Kind.DIRECTORY).operations() == does


def test_a_deleted_directory_is_made_on_the_way_to_something_new() -> None:
    views = Views(on_drift=OnDrift.KEEP).directory("d").row("d", None, kind=Kind.DIRECTORY).file("d/new")
    assert views.operations() == ["mkdir d (on the way)", "create d/new"]


@pytest.mark.parametrize(
    ("on_drift", "does"), [(OnDrift.OVERWRITE, ["delete a"]), (OnDrift.KEEP, []), (OnDrift.COPY, [])]
)
def test_an_added_file_under_mirror(on_drift: OnDrift, does: list[str]) -> None:
    plan = Views(on_drift=on_drift, delete=DeleteMode.MIRROR).record("a").plan()
    assert (said(plan), plan.drifted) == (does, (Drift("a", "added"),))
    assert plan.extra == 1 - len(does)


def test_added_files_are_only_counted_where_the_source_is_not_all_there_is() -> None:
    plan = Views(on_drift=OnDrift.KEEP).record("a").plan()
    assert (plan.drifted, plan.extra) == ((), 1)


@pytest.mark.parametrize("on_drift", LEAVING)
def test_under_mirror_only_what_is_known_goes(on_drift: OnDrift) -> None:
    views = Views(on_drift=on_drift, delete=DeleteMode.MIRROR).gone("a").gone("b", "x", inode=2).row("b", "y", inode=2)
    views.known_directory("d", local=False, sync=Sync.ADOPTED).record("e", None).record("e/x")
    plan = views.plan()
    assert said(plan) == ["delete a", "delete d"]
    assert plan.drifted == (Drift("b", "changed"), Drift("e/x", "added"))
    assert plan.forgotten == (b"b",)


@pytest.mark.parametrize("on_drift", LEAVING)
def test_under_mirror_second_records_of_others_stay(on_drift: OnDrift) -> None:
    views = Views(on_drift=on_drift, delete=DeleteMode.MIRROR).gone("a").record("a", "other", id_="theirs")
    assert [getattr(one, "remote").id for one in views.plan().operations] == ["id of a"]  # noqa: B009


@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_of_somebody_else_is_not_ours_by_having_our_content(checksum: bool) -> None:
    """Ours went, theirs came, then the local file went."""
    plan = Views().row("a").record("a", id_="theirs", checksum=checksum).plan()
    assert (said(plan), plan.drifted, plan.forgotten) == ([], (Drift("a", "changed"),), (b"a",))


def test_nor_is_it_moved() -> None:
    plan = Views().row("a").record("a", id_="theirs").file("b", inode=1).plan()
    assert said(plan) == ["create b"]
    assert plan.drifted == (Drift("a", "changed"),)


def test_what_is_not_known_by_its_id_is_ours_by_its_content() -> None:
    """A child of a directory that was moved."""
    assert Views().row("a", id_="").record("a").operations() == ["delete a"]


def test_what_a_cut_off_upload_put_there_is_ours_under_any_id() -> None:
    views = Views().row("a", "before", sync=Sync.CLAIMED, claim="sent").record("a", "sent", id_="new")
    assert views.operations() == ["delete a"]


def test_with_mirror_it_goes_and_is_said() -> None:
    plan = Views(delete=DeleteMode.MIRROR).row("a").record("a", id_="theirs").plan()
    assert (said(plan), plan.drifted) == (["delete a"], (Drift("a", "changed"),))


def test_of_several_that_somebody_else_put_there_none_is_moved_aside() -> None:
    views = Views(on_drift=OnDrift.COPY).known("a", "ours").file("a", "ours")
    views.remote.clear()
    plan = views.record("a", "theirs", id_="one").record("a", "theirs too", id_="two").plan()
    assert plan.operations == ()
    assert [(one.path, one.action) for one in plan.problems] == [("a", "replace")]
    assert "remove all but one" in plan.problems[0].error
