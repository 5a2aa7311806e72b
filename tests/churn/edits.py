"""What a busy user does to a source directory, step by step, from one seed.

Used by `storm`. Everything is ordinary file operations; only what the seed says is done, in the seed's order.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

NAMES = ("a", "b", "c", "d.txt", "e.bin", "f-1", "g h", "ü.txt")
MOST_FILES = 400


class Edits:
    """`archive` is one of many files; `history` is a repository with these `commits`, checked out below `root`."""

    def __init__(self, root: Path, chance: random.Random, *, archive: Path, history: Path, commits: list[str]) -> None:
        self._root = root
        self._chance = chance
        self._archive = archive
        self._history = history
        self._commits = commits
        self._number = 0
        self._acts: list[tuple[int, Callable[[], None]]] = [
            (20, self._create),
            (15, self._edit),
            (10, self._edit_by_rename),
            (6, self._append),
            (8, self._move_file),
            (5, self._move_directory),
            (6, self._delete_file),
            (2, self._delete_directory),
            (4, self._make_directories),
            (2, self._burst_on_one),
            (1, self._copy_directory),
            (1, self._swap_kind),
            (1, self._check_out),
            (1, self._unpack),
        ]

    def step(self) -> None:
        """One act; what is not there to be done it to is not done."""
        weights = [weight for weight, _ in self._acts]
        _, act = self._chance.choices(self._acts, weights)[0]
        act()

    def _create(self) -> None:
        if len(self._files()) < MOST_FILES:
            self._write(self._place() / self._name(), self._content())

    def _edit(self) -> None:
        if (path := self._one(self._files())) is not None:
            self._write(path, self._content())

    def _edit_by_rename(self) -> None:
        if (path := self._one(self._files())) is not None:
            new = path.with_name(path.name + ".new")
            self._write(new, self._content())
            new.rename(path)

    def _append(self) -> None:
        if (path := self._one(self._files())) is not None:
            with path.open("ab") as file:
                file.write(self._content())

    def _move_file(self) -> None:
        path, place = self._one(self._files()), self._place()
        if path is not None:
            target = place / self._name()
            if not target.is_dir():
                path.rename(target)

    def _move_directory(self) -> None:
        path, place = self._one(self._directories()), self._place()
        target = place / self._name()
        if path is not None and not target.exists() and path not in (place, *place.parents):
            path.rename(target)

    def _delete_file(self) -> None:
        if (path := self._one(self._files())) is not None:
            path.unlink()

    def _delete_directory(self) -> None:
        if (path := self._one(self._directories())) is not None:
            shutil.rmtree(path)

    def _make_directories(self) -> None:
        path = self._place() / self._name() / self._name()
        if not any(one.is_file() for one in (path, path.parent)):
            path.mkdir(parents=True, exist_ok=True)

    def _burst_on_one(self) -> None:
        if (path := self._one(self._files())) is not None:
            for _ in range(30):
                self._write(path, self._content())

    def _copy_directory(self) -> None:
        path, target = self._one(self._directories()), self._place() / f"copy {self._number}"
        if path is not None and len(self._files()) < MOST_FILES and path not in (target, *target.parents):
            shutil.copytree(path, target)

    def _swap_kind(self) -> None:
        if (path := self._one(self._files())) is not None:
            path.unlink()
            path.mkdir()
            self._write(path / "inside", self._content())

    def _check_out(self) -> None:
        """A working tree goes from one commit to a distant one; what others did to it in between is thrown away."""
        tree = self._root / "checkout"
        if tree.exists() and not tree.is_dir():
            return
        tree.mkdir(exist_ok=True)
        git(self._history, f"--work-tree={tree}", "checkout", "--quiet", "--force", self._chance.choice(self._commits))

    def _unpack(self) -> None:
        """The archive's files at once, over those of the last time; now and then all of them go first."""
        target = self._root / "unpacked"
        if target.is_dir() and self._chance.random() < 0.5:
            shutil.rmtree(target)
        if not target.exists() or target.is_dir():
            target.mkdir(exist_ok=True)
            subprocess.run(["tar", "-xf", str(self._archive), "-C", str(target)], check=False, capture_output=True)

    def _write(self, path: Path, data: bytes) -> None:
        if not path.is_dir():
            path.write_bytes(data)

    def _content(self) -> bytes:
        self._number += 1
        size = self._chance.choice((0, 10, 100, 4096, 20_000))
        return (b"%d " % self._number) + self._chance.randbytes(size) if size else b""

    def _files(self) -> list[Path]:
        return sorted(Path(base, name) for base, _, names in self._walk() for name in names)

    def _directories(self) -> list[Path]:
        return sorted(Path(base, name) for base, names, _ in self._walk() for name in names)

    def _walk(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """Without what checking out and unpacking bring: that is for them to change."""
        for base, directories, files in os.walk(self._root):
            if base == str(self._root):
                directories[:] = [name for name in directories if name not in ("checkout", "unpacked")]
            yield base, directories, files

    def _place(self) -> Path:
        shallow = [one for one in self._directories() if len(one.relative_to(self._root).parts) < 5]
        return self._one([self._root, *shallow]) or self._root

    def _name(self) -> str:
        return self._chance.choice(NAMES)

    def _one(self, paths: list[Path]) -> Path | None:
        return self._chance.choice(paths) if paths else None


def git(repository: Path, *words: str) -> str:
    """What it printed. No configuration of the machine takes part."""
    who = ["-c", "user.name=churn", "-c", "user.email=churn@example.com", "-c", "gc.auto=0"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(repository), "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", f"--git-dir={repository}", *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def make_archive(path: Path, *, files: int) -> None:
    """A tar archive of so many small files in directories of a hundred."""
    with tarfile.open(path, "w") as archive:
        for number in range(files):
            data = b"%d of the archive" % number
            entry = tarfile.TarInfo(f"{number // 100:03}/{number:05}.txt")
            entry.size, entry.mtime = len(data), 1_700_000_000
            archive.addfile(entry, io.BytesIO(data))


def make_history(repository: Path, chance: random.Random, *, commits: int) -> list[str]:
    """A repository whose every commit adds, edits, moves and removes files in directories; the commits' names."""
    tree = repository.with_suffix(".tree")
    tree.mkdir(parents=True)
    git(repository, "init", "--quiet")
    names = []
    for number in range(commits):
        for _ in range(20):
            path = tree / f"module-{chance.randrange(6)}" / f"part-{chance.randrange(4)}" / f"{chance.randrange(12)}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"# %d\n" % number + chance.randbytes(chance.choice((10, 2000, 30_000))))
        module = tree / f"module-{chance.randrange(6)}"
        if module.is_dir():
            shutil.rmtree(module) if chance.random() < 0.5 else module.rename(tree / f"renamed-{number}")
        git(repository, f"--work-tree={tree}", "add", "--all")
        git(repository, f"--work-tree={tree}", "commit", "--quiet", "--message", f"step {number}")
        names.append(git(repository, "rev-parse", "HEAD").strip())
    return names
