"""What a mirror does with changes: moves, swaps, changes of kind, other people's files, filters, modes of deletion."""

from __future__ import annotations

import os
import shutil

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import Configured, Pair


def put(pair: Pair, files: dict[str, str]) -> None:
    for path, content in files.items():
        pair.write(path, content)


def test_adopts_what_is_equal(pair: Pair) -> None:
    put(pair, {"a": "same", "b": "mine", "d/c": "same, too"})
    pair.plant("a", b"same")
    pair.plant("d/c", b"same, too")
    pair.plant("b", b"theirs")
    ids = {path: pair.record(path).id for path in ("a", "b", "d/c")}
    run = pair.mirrored()
    assert run.counts() == {"unchanged": 2, "replaced": 1}
    assert run.job["drifted"] == [{"path": "b", "kind": "changed"}]
    assert {path: pair.record(path).id for path in ids} == ids
    pair.assert_equal()
    pair.assert_idle()


def test_many_uploads_are_confirmed_by_asking_for_each_page_once(pair: Pair) -> None:
    """40 files and the 20 directories that they are in, in one: 4 pages, and one before anything was there."""
    pair.server.turn(completion_delay=0, page_size_ceiling=20)
    put(pair, {f"{number % 20:02}/{number:02}": f"{number}" for number in range(40)})
    before = pair.server.counts()
    assert pair.mirrored().counts() == {"created": 40, "directories": 20}
    asked = pair.server.counts() - before
    assert asked == {"create": 40, "form": 40, "list": 5}
    pair.assert_equal()
    pair.assert_idle()


def test_an_edit_keeps_the_id_also_with_the_time_put_back(pair: Pair) -> None:
    file = pair.write("a", "before")
    pair.mirrored()
    before, record = file.stat(), pair.record("a").id
    file.write_text("after!")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert pair.mirrored().counts() == {"replaced": 1}
    assert pair.record("a").id == record
    pair.assert_equal()


def test_swapped_names_are_two_replaces(pair: Pair) -> None:
    put(pair, {"a": "one", "b": "two"})
    pair.mirrored()
    (pair.source / "a").rename(pair.source / "x")
    (pair.source / "b").rename(pair.source / "a")
    (pair.source / "x").rename(pair.source / "b")
    with pair.server.counting() as changes:
        assert pair.mirrored().counts() == {"replaced": 2}
    assert changes == {"patch": 2, "form": 2}
    pair.assert_equal()


def test_a_chain_of_renames(pair: Pair) -> None:
    put(pair, {"a": "one", "b": "two", "c": "three"})
    pair.mirrored()
    for old, new in (("c", "d"), ("b", "c"), ("a", "b")):
        (pair.source / old).rename(pair.source / new)
    pair.mirrored()
    pair.assert_equal()
    pair.assert_idle()


def test_renamed_with_a_new_file_in_its_place(pair: Pair) -> None:
    put(pair, {"a": "old content"})
    pair.mirrored()
    (pair.source / "a").rename(pair.source / "b")
    pair.write("a", "new content")
    with pair.server.counting() as changes:
        assert pair.mirrored().counts() == {"replaced": 1, "created": 1}
    assert changes == {"patch": 1, "create": 1, "form": 2}
    pair.assert_equal()


def test_a_case_only_rename_is_a_move(pair: Pair) -> None:
    put(pair, {"readme.txt": "x", "dir/file": "y"})
    pair.mirrored()
    (pair.source / "readme.txt").rename(pair.source / "README.txt")
    (pair.source / "dir").rename(pair.source / "Dir")
    with pair.server.counting() as changes:
        pair.mirrored()
    assert changes == {"move": 2}
    pair.assert_equal()
    pair.assert_idle()


def test_a_rename_that_changes_the_type_is_an_upload(pair: Pair) -> None:
    put(pair, {"page.txt": "<p>"})
    pair.mirrored()
    (pair.source / "page.txt").rename(pair.source / "page.html")
    assert pair.mirrored().counts() == {"created": 1, "deleted": 1}
    assert pair.record("page.html").content_type == "text/html"
    pair.assert_equal()


def test_a_copied_and_deleted_file_is_moved(pair: Pair) -> None:
    """Without the inode as a hint: what `cp` and `rm`, or a fresh checkout, leave."""
    put(pair, {"old/big.bin": "x" * 100_000})
    pair.mirrored()
    (pair.source / "new").mkdir()
    (pair.source / "new/big.bin").write_text("x" * 100_000)
    shutil.rmtree(pair.source / "old")
    run = pair.mirrored()
    pair.assert_equal()
    assert run.job["bytes_uploaded"] == 0, run


