"""A remote in memory: records with ids, directories made on the way, and what other people do there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import key_of
from tests.property.disk import parents


def checksum_of(content: str) -> str:
    return f"md5 of {content}"


@dataclass(slots=True)
class Record:
    """`ours`: its content, or the directory, was put there by the job itself."""

    id: str
    path: str
    kind: Kind
    content: str
    status: Status
    ours: bool

    @property
    def checksum(self) -> str | None:
        is_complete = self.kind == Kind.FILE and self.status == Status.COMPLETED
        return checksum_of(self.content) if is_complete else None

    def entry(self) -> RemoteEntry:
        return RemoteEntry(key_of(self.path), self.kind, len(self.content), self.checksum, self.id, self.status, "then")


@dataclass(slots=True)
class Cloud:
    records: dict[str, Record] = field(default_factory=dict)
    count: int = 0

    def listing(self) -> Iterator[RemoteEntry]:
        entries = [record.entry() for record in self.records.values()]
        return iter(sorted(entries, key=lambda entry: (entry.key, entry.id)))

    def at(self, path: str) -> list[Record]:
        return [one for one in self.records.values() if one.path == path and one.status != Status.LEAVING]

    def below(self, path: str) -> list[Record]:
        return [one for one in self.records.values() if one.path.startswith(path + "/")]

    def put(
        self, path: str, kind: Kind, content: str = "", *, ours: bool, status: Status = Status.COMPLETED
    ) -> tuple[Record, list[str]]:
        """The new record and the directories that were made on the way to it."""
        made = []
        for above in parents(path):
            there = self.at(above)
            if not there:
                made.append(above)
                self._add(Record(self._fresh_id(), above, Kind.DIRECTORY, "", Status.COMPLETED, ours))
            elif not any(one.kind == Kind.DIRECTORY for one in there):
                raise AssertionError(f"{above} is a file, so {path} cannot be made")
        return self._add(Record(self._fresh_id(), path, kind, content, status, ours)), made

    def move(self, record: Record, path: str) -> list[str]:
        """As the remote does it: everything gets a new id. Returns the directories made on the way."""
        inside = self.below(record.path) if record.kind == Kind.DIRECTORY else []
        for one in (record, *inside):
            del self.records[one.id]
        moved, made = self.put(path, record.kind, record.content, ours=record.ours)
        for one in inside:
            self._add(replace(one, id=self._fresh_id(), path=moved.path + one.path[len(record.path) :]))
        return made

    def delete(self, record: Record) -> None:
        inside = self.below(record.path) if record.kind == Kind.DIRECTORY else []
        for one in (record, *inside):
            self.records.pop(one.id, None)

    def _add(self, record: Record) -> Record:
        self.records[record.id] = record
        return record

    def _fresh_id(self) -> str:
        self.count += 1
        return f"id{self.count * 7919 % 10007:05d}"
