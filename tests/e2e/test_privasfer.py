"""The real program on Privasfer: names for paths, a new record for every content, and never a file lost or twice."""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.remotes.privasfer_names import kept_name, path_of_name
from syncd.sandbox import Fault, Record
from tests.e2e.daemon_process import World, stopped, world
from tests.e2e.program import TOKEN, Pair, Program, Server, ended

CONFIGURATION = """
[remotes.vault]
kind = "privasfer"
api_url = "{url}"
[jobs.papers]
source = "{source}"
destination = "vault:/x"
"""


@dataclass
class Names(Pair):
    """A pair whose destination has names only: directories are not compared."""

    directory: str = "x"

    @property
    def destination(self) -> str:
        return f"privasfer:///{self.directory}"

    def local(self) -> dict[str, bytes | None]:
        return {path: content for path, content in super().local().items() if content is not None}

    def records(self) -> list[Record]:
        return [record for record in self.server.records("privasfer") if not record.lingers]

    def remote(self) -> dict[str, bytes | None]:
        tree = self.server.call(lambda: self.server.sandbox.tree("privasfer"))
        prefix = f"{self.directory}/"
        found = {path_of_name(name[1:]): content for name, content in tree.items()}
        return {path.removeprefix(prefix): found[path] for path in sorted(found) if path.startswith(prefix)}

    def assert_clean(self) -> None:
        names = Counter(record.name for record in self.records())
        assert [name for name, count in names.items() if count > 1] == []

    def plant(self, path: str, content: bytes = b"theirs") -> Record:
        return self.server.plant(kept_name(f"{self.directory}/{path}"), content, "privasfer")

    def record(self, path: str) -> Record:
        (record,) = [one for one in self.records() if path_of_name(one.name) == f"{self.directory}/{path}"]
        return record

    def lose_state(self) -> None:
        shutil.rmtree(self.state)


