"""Deletions that look like a mistake are held, all of them, and everything else is done."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.program import Pair


def filled(pair: Pair, count: int) -> Pair:
    for number in range(count):
        pair.write(f"{number}.txt", f"content {number}")
    pair.mirrored()
    return pair


def remove(pair: Pair, count: int) -> None:
    for number in range(count):
        (pair.source / f"{number}.txt").unlink()


@pytest.mark.parametrize(
    ("files", "gone", "options", "held"),
    [
        (40, 19, [], 0),
        (40, 20, [], 20),
        (100, 25, [], 0),
        (100, 26, [], 26),
        (100, 26, ["--max-delete", "26%"], 0),
        (100, 26, ["--max-delete", "26"], 0),
        (100, 26, ["--max-delete", "25"], 26),
        (10, 1, ["--max-delete", "0"], 1),
        (10, 9, ["--max-delete", "0%"], 0),
        (40, 39, ["--max-delete", "100%"], 0),
    ],
)
def test_how_many_are_too_many(pair: Pair, files: int, gone: int, options: list[str], held: int) -> None:
    filled(pair, files)
    remove(pair, gone)
    pair.write("new.txt", "new")
    plan = pair.plan(*options)
    assert plan.code == (3 if held else 0)
    assert plan.json["jobs"][0]["held"] == held
    run = pair.mirrored(*options, code=3 if held else 0)
    assert run.counts().get("held", 0) == held
    assert run.counts().get("deleted", 0) == (0 if held else gone)
    assert run.job["created"] == 1
    assert len(pair.remote()) == files + 1 - (0 if held else gone)


def test_held_until_the_files_come_back_or_it_is_said_to_be_meant(pair: Pair) -> None:
    filled(pair, 40)
    remove(pair, 30)
    for _ in range(2):
        assert pair.mirrored(code=3).job["held"] == 30
    pair.write("0.txt", "content 0")
    assert pair.mirrored(code=3).job["held"] == 29
    for number in range(1, 20):
        pair.write(f"{number}.txt", f"content {number}")
    assert pair.mirrored().counts() == {"unchanged": 30, "deleted": 10}
    pair.assert_equal()
    remove(pair, 20)
    pair.mirrored(code=3)
    assert pair.mirrored("--max-delete", "100%").counts() == {"unchanged": 10, "deleted": 20}
    pair.assert_equal()


def test_what_moves_elsewhere_does_not_count(pair: Pair) -> None:
    filled(pair, 60)
    (pair.source / "sub").mkdir()
    for number in range(60):
        (pair.source / f"{number}.txt").rename(pair.source / "sub" / f"{number}.txt")
    assert pair.mirrored().counts() == {"moved": 60, "directories": 1}
    pair.assert_equal()


def test_an_emptied_source(pair: Pair) -> None:
    filled(pair, 8)
    remove(pair, 8)
    run = pair.mirrored(code=3)
    assert run.counts() == {"held": 8}
    assert "empty" in run.err
    assert len(pair.remote()) == 8
    assert pair.mirrored("--max-delete", "8", code=3).counts() == {"held": 8}
    assert pair.mirrored("--max-delete", "100%").counts() == {"deleted": 8}
    pair.assert_equal()


def test_few_files_may_all_go(pair: Pair) -> None:
    filled(pair, 4)
    remove(pair, 4)
    assert pair.mirrored().counts() == {"deleted": 4}


def test_another_directory_in_the_place_of_the_source(pair: Pair) -> None:
    filled(pair, 8)
    pair.source.rename(pair.source.with_name("away"))
    pair.source.mkdir()
    pair.write("something else", "else")
    assert pair.mirrored(code=3).counts() == {"created": 1, "held": 8}
    assert pair.mirrored(code=3).counts() == {"unchanged": 1, "held": 8}
    shutil.rmtree(pair.source)
    pair.source.with_name("away").rename(pair.source)
    assert pair.mirrored(code=3).counts() == {"unchanged": 8, "held": 1}
    assert pair.mirrored("--max-delete", "100%").counts() == {"unchanged": 8, "deleted": 1}
    (pair.source / "7.txt").unlink()
    assert pair.mirrored().counts() == {"unchanged": 7, "deleted": 1}
    pair.assert_equal()


def test_another_release_of_the_same_tree_is_normal(pair: Pair) -> None:
    filled(pair, 30)
    shutil.copytree(pair.source, pair.source.with_name("next"))
    pair.source.rename(pair.source.with_name("away"))
    pair.source.with_name("next").rename(pair.source)
    remove(pair, 5)
    assert pair.mirrored().counts() == {"unchanged": 25, "deleted": 5}
    pair.assert_equal()


def test_the_way_is_not_cleared_while_deletions_are_held(pair: Pair) -> None:
    """A file that became a directory: while its deletion is held, so is what takes its place."""
    filled(pair, 40)
    remove(pair, 30)
    (pair.source / "35.txt").unlink()
    pair.write("35.txt/inside", "in a directory now")
    run = pair.mirrored(code=3)
    assert run.counts().get("created", 0) == 0
    assert pair.remote()["35.txt"] == b"content 35"
    pair.mirrored("--max-delete", "100%")
    pair.assert_equal()


def test_mirror_mode_is_guarded_by_what_is_on_the_destination(pair: Pair) -> None:
    for number in range(50):
        pair.plant(f"theirs {number}", f"theirs {number}".encode())
    pair.write("mine", "mine")
    run = pair.mirrored("--delete", "mirror", code=3)
    assert run.counts() == {"created": 1, "held": 50}
    assert len(pair.remote()) == 51
    assert pair.mirrored("--delete", "mirror", "--max-delete", "100%").counts() == {"unchanged": 1, "deleted": 50}
    pair.assert_equal()


def test_a_directory_is_counted_by_the_files_in_it(pair: Pair) -> None:
    for number in range(30):
        pair.write(f"sub/{number}", f"content {number}")
    pair.write("stays", "stays")
    pair.mirrored()
    shutil.rmtree(pair.source / "sub")
    with pair.server.counting() as changes:
        assert pair.mirrored(code=3).counts() == {"unchanged": 1, "held": 30}
    assert changes == {}


def test_renames_that_change_the_content_type_are_not_held(pair: Pair) -> None:
    for number in range(40):
        pair.write(f"notes/{number}.txt", f"content {number}")
    pair.mirrored()
    for file in list((pair.source / "notes").iterdir()):
        file.rename(file.with_suffix(".md"))
    assert pair.mirrored().counts() == {"created": 40, "deleted": 40}
    pair.assert_equal()
    pair.assert_idle()