def test_a_renamed_directory_is_one_request(pair: Pair) -> None:
    put(pair, {f"old/sub{number % 3}/{number}": f"content {number}" for number in range(30)})
    (pair.source / "old/empty").mkdir()
    pair.mirrored()
    (pair.source / "old").rename(pair.source / "new")
    assert [action["action"] for action in pair.plan().json["jobs"][0]["actions"]] == ["move"]
    with pair.server.counting() as changes:
        assert pair.mirrored().counts() == {"moved": 30}
    assert changes == {"move": 1}
    pair.assert_equal()
    pair.assert_idle()


def test_a_renamed_directory_leaves_strangers_behind(pair: Pair) -> None:
    put(pair, {f"old/{number}": f"content {number}" for number in range(5)})
    pair.mirrored()
    pair.plant("old/theirs")
    (pair.source / "old").rename(pair.source / "new")
    run = pair.mirrored()
    assert run.counts() == {"moved": 5, "directories": 1, "extra": 1}
    assert pair.remote() == {**pair.local(), "old": None, "old/theirs": b"theirs"}
    pair.assert_clean()


def test_a_directory_moved_into_another(pair: Pair) -> None:
    put(pair, {"a/one": "1", "a/sub/two": "2", "b/three": "3"})
    pair.mirrored()
    (pair.source / "a").rename(pair.source / "b" / "a")
    with pair.server.counting() as changes:
        pair.mirrored()
    assert changes == {"move": 1}
    pair.assert_equal()
    (pair.source / "b" / "a").rename(pair.source / "c")
    (pair.source / "b").rename(pair.source / "c" / "b")
    pair.mirrored()
    pair.assert_equal()
    pair.assert_idle()


def test_a_file_becomes_a_directory_and_back(pair: Pair) -> None:
    put(pair, {"x": "a file", "y/inside": "in a directory", "z": "stays"})
    pair.mirrored()
    (pair.source / "x").unlink()
    pair.write("x/inside/deep", "a directory now")
    shutil.rmtree(pair.source / "y")
    pair.write("y", "a file now")
    pair.mirrored()
    pair.assert_equal()
    pair.assert_idle()
    shutil.rmtree(pair.source / "x")
    pair.write("x", "a file again")
    pair.mirrored()
    pair.assert_equal()


def test_a_file_becomes_an_empty_directory(pair: Pair) -> None:
    put(pair, {"x": "a file", "z": "stays"})
    pair.mirrored()
    (pair.source / "x").unlink()
    (pair.source / "x").mkdir()
    pair.mirrored()
    pair.assert_equal()
    (pair.source / "x").rmdir()
    pair.write("x", "")
    pair.mirrored()
    pair.assert_equal()


def test_directories_come_and_go_with_what_is_in_them(pair: Pair) -> None:
    put(pair, {"a/b/c/file": "x", "keep": "y"})
    (pair.source / "empty/inner").mkdir(parents=True)
    pair.mirrored()
    pair.assert_equal()
    shutil.rmtree(pair.source / "a")
    shutil.rmtree(pair.source / "empty")
    with pair.server.counting() as changes:
        run = pair.mirrored()
    assert changes == {"delete": 2}
    assert run.counts() == {"deleted": 1, "unchanged": 1}
    pair.assert_equal()


def test_strangers_are_left_alone_and_counted(pair: Pair) -> None:
    put(pair, {"mine/a": "a", "mine/b": "b"})
    pair.mirrored()
    pair.plant("mine/theirs")
    pair.plant("theirs/file")
    shutil.rmtree(pair.source / "mine")
    run = pair.mirrored()
    assert run.counts() == {"deleted": 2, "extra": 2}
    assert pair.remote() == {"mine": None, "mine/theirs": b"theirs", "theirs": None, "theirs/file": b"theirs"}
    pair.mirrored()
    assert len(pair.remote()) == 4


def test_delete_never(pair: Pair) -> None:
    put(pair, {"a": "one", "b": "two", "d/c": "three"})
    pair.mirrored("--delete", "never")
    (pair.source / "a").unlink()
    (pair.source / "b").rename(pair.source / "renamed")
    shutil.rmtree(pair.source / "d")
    with pair.server.counting() as changes:
        pair.mirrored("--delete", "never")
    assert changes == {"create": 1, "form": 1}
    assert pair.remote() == {"a": b"one", "b": b"two", "d": None, "d/c": b"three", "renamed": b"two"}


def test_delete_mirror(pair: Pair) -> None:
    put(pair, {"a": "one"})
    pair.plant("theirs")
    pair.plant("deep/down/theirs")
    pair.server.plant("/elsewhere", b"not in the destination")
    run = pair.mirrored("--delete", "mirror")
    assert run.counts() == {"created": 1, "deleted": 2}
    pair.assert_equal()
    assert "/elsewhere" in pair.server.call(pair.server.sandbox.tree)


