"""The records of one application and kind, indexed by all that a request can ask for.

`library` adds, frees and removes records, `listing` and the request handlers read. It never writes to disk and
knows no knobs.
"""

from __future__ import annotations

from collections.abc import Iterator

from syncd.sandbox.records import Record


class Catalog:
    """Records by id (in the order of their making), by path, by directory and by storage key.

    A record that lingers after a move or delete keeps its place in listings, but its path is free.
    Two records may claim one path where the knobs allow it; the older one answers for it.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Record] = {}
        self.version = 0
        self._by_path: dict[str, Record] = {}
        self._twins: dict[str, list[Record]] = {}
        self._by_directory: dict[str, dict[str, Record]] = {}
        self._by_key: dict[str, Record] = {}

    def add(self, record: Record) -> None:
        """Index a record; it claims its path unless it only lingers."""
        self.version += 1
        self.by_id[record.id] = record
        self._by_directory.setdefault(record.directory, {})[record.id] = record
        if record.lingers:
            return
        self._by_key.setdefault(record.key, record)
        if self._by_path.setdefault(record.path, record) is not record:
            self._twins.setdefault(record.path, []).append(record)

    def release(self, record: Record) -> None:
        """Free the path and the key of a record that now only lingers. Doing it again changes nothing."""
        self.version += 1
        if self._by_key.get(record.key) is record:
            del self._by_key[record.key]
        path = record.path
        twins = self._twins.get(path, [])
        if self._by_path.get(path) is record:
            del self._by_path[path]
            if twins:
                self._by_path[path] = twins.pop(0)
        elif record in twins:
            twins.remove(record)
        if not twins:
            self._twins.pop(path, None)

    def remove(self, record: Record) -> None:
        """Forget a record."""
        self.release(record)
        del self.by_id[record.id]
        siblings = self._by_directory[record.directory]
        del siblings[record.id]
        if not siblings:
            del self._by_directory[record.directory]

    def changed(self) -> None:
        """To be called when a record has changed in a way that listings show."""
        self.version += 1

    def at_path(self, path: str) -> Record | None:
        """The record that answers for a path."""
        return self._by_path.get(path)

    def with_key(self, key: str) -> Record | None:
        """The record whose content is the object with this key."""
        return self._by_key.get(key)

    def has_directory(self, directory: str) -> bool:
        """Whether a directory, written with its slashes, exists."""
        if directory == "/":
            return True
        record = self._by_path.get(directory[:-1])
        return record is not None and record.type == "directory"

    def records(self) -> list[Record]:
        """All records in the order of their making, lingering ones included."""
        return list(self.by_id.values())

    def children(self, directory: str) -> list[Record]:
        """The records directly in a directory in the order of their making, lingering ones included."""
        return list(self._by_directory.get(directory, {}).values())

    def descendants(self, directory: str) -> Iterator[Record]:
        """All records that live below a directory, parents before their children, lingering ones left out."""
        waiting = [directory]
        while waiting:
            for record in self.children(waiting.pop()):
                if record.lingers:
                    continue
                if record.type == "directory":
                    waiting.append(record.path + "/")
                yield record
