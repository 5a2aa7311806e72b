"""That adding up says of two sides what comparing them says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.core.diff import Census, remote_changes
from syncd.core.model import BaselineEntry, Kind, RemoteEntry, Status, Sync
from syncd.core.tally import Tally

KEYS = st.sampled_from([b"a", b"a\0x", b"b"])
IDS = st.sampled_from(["", "1", "2", "3"])
CHECKSUMS = st.sampled_from([None, "one", "other"])
KINDS = st.sampled_from([Kind.DIRECTORY, Kind.FILE])
RECORDS = st.builds(
    RemoteEntry, KEYS, KINDS, st.just(1), CHECKSUMS, IDS.filter(bool), st.sampled_from(Status), st.just("")
)
ROWS = st.builds(
    BaselineEntry,
    KEYS,
    KINDS,
    st.just(1),
    st.just(1),
    st.just(1),
    st.just(1),
    CHECKSUMS,
    IDS,
    st.sampled_from(Sync),
    st.none(),
)


def record_of(row: BaselineEntry) -> RemoteEntry:
    return RemoteEntry(row.key, row.kind, row.size, row.checksum, row.id, Status.COMPLETED, "")


@given(st.lists(ROWS, unique_by=lambda row: row.key), st.lists(RECORDS, max_size=2), st.data())
def test_tallies_are_the_same_where_nothing_differs(
    rows: list[BaselineEntry], others: list[RemoteEntry], data: st.DataObject
) -> None:
    """And never where something does; only what is not plain may be taken for different without being it."""
    shown = data.draw(st.lists(st.sampled_from(rows), unique=True)) if rows else []
    records = data.draw(st.permutations([*map(record_of, shown), *others]))
    listing, baseline, census = Tally(), Tally(), Census()
    listing.add(records)
    known = baseline.passing(sorted(rows))
    listed = sorted(records, key=lambda record: (record.key, record.id))
    changes = list(remote_changes(listed, known, census))
    if listing.same_as(baseline):
        assert changes == []
        assert listing.files == census.remote
    else:
        assert changes or not (listing.plain and baseline.plain)