def test_what_somebody_else_changed_is_overwritten_and_said(pair: Pair) -> None:
    put(pair, {"a": "mine", "b": "mine too"})
    pair.mirrored()
    pair.server.remove(pair.record("a"))
    pair.plant("a", b"theirs")
    pair.server.remove(pair.record("b"))
    run = pair.mirrored()
    drifted = sorted((drift["path"], drift["kind"]) for drift in run.job["drifted"])
    assert drifted == [("a", "changed"), ("b", "deleted")]
    assert "a (changed)" in run.err
    pair.assert_equal()
    pair.assert_idle()


def test_what_somebody_else_changed_is_not_deleted_with_the_local_one(pair: Pair) -> None:
    file = pair.write("a", "mine")
    pair.write("b", "b")
    pair.mirrored()
    pair.server.remove(pair.record("a"))
    pair.plant("a", b"theirs")
    file.unlink()
    run = pair.mirrored()
    assert run.job["drifted"] == [{"path": "a", "kind": "changed"}]
    assert pair.remote()["a"] == b"theirs"
    assert pair.mirrored().counts() == {"unchanged": 1, "extra": 1}
    assert pair.mirrored("--delete", "mirror").counts() == {"unchanged": 1, "deleted": 1}


def test_filters_decide_what_is_looked_at(pair: Pair) -> None:
    put(pair, {"a.txt": "a", "b.tmp": "b", ".git/config": "c", "sub/d.txt": "d", "sub/e.log": "e"})
    pair.write(".syncdignore", "*.log\n")
    run = pair.mirrored("--exclude", "*.tmp", "--exclude", ".git/")
    assert pair.remote() == {"a.txt": b"a", "sub": None, "sub/d.txt": b"d"}
    assert run.job["skipped"] == []
    pair.write(".syncdignore", "*.log\nsub/\n")
    run = pair.mirrored("--exclude", "*.tmp", "--exclude", ".git/")
    assert run.counts() == {"unchanged": 1}
    assert "sub/d.txt" in pair.remote()
    (pair.source / ".syncdignore").unlink()
    run = pair.mirrored()
    pair.assert_equal()


def test_include_is_all_there_is(pair: Pair) -> None:
    put(pair, {"a.txt": "a", "b.bin": "b", "sub/deep/c.txt": "c", "sub/d.bin": "d"})
    pair.mirrored("--include", "*.txt")
    assert pair.remote() == {"a.txt": b"a", "sub": None, "sub/deep": None, "sub/deep/c.txt": b"c"}
    with pair.server.counting() as changes:
        assert pair.mirrored("--include", "*.txt").counts() == {"unchanged": 2}
    assert changes == {}
    shutil.rmtree(pair.source / "sub")
    pair.mirrored("--include", "*.txt")
    assert pair.remote() == {"a.txt": b"a"}


def test_the_whole_remote_as_destination(pair: Pair) -> None:
    pair.directory = ""
    put(pair, {"a": "a", "d/b": "b"})
    pair.mirrored()
    pair.assert_equal()
    pair.assert_idle()


def test_a_new_destination_is_filled_and_the_old_one_left(pair: Pair) -> None:
    put(pair, {"a": "a", "d/b": "b"})
    pair.mirrored()
    pair.directory = "second"
    assert pair.mirrored().counts() == {"created": 2, "directories": 1}
    pair.assert_equal()
    pair.directory = "dir"
    pair.assert_equal()
    pair.assert_idle()


def test_a_new_destination_of_a_configured_job_is_said(job: Configured) -> None:
    job.write("a")
    job.mirrored()
    job.directory = "other"
    assert "what is at the old one is left alone" in job.mirrored().err
    assert "the old one" not in job.mirrored().err
    job.assert_equal()
    job.directory = "dir"
    job.assert_equal()


def test_a_source_that_moved_is_the_same_job(pair: Pair) -> None:
    """The state is keyed by the destination; a `current` link may lead to another release."""
    releases = pair.source.with_name("releases")
    for release in ("one", "two"):
        (releases / release).mkdir(parents=True)
        for number in range(10):
            (releases / release / f"{number}").write_text(f"content {number}")
    (releases / "two" / "3").write_text("changed in release two")
    (releases / "two" / "9").unlink()
    pair.source.rmdir()
    pair.source.symlink_to(releases / "one")
    assert pair.mirrored().counts() == {"created": 10}
    pair.source.unlink()
    pair.source.symlink_to(releases / "two")
    assert pair.mirrored().counts() == {"replaced": 1, "deleted": 1, "unchanged": 8}
    pair.assert_equal()


@pytest.mark.parametrize("option", [[], ["--checksum"]])
def test_content_decides_and_not_times(pair: Pair, option: list[str]) -> None:
    put(pair, {f"{number}": f"content {number}" for number in range(10)})
    pair.mirrored()
    for file in pair.source.iterdir():
        os.utime(file, (0, 0))
    with pair.server.counting() as changes:
        assert pair.mirrored(*option).counts() == {"unchanged": 10}
    assert changes == {}