@pytest.fixture
def names(program: Program, server: Server, tmp_path: Path) -> Iterator[Names]:
    source = tmp_path / "source"
    source.mkdir()
    made = Names(program, server, source, tmp_path / "state", kind="privasfer")
    yield made
    assert [path for path in made.state.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def fill(names: Names) -> None:
    for number in range(12):
        names.write(f"d{number % 3}/deep/{number}.txt", f"content {number}" * (1 + number * 200))
    names.write("odd ／‛ \"name' 日本", "odd")
    names.write("empty", "")
    (names.source / "hollow").mkdir()


def change(names: Names) -> None:
    (names.source / "d0").rename(names.source / "moved")
    names.write("moved/deep/0.txt", "edited")
    for number in (1, 4):
        names.write(f"d1/deep/{number}.txt", f"edited {number}")
    shutil.rmtree(names.source / "d2")
    (names.source / "empty").unlink()
    names.write("empty/now/a/directory", "in it")


def test_mirror_change_and_mirror_again(names: Names) -> None:
    fill(names)
    first = names.mirrored()
    assert first.counts() == {"created": 14}
    assert names.remote() == names.local()
    names.assert_idle()
    before = names.record("d1/deep/1.txt").id

    change(names)
    with names.server.counting() as changes:
        run = names.mirrored()
    assert run.counts() == {"created": 5, "replaced": 2, "deleted": 9, "unchanged": 3}
    assert changes == {"create": 7, "delete": 11}
    assert names.remote() == names.local()
    assert names.record("d1/deep/1.txt").id != before
    names.assert_idle()


def test_a_large_file_is_streamed(names: Names) -> None:
    names.write("large", b"0123456789abcdef" * 400_000)
    assert names.mirrored().counts() == {"created": 1}
    assert names.remote() == names.local()


def test_the_plan_says_why_and_does_nothing(names: Names) -> None:
    names.write("a.txt", "same")
    names.mirrored()
    (names.source / "a.txt").rename(names.source / "b.txt")
    with names.server.counting() as changes:
        plan = names.plan()
    assert changes == {}
    (job,) = plan.json["jobs"]
    assert [(one["action"], one["path"], one["reason"]) for one in job["actions"]] == [
        ("create", "b.txt", "same content as a.txt, which is gone; the remote cannot move it"),
        ("delete", "a.txt", "uploaded as b.txt instead"),
    ]


def test_renames_are_no_deletions_that_are_held(names: Names) -> None:
    for number in range(30):
        names.write(f"old/{number}", f"content {number}")
    names.mirrored()
    (names.source / "old").rename(names.source / "new")
    assert names.mirrored("--max-delete", "0").counts() == {"created": 30, "deleted": 30}
    assert names.remote() == names.local()
    shutil.rmtree(names.source / "new")
    assert names.mirrored("--max-delete", "0", code=3).counts() == {"held": 30}


def test_a_replacement_whose_old_record_stays_is_ended_by_the_next_run(names: Names) -> None:
    names.write("a", "old")
    names.mirrored()
    names.write("a", "new content")
    names.server.turn(faults=(Fault("delete", "status", status=403, body="{}"),))
    assert names.once().code != 0
    assert sorted(record.size_bytes or 0 for record in names.records()) == [3, 11]
    names.server.turn()
    names.mirrored()
    assert names.remote() == {"a": b"new content"}
    names.assert_idle()


def test_without_state_a_file_of_the_name_is_replaced_and_said(names: Names) -> None:
    names.write("a", "same")
    names.mirrored()
    before = names.record("a").id
    names.lose_state()
    run = names.mirrored()
    assert run.counts() == {"replaced": 1}
    assert run.job["drifted"] == [{"path": "a", "kind": "changed"}]
    assert names.record("a").id != before
    names.assert_idle()


def test_without_state_one_of_equal_size_can_be_adopted(names: Names) -> None:
    names.write("d/a", "same")
    names.write("b", "longer here")
    names.mirrored()
    names.server.remove(names.record("b"))
    names.plant("b", b"short")
    names.lose_state()
    with names.server.counting() as changes:
        run = names.mirrored("--adopt-by-size")
    assert run.counts() == {"replaced": 1, "unchanged": 1}
    assert changes == {"create": 1, "delete": 1}
    assert "1 file adopted by size alone" in run.err
    assert names.remote() == names.local()
    names.assert_idle()


def test_adopting_by_size_is_for_remotes_without_checksums(pair: Pair) -> None:
    run = pair.once("--adopt-by-size")
    assert run.code == 2
    assert "--adopt-by-size is for remotes without checksums" in run.err
    assert pair.server.counts() == {}


def test_strangers_of_the_same_name_stay_and_are_counted(names: Names) -> None:
    names.write("a", "mine")
    names.mirrored()
    theirs = [names.plant("a", content).id for content in (b"mine", b"another")]
    names.write("a", "mine, edited")
    assert names.mirrored().counts() == {"replaced": 1, "extra": 2}
    assert {record.id for record in names.records()} > set(theirs)
    assert len(names.records()) == 3
    (names.source / "a").unlink()
    assert names.mirrored().counts() == {"deleted": 1, "extra": 2}
    assert {record.id for record in names.records()} == set(theirs)


def test_what_the_remote_cannot_have_fails_alone(names: Names) -> None:
    names.write("fine", "fine")
    names.write("d" * 150 + "/" + "x" * 150, "too long together")
    names.write("line\nbreak", "unsendable")
    run = names.mirrored(code=1)
    failed = names_of(run.failed())
    assert failed == {"d" * 150 + "/" + "x" * 150: "303", "line\nbreak": "line end"}
    assert names.remote() == {"fine": b"fine"}


def names_of(failed: dict[str, str]) -> dict[str, str]:
    return {path: next(word for word in ("303", "line end", error) if word in error) for path, error in failed.items()}


def test_a_lost_answer_costs_a_look(names: Names) -> None:
    names.server.turn(faults=(Fault("create", "reset_after", count=2),))
    fill(names)
    with names.server.counting() as changes:
        names.mirrored()
    assert changes == {"create": 14}
    assert names.remote() == names.local()
    names.assert_idle()


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_any_moment(names: Names, seed: int) -> None:
    """Whatever was there before is there, in one version or the other, after every kill."""
    names.server.turn(latency=0.005, latency_spread=0.02, seed=seed)
    fill(names)
    names.mirrored()
    old = names.local()
    change(names)
    new = names.local()
    chance = random.Random(seed)
    for _ in range(3):
        log = names.server.sandbox.requests
        end = len(log) + chance.randint(1, 14)
        process = names.start()
        names.server.until(lambda: len(log) >= end or process.poll() is not None)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        ended(process, as_json=True)
        there = names.remote()
        assert all(there.get(path) in (old[path], new[path]) for path in old.keys() & new.keys())
        assert all(there[path] == new[path] for path in new.keys() - old.keys() if path in there)
        names.an_hour_later()
    names.mirrored()
    assert names.remote() == names.local()
    names.assert_idle()


def test_a_configured_remote(names: Names) -> None:
    names.write("a", "content")
    text = CONFIGURATION.format(url=names.server.url, source=names.source)
    (names.program.home / "syncd.toml").write_text(text)
    run = names.program.run("--once", "--state-dir", names.state, "papers")
    assert run.code == 0
    assert names.remote() == {"a": b"content"}
    listed = names.program.run("ls", "-R", "vault:/x", "--json", "--state-dir", names.state)
    assert [(entry["path"], entry["size"], entry["checksum"]) for entry in listed.json] == [("a", 7, None)]


def test_a_token_that_is_refused(names: Names) -> None:
    names.write("a", "content")
    run = names.once(env={"SYNCD_TOKEN": "another"})
    assert run.code == 4
    assert "refused the token" in run.err


def of_names(here: World) -> dict[str, bytes | None]:
    tree = here.sandbox.tree("privasfer")
    return {path_of_name(name[1:]).removeprefix("dir/"): content for name, content in tree.items()}


def configure_names(here: World, job: str = "") -> None:
    here.configure(job)
    lines = [line for line in here.configuration.read_text().splitlines() if not line.startswith("application_id")]
    here.configuration.write_text("\n".join(lines).replace('kind = "losant"', 'kind = "privasfer"'))


async def test_renames_are_no_deletions_to_the_daemon_either(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        configure_names(here, 'max_delete = "1"')
        for number in range(30):
            here.write(f"old/{number}", str(number))
        async with here.daemon() as daemon:
            await here.until(lambda: len(of_names(here)) == 30)
            await here.until_status(lambda status: status["last_reconcile"] and status["state"] == "watching")
            (here.source / "old").rename(here.source / "new")
            await here.until(lambda: of_names(here) == {f"new/{n}": str(n).encode() for n in range(30)})
            shutil.rmtree(here.source / "new")
            status = await here.until_status(lambda status: status["held"])
            assert status["held"] == 30
            assert len(of_names(here)) == 30
            assert await stopped(daemon) == 0


async def test_the_daemon_keeps_it_mirrored(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        configure_names(here)

        def has(**files: str) -> bool:
            return of_names(here) == {path.replace("__", "/"): text.encode() for path, text in files.items()}

        here.write("before", "there before it starts")
        async with here.daemon() as daemon:
            await here.until(lambda: has(before="there before it starts"))
            here.write("new/deep/file", "made while it runs")
            here.write("before", "changed")
            await here.until(lambda: has(before="changed", new__deep__file="made while it runs"))
            (here.source / "new").rename(here.source / "moved")
            await here.until(lambda: has(before="changed", moved__deep__file="made while it runs"))
            (here.source / "before").unlink()
            await here.until(lambda: has(moved__deep__file="made while it runs"))
            assert await stopped(daemon) == 0
        code, report = await here.command("--once", "--json")
        assert code == 0
        assert '"unchanged": 1, "created": 0, "replaced": 0, "moved": 0, "deleted": 0' in report


def test_there_is_no_way_back(names: Names) -> None:
    """Said before anything is contacted, also where only one of several jobs is there."""
    names.write("a", "content")
    names.mirrored()
    before = names.server.counts()
    run = names.program.run("pull", *names.words())
    assert (run.code, "no way to download" in run.err, run.json["exit"]) == (2, True, 2)
    run = names.program.run("check", *names.words("--download"))
    assert (run.code, "no way to download" in run.err, run.out) == (2, True, "")
    assert names.server.counts() == before


def test_a_check_believes_the_state_and_says_what_it_cannot_know(names: Names) -> None:
    for path in ("a", "d/changed", "gone"):
        names.write(path, f"content of {path}")
    names.mirrored()
    assert names.program.run("check", *names.words()).json == {"differences": []}
    names.write("d/changed", "CONTENT of d/changed")
    names.server.remove(names.record("gone"))
    names.plant("theirs", b"x")
    found = names.program.run("check", *names.words())
    assert found.code == 1
    assert found.json["differences"] == [
        {"path": "d/changed", "kind": "different"},
        {"path": "gone", "kind": "missing"},
        {"path": "theirs", "kind": "extra"},
    ]
    names.lose_state()
    kinds = {one["path"]: one["kind"] for one in names.program.run("check", *names.words()).json["differences"]}
    assert kinds == {"a": "unknown", "d/changed": "unknown", "gone": "missing", "theirs": "extra"}


def test_a_kept_plan_is_applied(names: Names) -> None:
    fill(names)
    names.mirrored()
    change(names)
    file = names.program.home / "plan.json"
    assert names.plan("--out", str(file)).code == 0
    assert names.program.run("apply", file, *names.where).code == 0
    assert names.remote() == names.local()
    names.assert_idle()
    names.write("later", "x")
    assert names.program.run("apply", file, *names.where).code == 1
