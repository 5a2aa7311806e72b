"""Random edits, of the user on the source and of somebody else on the destination.

Few names and few contents, so that everything collides: types change, names are used again, contents are copied.
Used by `simulate` between runs and, through `Chaos`, within them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from syncd.core.model import Kind, Status
from syncd.core.paths import key_of
from tests.sim.cloud import Cloud, is_trashed
from tests.sim.tree import MemoryTree

NAMES = ("a", "b", "c.txt", "a-b", "d", "e")
CONTENTS = tuple(text.encode() for text in ("", "1", "22", "33", "444", "x" * 50, "y" * 50, "x" * 49 + "z"))
OTHERS = (b"1", b"22", b"foreign", b"other")

Act = Callable[[], str]


class LocalEdits:
    """`specials`: whether links, unreadable and badly named entries come into being too."""

    def __init__(self, chance: random.Random, tree: MemoryTree, *, names: tuple[str, ...], specials: bool) -> None:
        self._random = chance
        self._tree = tree
        self._names = names
        self._acts: list[Act] = [self._write] * 4 + [self._rewrite] * 4 + [self._remove] * 2
        self._acts += [self._rename] * 3 + [self._rename_directory] * 4 + [self._rename_back]
        self._acts += [self._copy, self._swap, self._touch, self._mkdir, self._remove_directory, self._same_again]
        self._acts += [self._special] * (2 * specials)

    def __call__(self) -> str:
        return self._random.choice(self._acts)()

    def _path(self) -> str:
        depth = self._random.choice((1, 1, 2, 2, 3))
        return "/".join(self._random.choice(self._names) for _ in range(depth))

    def _file(self) -> str | None:
        files = sorted(self._tree.files())
        return self._random.choice(files) if files else None

    def _directory(self) -> str | None:
        directories = sorted(self._tree.directories())
        return self._random.choice(directories) if directories else None

    def _write(self) -> str:
        path, data = self._path(), self._random.choice(CONTENTS)
        self._tree.write(path, data)
        return f"write {path} {data!r}"

    def _rewrite(self) -> str:
        path, data = self._file() or self._path(), self._random.choice(CONTENTS)
        self._tree.write(path, data)
        return f"rewrite {path} {data!r}"

    def _same_again(self) -> str:
        """Removed and made anew with the same content, often under the same inode."""
        path = self._file()
        if path is None:
            return self._write()
        data = self._tree.nodes[path].data
        self._tree.remove(path)
        self._tree.write(path, data)
        return f"again {path}"

    def _remove(self) -> str:
        path = self._file() or self._path()
        self._tree.remove(path)
        return f"remove {path}"

    def _remove_directory(self) -> str:
        path = self._directory() or self._path()
        self._tree.remove(path)
        return f"remove all {path}"

    def _rename(self) -> str:
        return self._renamed(self._file(), self._path())

    def _rename_directory(self) -> str:
        return self._renamed(self._directory(), self._path())

    def _rename_back(self) -> str:
        """One level up: what is in a directory takes its place."""
        path = self._file()
        return self._renamed(path, path.rpartition("/")[0] if path is not None else "")

    def _renamed(self, old: str | None, new: str) -> str:
        if old is None or not new:
            return self._write()
        self._tree.rename(old, new)
        return f"rename {old} {new}"

    def _copy(self) -> str:
        source, path = self._file(), self._path()
        data = self._tree.nodes[source].data if source is not None else b""
        self._tree.write(path, data)
        return f"copy {source} {path}"

    def _swap(self) -> str:
        one, other = self._file(), self._file()
        if one is None or other is None or one == other:
            return self._write()
        self._tree.swap(one, other)
        return f"swap {one} {other}"

    def _touch(self) -> str:
        path = self._file()
        if path is not None:
            self._tree.touch(path)
        return f"touch {path}"

    def _mkdir(self) -> str:
        path = self._path()
        self._tree.mkdir(path)
        return f"mkdir {path}"

    def _special(self) -> str:
        path = self._random.choice([self._path(), self._directory() or self._path()])
        kind = self._random.choice((Kind.SYMLINK, Kind.SPECIAL, Kind.UNREADABLE))
        self._tree.put_special(path, kind)
        return f"{kind.name.lower()} {path}"


class OtherEdits:
    """What somebody else does on the destination. `twins`: also second records of paths."""

    def __init__(self, chance: random.Random, cloud: Cloud, *, names: tuple[str, ...], twins: bool) -> None:
        self._random = chance
        self._cloud = cloud
        self._names = names
        self._acts: list[Act] = [self._add] * 3 + [self._change] * 3 + [self._remove] * 2
        self._acts += [self._rename, self._begin] + [self._twin] * twins

    def __call__(self) -> str:
        return self._random.choice(self._acts)()

    def _existing(self) -> str | None:
        """The path of a completed file or a directory."""
        records = [one for one in self._cloud.records.values() if not is_trashed(one.key)]
        there = sorted({one.path for one in records if one.status == Status.COMPLETED})
        return self._random.choice(there) if there else None

    def _new_path(self) -> str | None:
        path = "/".join(self._random.choice(self._names) for _ in range(self._random.choice((1, 2, 2, 3))))
        parts = path.split("/")
        above = ["/".join(parts[: depth + 1]) for depth in range(len(parts) - 1)]
        taken = any(record.kind == Kind.FILE for one in above for record in self._cloud.at(key_of(one)))
        return None if taken or self._cloud.at(key_of(path)) else path

    def _add(self) -> str:
        path = self._new_path()
        if path is not None:
            self._cloud.put(path, self._random.choice(OTHERS))
        return f"they add {path}"

    def _begin(self) -> str:
        """An upload of theirs that they have not ended yet."""
        path = self._new_path()
        if path is not None:
            self._cloud.post(key_of(path), Kind.FILE, ours=False)
        return f"they begin {path}"

    def _change(self) -> str:
        path = self._existing()
        if path is not None and self._cloud.directory_at(key_of(path)) is None:
            self._cloud.put(path, self._random.choice(OTHERS))
        return f"they change {path}"

    def _remove(self) -> str:
        path = self._existing()
        if path is not None:
            self._cloud.remove(path)
        return f"they remove {path}"

    def _rename(self) -> str:
        path, target = self._existing(), self._new_path()
        if path is None or target is None or target.startswith(f"{path}/"):
            return self._add()
        self._cloud.move(self._cloud.at(key_of(path))[0].id, key_of(target), ours=False)
        return f"they rename {path} {target}"

    def _twin(self) -> str:
        path = self._existing()
        if path is None or self._cloud.directory_at(key_of(path)) is not None:
            return self._add()
        data = self._random.choice(OTHERS)
        self._cloud.twin(path, data, owned=False)
        return f"they double {path}"
