"""What happens to records: create, patch, upload, complete, move and delete, and the jobs that follow.

The request handlers call it with checked arguments; every method is synchronous, so a change is whole before anything
else is answered. It keeps catalogs and store in step and knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from syncd.sandbox.catalog import Catalog
from syncd.sandbox.contents import Contents
from syncd.sandbox.errors import conflict, malformed
from syncd.sandbox.jobs import Jobs
from syncd.sandbox.knobs import Conditions
from syncd.sandbox.listing import Selections
from syncd.sandbox.records import Content, Encoder, Kind, Record, Type, split_path, timestamp
from syncd.sandbox.store import Store


class Library:
    """All records of all applications."""

    def __init__(self, store: Store, contents: Contents, jobs: Jobs, conditions: Conditions, encoder: Encoder) -> None:
        self.encoder = encoder
        self.contents = contents
        self._store = store
        self._jobs = jobs
        self._conditions = conditions
        self._catalogs: dict[tuple[str, Kind], tuple[Catalog, Selections]] = {}
        self._last_sequence = 0
        self._last_created = ""

    def catalog(self, application: str, kind: Kind) -> Catalog:
        """The records of one application and kind."""
        return self._shelf(application, kind)[0]

    def selections(self, application: str, kind: Kind) -> Selections:
        """The listings of one application and kind."""
        return self._shelf(application, kind)[1]

    def with_key(self, kind: Kind, key: str) -> Record | None:
        """The record whose content is the object with this key, which begins with the application."""
        shelf = self._catalogs.get((key.partition("/")[0], kind))
        return shelf[0].with_key(key) if shelf else None

    def all_records(self, kind: Kind) -> list[Record]:
        """The records of one kind in all applications, in the order of their making."""
        shelves = [catalog for (_, shelved), (catalog, _) in self._catalogs.items() if shelved == kind]
        found = [record for catalog in shelves for record in catalog.records()]
        return sorted(found, key=lambda record: record.sequence)

    def resume(self, records: list[Record]) -> None:
        """Take over the records of an earlier process and go on with the jobs it left."""
        for record in records:
            self.catalog(record.application, record.kind).add(record)
            self._last_sequence = max(self._last_sequence, record.sequence)
            self._last_created = max(self._last_created, record.created)
        for record in records:
            if record.kind == "privasfer":
                continue
            if record.lingers:
                self._start_job(record)
            elif record.awaiting_completion:
                self._complete_later(record)

    def make_directories(self, application: str, kind: Kind, directory: str) -> None:
        """Make a directory, written with its slashes, and its parents as far as they are missing.

        Raises:
            Refusal: 400 where a file is in the way.
        """
        catalog = self.catalog(application, kind)
        if catalog.has_directory(directory):
            return
        parent, name = split_path(directory[:-1])
        self.make_directories(application, kind, parent)
        if catalog.at_path(directory[:-1]) is not None:
            raise malformed(f"{directory[:-1]} is a file")
        details = {"type": "directory", "name": name, "directory": parent, "status": "completed"}
        self._make(catalog, application, kind, key=application + directory, **details)

    def create(self, application: str, kind: Kind, kept_as: Type, path: str, details: dict[str, Any]) -> Record:
        """Make a record for a path, or answer with the existing one where the knobs say so.

        Raises:
            Refusal: 400 or 409, the path is taken.
        """
        catalog = self.catalog(application, kind)
        existing = catalog.at_path(path)
        if existing is not None and not self._may_duplicate(existing, kept_as):
            return existing
        directory, name = split_path(path)
        self.make_directories(application, kind, directory)
        status = "completed" if kept_as == "directory" else "pending"
        key = self._free_key(catalog, application + path)
        return self._make(
            catalog,
            application,
            kind,
            type=kept_as,
            name=name,
            directory=directory,
            status=status,
            key=key,
            **details,
        )

    def plant(self, application: str, kind: Kind, *, name: str, directory: str) -> Record:
        """Make the record of a file whatever its name is and whatever is there already."""
        catalog = self.catalog(application, kind)
        details = {"type": "file", "name": name, "directory": directory, "status": "pending"}
        return self._make(
            catalog,
            application,
            kind,
            key=self._free_key(catalog, f"{application}{directory}{name}"),
            **details,
        )

    def patch(self, record: Record, details: dict[str, Any]) -> None:
        """Announce a new content for a record."""
        knobs = self._conditions.knobs
        record.status = knobs.patched_status
        if knobs.patched_size == "old":
            details.pop("size_bytes", None)
        if knobs.patched_etag == "none":
            record.etag = None
        for attribute, value in details.items():
            setattr(record, attribute, value)
        self._changed(record)

    def uploaded(self, record: Record, content: Content) -> None:
        """Take an uploaded content as that of a record, which completes some time later."""
        previous, record.content = record.content, content
        if previous is not None:
            self.contents.drop(previous)
        record.awaiting_completion = True
        self._complete_later(record)
        self._store.save(record)

    def keep(self, kind: Kind, name: str, content: Content, *, content_type: str | None) -> Record:
        """A complete file with its content, for a kind that has no directories and whose names may repeat."""
        catalog = self.catalog("", kind)
        return self._make(
            catalog,
            "",
            kind,
            type="file",
            status="completed",
            name=name,
            directory="/",
            key=self._free_key(catalog, f"/{name}"),
            size_bytes=content.size_bytes,
            etag=content.md5,
            content_type=content_type,
            content=content,
        )

    def trash(self, record: Record) -> None:
        """Drop the content of a file; its record stays until it is removed."""
        self.catalog(record.application, record.kind).release(record)
        content, record.content = record.content, None
        if content is not None:
            self.contents.drop(content)
        record.status = "deleting"
        self._changed(record)

    def move(self, record: Record, path: str) -> Record:
        """Move a record; returns the new one. A directory's children follow in a job.

        Raises:
            Refusal: 400 or 409, it cannot be moved there.
        """
        catalog = self.catalog(record.application, record.kind)
        if path == record.path or path.startswith(record.path + "/"):
            raise malformed("a file or directory cannot be moved onto or into itself")
        if record.status != "completed":
            raise malformed(f"the file is {record.status}")
        occupant = catalog.at_path(path)
        if occupant is not None:
            self._make_way(occupant, record)
        self.make_directories(record.application, record.kind, split_path(path)[0])
        new = self._move_record(catalog, record, path)
        record.status = "moving"
        record.move_into = new.id
        self._changed(record)
        self._start_job(record)
        return new

    def delete(self, record: Record) -> None:
        """Delete a record and everything below it; the rest of them lingers."""
        catalog = self.catalog(record.application, record.kind)
        doomed = [record]
        if record.type == "directory":
            doomed.extend(catalog.descendants(record.path + "/"))
        for each in doomed:
            catalog.release(each)
            each.status = "deleting"
            self._changed(each)
            self._start_job(each)

    def alter(self, record: Record, values: Mapping[str, object]) -> None:
        """Tell other things of a record than are true, by the names of its attributes."""
        for name, value in values.items():
            setattr(record, name, value)
        self._changed(record)

    def remove(self, record: Record) -> None:
        """Take a record and its content away at once."""
        catalog = self.catalog(record.application, record.kind)
        if record.id not in catalog.by_id:
            return
        catalog.remove(record)
        self.encoder.forget(record)
        self._store.forget(record)
        if record.content is not None:
            self.contents.drop(record.content)

    def _shelf(self, application: str, kind: Kind) -> tuple[Catalog, Selections]:
        shelf = self._catalogs.get((application, kind))
        if shelf is None:
            catalog = Catalog()
            shelf = self._catalogs[application, kind] = catalog, Selections(catalog)
        return shelf

    def _may_duplicate(self, existing: Record, kept_as: Type) -> bool:
        rule = self._conditions.knobs.duplicate_create
        if rule == "bad_request":
            raise malformed(f"{existing.path} exists already")
        if rule == "conflict" or existing.type != kept_as:
            raise conflict(f"{existing.path} exists already")
        return rule == "duplicate" and kept_as == "file"

    def _make_way(self, occupant: Record, record: Record) -> None:
        rule = self._conditions.knobs.move_onto
        if rule == "replace":
            self.delete(occupant)
        elif rule == "conflict" or "directory" in (occupant.type, record.type):
            raise conflict(f"{occupant.path} exists already")

    def _make(self, catalog: Catalog, application: str, kind: Kind, **details: Any) -> Record:
        now = self._conditions.now()
        self._last_sequence += 1
        self._last_created = max(self._last_created, timestamp(now))
        record = Record(
            sequence=self._last_sequence,
            id=self._new_uuid() if kind == "privasfer" else self._new_id(now),
            application=application,
            kind=kind,
            created=self._last_created,
            updated=self._last_created,
            listed_from=now + self._conditions.knobs.listing_lag,
            **details,
        )
        catalog.add(record)
        self._store.save(record)
        return record

    def _new_id(self, now: float) -> str:
        middle = self._conditions.chance.getrandbits(40)
        return f"{int(now) & 0xFFFFFFFF:08x}{middle:010x}{self._last_sequence & 0xFFFFFF:06x}"

    def _new_uuid(self) -> str:
        """Chance may begin anew in every process, the sequence does not."""
        bits = self._conditions.chance.getrandbits(104) << 24 | self._last_sequence & 0xFFFFFF
        return str(UUID(int=bits, version=4))

    def _free_key(self, catalog: Catalog, key: str) -> str:
        return key if catalog.with_key(key) is None else f"{key}.{self._last_sequence + 1}"

    def _changed(self, record: Record) -> None:
        record.updated = timestamp(self._conditions.now())
        self.encoder.forget(record)
        self.catalog(record.application, record.kind).changed()
        self._store.save(record)

    def _complete_later(self, record: Record) -> None:
        self._jobs.after(self._conditions.knobs.completion_delay, partial(self._complete, record))

    def _complete(self, record: Record) -> None:
        if record.lingers or record.content is None or not record.awaiting_completion:
            return
        record.status = "completed"
        record.awaiting_completion = False
        record.size_bytes = record.content.size_bytes
        record.etag = self._conditions.recorded_etag(record.content.md5)
        self._changed(record)

    def _start_job(self, record: Record) -> None:
        action = self._finish_move if record.status == "moving" and record.type == "directory" else self.remove
        self._jobs.after(self._conditions.knobs.job_delay, partial(action, record))

    def _finish_move(self, record: Record) -> None:
        steps = self._move_children(record)
        self._jobs.work_off(steps, at_once=self._conditions.knobs.job_delay <= 0)

    def _move_children(self, record: Record) -> Iterator[None]:
        """Move what was below a directory when its move was asked for, then forget the old directory."""
        catalog = self.catalog(record.application, record.kind)
        old_root = record.path + "/"
        moved_at = catalog.by_id[record.move_into].sequence if record.move_into in catalog.by_id else 0
        for child in [child for child in catalog.descendants(old_root) if child.sequence < moved_at]:
            target = self._final_target(catalog, record)
            if target is None:
                self.delete(child)
            elif not child.lingers:
                self._move_record(catalog, child, f"{target.path}/{child.path[len(old_root) :]}")
                self.remove(child)
            yield
        self.remove(record)

    def _final_target(self, catalog: Catalog, record: Record) -> Record | None:
        """Where a moving directory ends up, which may have moved on meanwhile; None if it was deleted."""
        target: Record | None = record
        while target is not None and target.status == "moving":
            target = catalog.by_id.get(target.move_into or "")
        return None if target is None or target.lingers else target

    def _move_record(self, catalog: Catalog, record: Record, path: str) -> Record:
        """A new record for a path with the content of an old one, whose path is free afterwards."""
        directory, name = split_path(path)
        catalog.release(record)
        content, record.content = record.content, None
        new = self._make(
            catalog,
            record.application,
            record.kind,
            type=record.type,
            status=record.status,
            name=name,
            directory=directory,
            size_bytes=record.size_bytes,
            etag=record.etag,
            content_type=record.content_type,
            dimensions=record.dimensions,
            content=content,
            awaiting_completion=record.awaiting_completion,
            key=record.key if record.status == "pending" else self._free_key(catalog, record.application + path),
        )
        if new.awaiting_completion:
            self._complete_later(new)
        return new
