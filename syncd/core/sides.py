"""Both sides and the baseline as one stream: every path that a side has, whether it differs or not.

Walked by `engine.fetch` and `engine.check`, which ask other questions than a mirror does. A directory that could not be
looked into and a link are shown as they are, with what the remote has there: nothing below them is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, starmap
from operator import attrgetter

from syncd.core.diff import Difference, LocalChange, RemoteChange, choose, merge_join
from syncd.core.model import BaselineEntry, LocalEntry, RemoteEntry, Status


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
