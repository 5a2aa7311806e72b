"""Tallies of a listing and of the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from syncd.core.model import BaselineEntry, RemoteEntry, Status, Sync
from syncd.core.tally import Tally
from tests.unit.core_support import Views


def tallies(views: Views) -> tuple[Tally, Tally]:
    return of_records(views.remote), of_rows(list(views.base.values()))


def of_records(records: Sequence[RemoteEntry]) -> Tally:
    tally = Tally()
    tally.add(records)
    return tally


def of_rows(rows: Sequence[BaselineEntry]) -> Tally:
    tally = Tally()
    assert list(tally.passing(rows)) == rows
    return tally


def known() -> Views:
    views = Views().known_directory("d").known_directory("e", sync=Sync.ADOPTED)
    return views.known("d/a", "1").known("d/b", "2", inode=2).known("c", "3", inode=3)


def test_sides_that_say_the_same_are_the_same_in_any_order_and_number_of_pages() -> None:
    views = known()
    paged = Tally()
    for record in reversed(views.remote):
        paged.add([record])
    assert paged.same_as(of_rows(list(views.base.values())))
    assert paged.files == 3


def test_what_is_leaving_is_not_there() -> None:
    listing, baseline = tallies(known().record("gone", status=Status.LEAVING).record("c", status=Status.LEAVING))
    assert listing.same_as(baseline)


@pytest.mark.parametrize(
    "changed",
    [
        known().record("new"),
        known().record("new", None),
        known().record("c", "3", id_="another record of the same path"),
        known().record("c", "3"),
        known().row("gone"),
        known().row("gone", None, id_=""),
        known().row("c", "other content"),
        known().row("c", "3", id_="another record"),
    ],
)
def test_a_difference_is_seen(changed: Views) -> None:
    listing, baseline = tallies(changed)
    assert not listing.same_as(baseline)


@pytest.mark.parametrize("places", [2, 3, 4, 5])
def test_contents_that_changed_places_are_seen(places: int) -> None:
    """Of many: the sum of plain hashes of tuples misses one exchange in eight."""
    for number in range(200):
        views = Views()
        for place in range(places):
            views.known(f"{place}-{number}", f"{number}-{place}", inode=place)
        contents = [record.checksum for record in views.remote]
        others = zip(views.remote, [*contents[1:], contents[0]], strict=True)
        moved_on = [record._replace(checksum=checksum) for record, checksum in others]
        assert not of_records(moved_on).same_as(of_rows(list(views.base.values())))


@pytest.mark.parametrize("same_content", [False, True])
def test_records_that_changed_places_are_seen(same_content: bool) -> None:
    for number in range(200):
        views = Views().known(f"a{number}", "1").known(f"b{number}", "1" if same_content else "2", inode=2)
        first, second = views.remote
        exchanged = [first._replace(key=second.key), second._replace(key=first.key)]
        assert not of_records(exchanged).same_as(of_rows(list(views.base.values())))


@pytest.mark.parametrize(
    "doubtful",
    [
        Views().record("a", status=Status.PENDING).row("a"),
        Views().record("a", checksum=False).row("a"),
        Views().record("a").row("a", sync=Sync.UPLOADED),
        Views().record("a").row("a", sync=Sync.CLAIMED, claim="c"),
    ],
)
def test_what_has_to_be_looked_at_one_by_one_makes_a_side_that_equals_none(doubtful: Views) -> None:
    listing, baseline = tallies(doubtful)
    assert not listing.same_as(baseline)
    assert not (listing.plain and baseline.plain)
