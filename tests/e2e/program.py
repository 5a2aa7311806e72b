"""The real program in a process of its own, against a real sandbox over real HTTP: what all end-to-end tests share.

Every run that ends here was also looked at for what no user may ever see: a traceback, an internal error, a token, or
anything but the one JSON document on standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import syncd
from syncd.sandbox import APPLICATION_ID, Kind, Knobs, Record, Sandbox
from tests.e2e.warm import Nursery, Run

T = TypeVar("T")

REPOSITORY = Path(syncd.__file__).resolve().parents[1]
TOKEN = "e2e-51b2c0ffee-secret"
"""Of no word that anything else says, so that it can be looked for everywhere."""
PATIENCE_S = 60.0
NEVER_SEEN = ("Traceback", "internal error", "Exception ignored", "never awaited", "never retrieved", TOKEN)
CHANGING = ("create", "patch", "move", "delete", "upload", "form")


@dataclass(frozen=True)
class Ended:
    """A run that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def job(self) -> dict[str, Any]:
        """The report of a run of one job."""
        (job,) = self.json["jobs"]
        assert isinstance(job, dict)
        return job

    def counts(self) -> dict[str, int]:
        """What the report counts, as far as it is not zero; without what depends on timing."""
        left_out = ("requests", "retries", "seconds", "bytes_uploaded", "bytes_downloaded")
        return {
            key: value
            for key, value in self.job.items()
            if isinstance(value, int) and not isinstance(value, bool) and value and key not in left_out
        }

    def failed(self) -> dict[str, str]:
        return {problem["path"]: problem["error"] for problem in self.job["failed"]}


def environment(home: Path, **more: str | None) -> dict[str, str]:
    """What the program is started with: nothing of the surroundings that would configure it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SYNCD_", "XDG_", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    given = {
        "HOME": str(home),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONWARNINGS": "default::ResourceWarning",
        "SYNCD_TOKEN": TOKEN,
        **more,
    }
    return {**{name: value for name, value in kept.items() if name not in more}, **_only_set(given)}


def _only_set(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if value is not None}


class Program:
    """Starts syncd with a home of its own as its working directory."""

    def __init__(self, home: Path, nursery: Nursery) -> None:
        self.home = home
        self._nursery = nursery
        home.mkdir(exist_ok=True)

    def start(
        self,
        *words: str | Path,
        env: Mapping[str, str | None] | None = None,
        cold: bool = False,
        prefix: tuple[str, ...] = (),
        hasty: bool = False,
        **how: Any,
    ) -> Run | subprocess.Popen[bytes]:
        """The process, with its output in pipes. `hasty`: some of its waits are short. `cold`, a `prefix` (a program to
        run it by) or more about `how`: by `python -m syncd`, loading all it needs, and never hasty."""
        variables = environment(self.home, **(env or {}))
        if not (cold or prefix or how):
            return self._nursery.start(words, cwd=self.home, environment=variables, hasty=hasty)
        assert not hasty
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        return subprocess.Popen([*prefix, sys.executable, "-m", "syncd", *words], cwd=self.home, env=variables, **how)

    def run(self, *words: str | Path, **how: Any) -> Ended:
        return ended(self.start(*words, **how), as_json="--json" in words)


def ended(process: Run | subprocess.Popen[bytes], *, as_json: bool) -> Ended:
    """Wait for its end and look at what it said."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    code = process.returncode
    assert code is not None
    result = Ended(code, (out or b"").decode(), (err or b"").decode())
    for word in NEVER_SEEN:
        assert word not in result.out + result.err, f"{word!r} in:\n{result.out}\n{result.err}"
    if as_json and result.out:
        json.loads(result.out)
    return result


