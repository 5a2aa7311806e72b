"""What a busy user does to a source directory, step by step, from one seed.

Used by `storm`. Everything is ordinary file operations; only what the seed says is done, in the seed's order.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

NAMES = ("a", "b", "c", "d.txt", "e.bin", "f-1", "g h", "ü.txt")
MOST_FILES = 400


class Edits:
    def __init__(self, root: Path, chance: random.Random) -> None:
        self._root = root
        self._chance = chance
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

    def _write(self, path: Path, data: bytes) -> None:
        if not path.is_dir():
            path.write_bytes(data)

    def _content(self) -> bytes:
        self._number += 1
        size = self._chance.choice((0, 10, 100, 4096, 20_000))
        return (b"%d " % self._number) + self._chance.randbytes(size) if size else b""

    def _files(self) -> list[Path]:
        return sorted(Path(base, name) for base, _, names in os.walk(self._root) for name in names)

    def _directories(self) -> list[Path]:
        return sorted(Path(base, name) for base, names, _ in os.walk(self._root) for name in names)

    def _place(self) -> Path:
        shallow = [one for one in self._directories() if len(one.relative_to(self._root).parts) < 5]
        return self._one([self._root, *shallow]) or self._root

    def _name(self) -> str:
        return self._chance.choice(NAMES)

    def _one(self, paths: list[Path]) -> Path | None:
        return self._chance.choice(paths) if paths else None
