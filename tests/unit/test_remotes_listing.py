"""Listings of a remote that changes between any two pages, in every way that a seed finds."""

from __future__ import annotations

from random import Random

import pytest

from syncd.core.paths import path_of
from syncd.errors import Transient
from syncd.remotes.listing import Lister
from syncd.remotes.records import Page, Place, Record
from tests.remote_support import Listed


class Drifting:
    """An application in memory; before each page some of it may come, go or move."""

    def __init__(self, seed: int, *, records: int, ceiling: int, rate: float) -> None:
        self.random = Random(seed)
        self.ceiling = ceiling
        self.rate = rate
        self.fetched = 0
        self.made = 0
        self.records: list[Record] = []
        for _ in range(records):
            self.add()
        self.lasting = {record.id for record in self.records}
        self.ever = set(self.lasting)

    def add(self) -> None:
        self.made += 1
        directory = self.random.choice(["/", "/dest/", "/dest/a/", "/dest/a/b/", "/other/"])
        record = Record(id=f"{self.made:024x}", name=f"n{self.made}", parent_directory=directory)
        self.records.append(record)

    async def fetch(self, directory: str | None, number: int, size: int) -> Page:
        if self.random.random() < self.rate:
            self.change()
        self.fetched += 1
        size = min(size, self.ceiling)
        found = [r for r in self.directories() + self.records if directory in (None, r.parent_directory)]
        return Page(items=found[number * size : (number + 1) * size], total_count=len(found))

    def directories(self) -> list[Record]:
        paths = ["/dest/", "/dest/a/", "/dest/a/b/", "/other/"]
        return [
            Record(
                id=f"d{n}",
                name=path.split("/")[-2],
                parent_directory=path[: path[:-1].rindex("/") + 1],
                type="directory",
            )
            for n, path in enumerate(paths)
        ]

    def change(self) -> None:
        if self.records and self.random.random() < 0.6:
            gone = self.records.pop(self.random.randrange(len(self.records)))
            self.lasting.discard(gone.id)
        if self.random.random() < 0.6:
            self.add()
            self.ever.add(self.records[-1].id)

    def expected(self) -> set[str]:
        return {r.id for r in self.records if r.id in self.lasting and r.parent_directory.startswith("/dest/")}


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
async def test_a_listing_that_need_not_be_steady_asks_for_each_page_once(rate: float) -> None:
    for seed in range(50):
        remote = Drifting(seed, records=60, ceiling=5, rate=rate)
        total = (await remote.fetch("/dest/", 0, 1)).total_count
        remote.fetched = 0
        sink = Listed()
        await Lister(remote.fetch, Place("dest"), "", sink, steady=False).children()
        shown = {entry.id for entry in sink.sorted()}
        assert remote.fetched <= -(-total // 5) + 1
        assert shown <= remote.ever | {record.id for record in remote.directories()}
        if not rate:
            assert len(shown) == total
            assert remote.fetched == -(-total // 5)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
async def test_a_tree_that_need_not_be_steady_costs_each_page_once_where_pages_are_fewer(rate: float) -> None:
    for seed in range(50):
        remote = Drifting(seed, records=60, ceiling=5, rate=rate)
        total = (await remote.fetch(None, 0, 1)).total_count
        remote.fetched = 0
        sink = Listed()
        await Lister(remote.fetch, Place("dest"), "", sink, steady=False).tree(1000)
        shown = {entry.id for entry in sink.sorted()} - {"d1", "d2"}
        assert remote.fetched <= -(-total // 5) + 1, seed
        assert shown <= remote.ever, seed
        if not rate:
            assert shown == remote.expected(), seed
            assert remote.fetched == -(-total // 5), seed


@pytest.mark.parametrize("block", range(8))
async def test_what_was_there_all_the_time_is_listed_or_the_listing_fails(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        await list_while_it_drifts(seed)


async def list_while_it_drifts(seed: int) -> None:
    random = Random(seed)
    rate = random.choice([0.0, 0.05, 0.3, 1.0])
    remote = Drifting(seed, records=random.randrange(60), ceiling=random.randrange(1, 20), rate=rate)
    sink = Listed()
    try:
        await Lister(remote.fetch, Place("dest"), "", sink).tree(random.choice([None, 0, 3, 1000]))
    except Transient:
        assert rate > 0, seed
        return
    found = {entry.id for entry in sink.sorted()} - {"d0", "d1", "d2", "d3"}
    assert remote.expected() <= found <= remote.ever, seed
    if rate == 0:
        assert found == remote.expected(), seed
        assert [path_of(e.key) for e in sink.sorted() if e.id == "d2"] == ["a/b"]


async def test_a_server_that_gives_fewer_than_it_says() -> None:
    """It believes that a page holds 1000 and sends 7: the next page is asked for in sevens."""
    remote = Drifting(1, records=40, ceiling=7, rate=0.0)
    sink = Listed()
    await Lister(remote.fetch, Place(""), "", sink).tree(None)
    assert len(sink.entries) == 44


async def test_a_total_that_is_never_reached_is_no_listing() -> None:
    async def fetch(directory: str | None, number: int, size: int) -> Page:
        assert directory in (None, "/")
        assert (number, size) == (0, 1000)
        return Page(items=[], total_count=5)

    with pytest.raises(Transient, match="changed each time"):
        await Lister(fetch, Place(""), "", Listed()).tree(None)


async def test_a_failing_page_ends_the_others() -> None:
    remote = Drifting(3, records=60, ceiling=3, rate=0.0)

    async def fetch(directory: str | None, number: int, size: int) -> Page:
        if number == 5:
            raise Transient("page 5")
        return await remote.fetch(directory, number, size)

    with pytest.raises(Transient, match="page 5"):
        await Lister(fetch, Place(""), "", Listed()).tree(None)
    fetched = remote.fetched
    with pytest.raises(Transient, match="page 5"):
        await Lister(fetch, Place("dest"), "", Listed()).tree(1000)
    assert remote.fetched > fetched


class Scripted:
    """Nine records in pages of three; one page, when it is read, is not what it should be."""

    def __init__(self, page: Page, *, number: int) -> None:
        self.records = [Record(id=f"{n}" * 24, name=f"n{n}") for n in range(9)]
        self.page = page
        self.number = number

    async def fetch(self, directory: str | None, number: int, size: int) -> Page:
        assert directory in (None, "/")
        if number == self.number and size == 3:
            return self.page
        return Page(items=self.records[number * 3 : number * 3 + 3], total_count=9)


def some(*numbers: int, total: int = 9) -> Page:
    return Page(items=[Record(id=f"{n}" * 24, name=f"n{n}") for n in numbers], total_count=total)


@pytest.mark.parametrize("page", [some(2, 3, 4), some(3, 4), some(3, 4, 5, total=10), some(3, 4, 5, total=8)])
async def test_a_middle_page_that_does_not_fit_the_others_is_no_part_of_a_listing(page: Page) -> None:
    """As where records of one moment have no fixed order, or one came and another went between the pages."""
    with pytest.raises(Transient, match="changed each time"):
        await Lister(Scripted(page, number=1).fetch, Place(""), "", Listed()).tree(None)


async def test_pages_that_fit() -> None:
    sink = Listed()
    await Lister(Scripted(some(3, 4, 5), number=1).fetch, Place(""), "", sink).tree(None)
    assert sink.paths() == [f"n{n}" for n in range(9)]