class Server:
    """A sandbox in a thread of its own, reached from the test's thread."""

    def __init__(self, data: Path, **knobs: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._knobs = knobs
        self.sandbox = Sandbox(data, token=TOKEN, knobs=Knobs(**knobs))

    def __enter__(self) -> Server:
        self._thread.start()
        self._wait(self.sandbox.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self.sandbox.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return self.sandbox.url

    def turn(self, **knobs: Any) -> None:
        """Put other knobs in force beside those that the server was made with."""
        self.call(lambda: setattr(self.sandbox, "knobs", Knobs(**{**self._knobs, **knobs})))

    def call(self, act: Callable[[], T]) -> T:
        """What `act` returns in the server's thread."""

        async def run() -> T:
            return act()

        return self._wait(run())

    def counts(self) -> Counter[str]:
        return self.call(lambda: Counter(self.sandbox.requests.counts))

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """While entered: counts the changing requests, by operation, into what it gives."""
        before, seen = self.counts(), Counter[str]()
        yield seen
        seen.update({name: n for name, n in (self.counts() - before).items() if name in CHANGING})

    def records(self, kind: Kind = "files") -> list[Record]:
        return self.call(lambda: self.sandbox.records(kind))

    def plant(self, path: str, content: bytes, kind: Kind = "files") -> Record:
        """A completed file that somebody else put there."""
        return self.call(lambda: self.sandbox.plant(path, content, kind=kind))

    def remove(self, record: Record) -> None:
        """Take a record away as somebody else would."""
        self.call(lambda: self.sandbox.remove(record))

    def until(self, condition: Callable[[], object]) -> None:
        """Return as soon as a condition holds; it is looked at in the server's thread."""
        until(lambda: self.call(condition))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)


def until(condition: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
    """Return as soon as a condition holds."""
    end_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_s, "the condition did not come to hold"
        time.sleep(0.002)


@dataclass
class Pair:
    """A source directory and a destination in a sandbox, with a state directory: one job as a user has it."""

    program: Program
    server: Server
    source: Path
    state: Path
    kind: Kind = "files"
    directory: str = "dir"
    api_url: str = ""
    """Another way to the server than straight."""

    @property
    def destination(self) -> str:
        scheme = "losant" if self.kind == "files" else "losant-private"
        return f"{scheme}://{APPLICATION_ID}/{self.directory}"

    @property
    def where(self) -> list[str | Path]:
        return ["--api-url", self.api_url or self.server.url, "--state-dir", self.state]

    def words(self, *more: str) -> list[str | Path]:
        return [self.source, self.destination, *self.where, "--json", *more]

    def once(self, *more: str, **how: Any) -> Ended:
        return self.program.run("--once", *self.words(*more), **how)

    def plan(self, *more: str, **how: Any) -> Ended:
        return self.program.run("plan", *self.words(*more), **how)

    def start(self, *more: str, **how: Any) -> Run | subprocess.Popen[bytes]:
        return self.program.start("--once", *self.words(*more), **how)

    def mirrored(self, *more: str, code: int = 0, **how: Any) -> Ended:
        """A run whose exit code is known before."""
        run = self.once(*more, **how)
        assert run.code == code, run
        return run

    def an_hour_later(self) -> None:
        """As if the last run had been an hour ago: what it left uncertain has shown by now if it ever will."""
        for file in self.state.rglob("*.db*"):
            then_s = file.stat().st_mtime - 3600
            os.utime(file, (then_s, then_s))

    def write(self, path: str, content: str | bytes = "content") -> Path:
        """A file of the source, with its directories."""
        file = self.source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def local(self) -> dict[str, bytes | None]:
        """The source: bytes by path for files, None for directories; nothing else."""
        found: dict[str, bytes | None] = {}
        for path in sorted(self.source.rglob("*")):
            if not path.is_symlink() and (path.is_dir() or path.is_file()):
                found[str(path.relative_to(self.source))] = path.read_bytes() if path.is_file() else None
        return found

    def remote(self) -> dict[str, bytes | None]:
        """The destination's completed records in the same form."""
        prefix = f"/{self.directory}/" if self.directory else "/"
        tree = self.server.call(lambda: self.server.sandbox.tree(self.kind))
        return {path.removeprefix(prefix): content for path, content in sorted(tree.items()) if path.startswith(prefix)}

    def assert_equal(self) -> None:
        """Both sides hold the same, there is one record a path, and nothing is left half done."""
        assert self.remote() == self.local()
        self.assert_clean()

    def assert_clean(self) -> None:
        """One record a path, none pending, and no directory still being moved or deleted."""
        records = self.server.records(self.kind)
        paths = Counter(record.path for record in records if not record.lingers)
        assert [path for path, count in paths.items() if count > 1] == []
        left = [record for record in records if record.status != "completed"]
        assert [record.path for record in left if not record.lingers or record.type == "directory"] == []

    def assert_idle(self) -> None:
        """A further run changes nothing and finds nothing to do."""
        with self.server.counting() as changes:
            run = self.mirrored()
        assert changes == {}
        assert run.counts().keys() <= {"unchanged"}
        self.assert_clean()

    def plant(self, path: str, content: bytes = b"theirs") -> Record:
        """A file at the destination that somebody else put there."""
        return self.server.plant(f"/{self.directory}/{path}", content, self.kind)

    def exchange(self, path: str, content: bytes) -> Record:
        """Somebody else puts a file of their own in the place of one."""
        self.server.remove(self.record(path))
        return self.plant(path, content)

    def record(self, path: str) -> Record:
        whole = f"/{self.directory}/{path}"
        (record,) = [record for record in self.server.records(self.kind) if record.path == whole and not record.lingers]
        return record


@dataclass
class Configured(Pair):
    """The same as a job `main` of a configuration file, of which `settings` are further lines."""

    settings: str = ""

    def words(self, *more: str) -> list[str | Path]:
        kind = "losant" if self.kind == "files" else "losant-private"
        file = self.program.home / "syncd.toml"
        file.write_text(
            f'state_dir = "{self.state}"\n[remotes.box]\nkind = "{kind}"\napplication_id = "{APPLICATION_ID}"\n'
            f'api_url = "{self.api_url or self.server.url}"\n[jobs.main]\nsource = "{self.source}"\n'
            f'destination = "box:/{self.directory}"\n{self.settings}\n'
        )
        return ["main", "--config", file, "--json", *more]