def test_private_files_move_and_change_alike(pair: Pair) -> None:
    pair.kind = "privateFiles"
    put(pair, {"a/one": "1", "a/two": "2", "edited": "before"})
    pair.mirrored()
    (pair.source / "a").rename(pair.source / "b")
    pair.write("edited", "after")
    pair.write("new", "")
    with pair.server.counting() as changes:
        pair.mirrored()
    assert changes == {"move": 1, "patch": 1, "create": 1, "form": 2}
    pair.assert_equal()
    pair.assert_idle()
    pair.server.turn(form_for_private=False)
    pair.write("edited", "again")
    pair.write("newer", "x" * 100_000)
    with pair.server.counting() as changes:
        pair.mirrored()
    assert changes == {"patch": 1, "create": 1, "upload": 2}
    pair.assert_equal()


@pytest.mark.parametrize(
    "knobs",
    [
        {"completion_delay": 0.3},
        {"job_delay": 0.3},
        {"page_size_ceiling": 3},
        {"patched_status": "completed", "patched_etag": "old", "patched_size": "old", "completion_delay": 0.2},
        {"patched_status": "pending", "patched_etag": "none", "completion_delay": 0.2},
        {"content_length_range": "exact"},
        {"clock_offset": 7200.0},
        {"listing_lag": 0.5},
        {"duplicate_create": "bad_request"},
        {"duplicate_create": "duplicate"},
        {"duplicate_create": "existing"},
        {"move_onto": "duplicate"},
    ],
    ids=str,
)
def test_whatever_the_remote_is_like(pair: Pair, knobs: dict[str, object]) -> None:
    """Where no source tells what the real service does, each plausible way must lead to the same end."""
    put(pair, {f"d{number % 3}/{number}.txt": f"content {number}" for number in range(12)})
    pair.server.turn(**knobs)
    assert pair.mirrored().counts() == {"created": 12, "directories": 3}
    pair.assert_equal()
    pair.assert_idle()
    (pair.source / "d0").rename(pair.source / "moved")
    pair.write("moved/0.txt", "edited in the moved directory")
    pair.write("d1/1.txt", "edited")
    (pair.source / "d1/4.txt").rename(pair.source / "4.txt")
    (pair.source / "d1/7.txt").unlink()
    shutil.rmtree(pair.source / "d2")
    pair.write("d2", "a file now")
    pair.mirrored()
    pair.assert_equal()
    pair.assert_idle()


def test_the_old_copy_stays_until_the_new_one_is_there(pair: Pair) -> None:
    """A rename that is an upload: while the upload fails, the old path is not deleted."""
    put(pair, {"page.txt": "<p>", "other": "x"})
    pair.mirrored()
    (pair.source / "page.txt").rename(pair.source / "page.html")
    pair.server.turn(faults=(Fault("form", "status", status=400, name="page.html", body="<Error/>"),))
    assert set(pair.mirrored(code=1).failed()) == {"page.html"}
    assert pair.remote()["page.txt"] == b"<p>"
    pair.server.turn()
    pair.mirrored()
    pair.assert_equal()


def test_a_directory_that_became_a_file_and_holds_somebody_elses(pair: Pair) -> None:
    """Theirs stays, and the file is named as failed."""
    put(pair, {"x/mine": "mine", "other": "x"})
    pair.mirrored()
    pair.plant("x/theirs")
    shutil.rmtree(pair.source / "x")
    pair.write("x", "a file now")
    run = pair.mirrored(code=1)
    assert set(run.failed()) == {"x"}
    assert pair.remote()["x/theirs"] == b"theirs"
    assert pair.remote()["other"] == b"x"


def test_empty_directories_only_where_they_are_wanted(pair: Pair) -> None:
    (pair.source / "empty/inner").mkdir(parents=True)
    pair.write("full/file", "x")
    (pair.program.home / "syncd.toml").write_text(
        f"""
        state_dir = "{pair.state}"
        [remotes.prod]
        kind = "losant"
        application_id = "5a9db0c5e1f4a20007c0ffee"
        api_url = "{pair.server.url}"
        [jobs.assets]
        source = "{pair.source}"
        destination = "prod:/dir"
        empty_directories = false
        """
    )
    assert pair.program.run("--once").code == 0
    assert pair.remote() == {"full": None, "full/file": b"x"}


def test_a_directory_that_was_there_before_is_not_removed(pair: Pair) -> None:
    """Only what syncd made is its own."""
    pair.plant("shared/theirs")
    pair.write("shared/mine", "mine")
    pair.mirrored()
    pair.server.remove(pair.record("shared/theirs"))
    shutil.rmtree(pair.source / "shared")
    assert pair.mirrored().counts() == {"deleted": 1}
    assert pair.remote() == {"shared": None}
