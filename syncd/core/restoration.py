"""What of the trash goes back to its place, and what has to make way for it.

Called by `engine.restore`. Pure: both sides are handed in. Nothing is overwritten: what is in a place goes before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from syncd.core.model import Kind, RemoteEntry
from syncd.core.paths import ancestors_of, is_below


@dataclass(frozen=True, slots=True)
class Restoration:
    """`displaced`: records of the destination that go into the trash first. `moves`: records of the trash, each with
    the path of its place as key; a directory with everything in it where nothing is in its place. `files`: how many
    come back."""

    displaced: tuple[RemoteEntry, ...]
    moves: tuple[RemoteEntry, ...]
    files: int


def restoration(kept: Iterable[RemoteEntry], there: Iterable[RemoteEntry]) -> Restoration:
    """`kept`: what is to come back, everything below a directory of it included; `there`: all that the destination
    holds. Keys of both are relative to the destination."""
    places: dict[bytes, list[RemoteEntry]] = defaultdict(list)
    for record in there:
        places[record.key].append(record)
    displaced: dict[bytes, list[RemoteEntry]] = {}
    moves: list[RemoteEntry] = []
    files = 0
    whole: bytes | None = None
    for record in sorted(kept, key=lambda one: (one.key, one.id)):
        files += record.kind == Kind.FILE
        if whole is not None and is_below(record.key, whole):
            continue
        displaced |= _obstacles(record, places)
        is_merged = record.kind == Kind.DIRECTORY and any(one.kind == Kind.DIRECTORY for one in places[record.key])
        if not is_merged:
            moves.append(record)
            whole = record.key if record.kind == Kind.DIRECTORY else whole
    return Restoration(tuple(one for records in displaced.values() for one in records), tuple(moves), files)


def _obstacles(record: RemoteEntry, places: dict[bytes, list[RemoteEntry]]) -> dict[bytes, list[RemoteEntry]]:
    """The files above the place, and what is at it; of a directory only files are in the way."""
    found = {key: files for key in ancestors_of(record.key) if (files := _files(places[key]))}
    here = places[record.key] if record.kind == Kind.FILE else _files(places[record.key])
    return found | ({record.key: here} if here else {})


def _files(records: Collection[RemoteEntry]) -> list[RemoteEntry]:
    return [one for one in records if one.kind == Kind.FILE]
