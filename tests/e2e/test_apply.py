"""`syncd plan --out` and `syncd apply`, through the real program."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from syncd.sandbox import APPLICATION_ID, Kind
from tests.e2e.program import TOKEN, Ended, Pair


@pytest.fixture(params=["files", "privateFiles"])
def both(pair: Pair, request: pytest.FixtureRequest) -> Pair:
    kind: Kind = request.param
    pair.kind = kind
    return pair


def planned(pair: Pair, *more: str, code: int = 0) -> Path:
    file = pair.program.home / "plan.json"
    run = pair.plan("--out", str(file), *more)
    assert run.code == code, run
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in pair.program.home.iterdir() if "plan.json" in path.name] == ["plan.json"]
    assert TOKEN not in file.read_text()
    assert pair.server.url in file.read_text()
    return file


def applied(pair: Pair, file: Path, *, code: int = 0) -> Ended:
    run = pair.program.run("apply", file, *pair.where, "--json")
    assert run.code == code, run
    return run


def refused(pair: Pair, file: Path) -> dict[str, str]:
    before = pair.remote()
    with pair.server.counting() as changes:
        run = applied(pair, file, code=1)
    assert (changes, pair.remote()) == ({}, before)
    assert "nothing was done" in run.err
    return run.failed()


def everything(pair: Pair) -> None:
    """A source and a destination between which every kind of action lies."""
    for path in ("replaced", "gone", "dir/a", "dir/b", "dir/c", "dropped/x", "moved from here"):
        pair.write(path, f"content of {path}")
    pair.mirrored()
    pair.write("replaced", "new content")
    pair.write("created/deep", "created")
    (pair.source / "empty").mkdir()
    (pair.source / "gone").unlink()
    (pair.source / "dropped/x").unlink()
    (pair.source / "dropped").rmdir()
    (pair.source / "moved from here").rename(pair.source / "moved here")


def test_a_plan_is_applied_and_is_then_done(both: Pair) -> None:
    everything(both)
    file = planned(both)
    run = applied(both, file)
    counts = {"created": 1, "replaced": 1, "moved": 1, "deleted": 2, "directories": 2, "unchanged": 3}
    assert run.counts() == counts
    both.assert_equal()
    both.assert_idle()
    assert set(refused(both, file)) >= {"replaced", "created/deep", "gone", "moved here"}


def test_what_changed_elsewhere_is_left_alone(pair: Pair) -> None:
    everything(pair)
    file = planned(pair)
    pair.write("later", "later")
    pair.plant("theirs")
    (pair.source / "dir/c").unlink()
    assert applied(pair, file).counts() == {
        "created": 1,
        "replaced": 1,
        "moved": 1,
        "deleted": 2,
        "directories": 2,
        "unchanged": 2,
    }
    assert "later" not in pair.remote()
    assert {"dir/c", "theirs"} <= set(pair.remote())
    assert pair.mirrored().counts() == {"created": 1, "deleted": 1, "unchanged": 5, "extra": 1}


@pytest.mark.parametrize("side", ["local content", "local gone", "local time", "remote content", "remote new"])
def test_a_side_that_changed_refuses_all_of_it(pair: Pair, side: str) -> None:
    everything(pair)
    file = planned(pair)
    if side == "local content":
        pair.write("replaced", "again new")
    elif side == "local gone":
        (pair.source / "replaced").unlink()
    elif side == "local time":
        pair.write("replaced", "new content")
    elif side == "remote content":
        pair.server.remove(pair.record("replaced"))
        pair.plant("replaced", b"somebody else's")
    else:
        pair.server.remove(pair.record("replaced"))
    assert set(refused(pair, file)) == {"replaced"}


def test_a_deletion_whose_file_came_back(pair: Pair) -> None:
    everything(pair)
    file = planned(pair)
    pair.write("gone", "back")
    assert set(refused(pair, file)) == {"gone"}


def test_directory_moves_come_first_and_what_is_in_them_after(both: Pair) -> None:
    for number in range(8):
        both.write(f"old/{number}", f"content {number}")
    both.write("other", "x")
    both.mirrored()
    (both.source / "old").rename(both.source / "new")
    both.write("new/0", "edited")
    both.write("new/more", "more")
    (both.source / "new/1").unlink()
    both.write("other", "edited, too")
    file = planned(both)
    with both.server.counting() as changes:
        run = applied(both, file)
    assert run.counts() == {"moved": 6, "replaced": 2, "created": 1, "deleted": 1}, run
    assert changes["move"] == 1
    both.assert_equal()
    both.assert_idle()


def test_held_deletions_stay_held(pair: Pair) -> None:
    for number in range(30):
        pair.write(f"{number}", f"content {number}")
    pair.mirrored()
    for number in range(25):
        (pair.source / f"{number}").unlink()
    pair.write("new", "new")
    file = planned(pair, code=3)
    run = applied(pair, file, code=3)
    assert run.counts() == {"created": 1, "held": 25, "unchanged": 5}
    assert len(pair.remote()) == 31


def test_the_options_of_the_plan_hold_for_apply(pair: Pair) -> None:
    pair.write("a", "mine")
    pair.write("b.tmp", "not this")
    pair.plant("theirs")
    file = planned(pair, "--delete", "mirror", "--exclude", "*.tmp")
    assert applied(pair, file).counts() == {"created": 1, "deleted": 1}
    assert set(pair.remote()) == {"a"}


def configured(pair: Pair, directory: str = "dir", source: Path | None = None) -> None:
    (pair.program.home / "syncd.toml").write_text(
        f'state_dir = "{pair.state}"\n[remotes.prod]\nkind = "losant"\napplication_id = "{APPLICATION_ID}"\n'
        f'api_url = "{pair.server.url}"\n[jobs.one]\nsource = "{source or pair.source}"\n'
        f'destination = "prod:/{directory}"\n[jobs.two]\nsource = "{pair.source}"\ndestination = "prod:/two"\n'
    )


def test_several_jobs_are_applied_together_or_not_at_all(pair: Pair) -> None:
    other = pair.source.with_name("other")
    other.mkdir()
    (other / "b").write_text("b")
    configured(pair, source=other)
    pair.write("a", "a")
    file = pair.program.home / "plan.json"
    assert pair.program.run("plan", "--out", file).code == 0
    (other / "b").write_text("changed")
    run = pair.program.run("apply", file, "--json")
    assert run.code == 1
    jobs = {one["job"]: one for one in run.json["jobs"]}
    assert [one["path"] for one in jobs["one"]["failed"]] == ["b"]
    assert not jobs["two"]["ok"]
    assert pair.server.records() == []
    assert pair.program.run("plan", "--out", file).code == 0
    assert pair.program.run("apply", file).code == 0
    assert {record.path for record in pair.server.records() if record.type == "file"} == {"/dir/b", "/two/a"}


def test_another_destination_is_refused(pair: Pair) -> None:
    configured(pair)
    pair.write("a", "a")
    file = pair.program.home / "plan.json"
    assert pair.program.run("plan", "one", "--out", file).code == 0
    configured(pair, directory="elsewhere")
    run = pair.program.run("apply", file)
    assert run.code == 1
    assert "directory 'dir' is 'elsewhere'" in run.err
    assert pair.server.records() == []
    (pair.program.home / "syncd.toml").write_text("[jobs]\n")
    run = pair.program.run("apply", file)
    assert run.code == 2
    assert "one" in run.err


def changed(data: dict[str, Any], **values: Any) -> str:
    return json.dumps({**data, **values})


def test_files_that_are_no_plans(pair: Pair) -> None:
    pair.write("a", "a")
    file = planned(pair)
    data = json.loads(file.read_text())
    whole = file.read_text()
    broken = {
        "": "no plan",
        whole[:-20]: "no plan",
        "[]": "no plan",
        changed(data, version=2): "newer syncd",
        changed(data, jobs=[{"job": "x"}]): "no plan",
        changed(data, jobs=[{**data["jobs"][0], "actions": [{"action": "delete", "path": "a"}]}]): "no plan",
        changed(data, jobs=[]): "other jobs",
        changed(data, jobs=data["jobs"] * 2): "other jobs",
    }
    for text, reason in broken.items():
        file.write_text(text)
        run = applied(pair, file, code=2)
        assert reason in run.err, text
    file.unlink()
    assert "No such file" in applied(pair, file, code=2).err
    assert pair.server.counts() - Counter({"list": 1}) == {}


def test_a_plan_that_cannot_be_made_or_written(pair: Pair) -> None:
    pair.write("a", "a")
    assert pair.plan("--out", str(pair.program.home / "missing/plan.json")).code == 2
    file = pair.program.home / "plan.json"
    run = pair.plan("--out", str(file), env={"SYNCD_TOKEN": "wrong"})
    assert run.code != 0
    assert not file.exists()
