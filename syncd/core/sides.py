"""Both sides and the baseline as one stream: every path that a side has, whether it differs or not.

Walked by `engine.fetch` and `engine.check`, which ask other questions than a mirror does. A directory that could not be
looked into and a link are shown as they are, with what the remote has there: nothing below them is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, starmap
from operator import attrgetter

from syncd.core.diff import Difference, LocalChange, RemoteChange, choose, has_known_content, merge_join
from syncd.core.model import BaselineEntry, Kind, LocalEntry, RemoteEntry, Status
from syncd.core.paths import path_of
from syncd.core.policy import Filter


def sides(
    local: Iterable[LocalEntry], remote: Iterable[RemoteEntry], baseline: Iterable[BaselineEntry]
) -> Iterator[Difference]:
    """From three streams sorted by key. Records that are being moved or deleted are not there."""
    mine = starmap(LocalChange, merge_join(local, baseline))
    for key, known, listed in merge_join(mine, _by_path(remote)):
        entry, base = (known.local, known.base) if known is not None else (None, None)
        record, surplus = choose(listed.records, entry, base) if listed is not None else (None, ())
        if entry is not None or record is not None:
            yield Difference(key, entry, record, base, surplus)


def _by_path(remote: Iterable[RemoteEntry]) -> Iterator[RemoteChange]:
    for key, group in groupby(remote, key=attrgetter("key")):
        records = [record for record in group if record.status != Status.LEAVING]
        if records:
            yield RemoteChange(key, records, None)


def content_of(remote: RemoteEntry, base: BaselineEntry | None) -> str | None:
    """The checksum of a completed remote file: its own, or what the baseline knows of the very record."""
    if remote.checksum is not None:
        return remote.checksum
    known = base is not None and base.claim is None and has_known_content(remote, base)
    return base.checksum if known and base is not None else None


def is_left_out(key: bytes, remote: RemoteEntry, filters: Filter) -> bool:
    """Whether the filters leave out what the remote has at a path. A directory that is not excluded may be on the way
    to what is included."""
    if remote.kind == Kind.DIRECTORY:
        return filters.excludes(path_of(key), directory=True)
    return not filters.wants(path_of(key), directory=False)
