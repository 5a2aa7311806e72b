"""Every parameter of a listing, paging, order, and what a listing does not show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox_support import Client, running


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(tmp_path) as client:
        yield client


async def test_an_empty_listing(client: Client) -> None:
    page = (await client.listing()).json
    assert page["items"] == []
    assert (page["count"], page["totalCount"], page["perPage"], page["page"]) == (0, 0, 100, 0)
    assert (page["sortField"], page["sortDirection"]) == ("lastUpdated", "asc")
    assert page["_type"] == "files"
    assert "parentExists" not in page


async def test_without_a_directory_all_are_listed_and_with_one_its_children(client: Client) -> None:
    for path in ("/a.txt", "/d/b.txt", "/d/e/c.txt"):
        await client.put(path)
    assert sorted(await client.names()) == ["a.txt", "b.txt", "c.txt", "d", "e"]
    assert sorted(await client.names(directory="/")) == ["a.txt", "d"]
    assert sorted(await client.names(directory="/d")) == ["b.txt", "e"]
    page = (await client.listing(directory="/d/")).json
    assert (page["totalCount"], page["parentExists"]) == (2, True)
    nowhere = (await client.listing(directory="/nowhere/")).json
    assert (nowhere["items"], nowhere["parentExists"]) == ([], False)


async def test_pages_are_cut_from_one_order(client: Client) -> None:
    for number in range(7):
        client.sandbox.plant(f"/{number}", b"")
    pages = [(await client.listing(perPage=3, page=page, sortField="creationDate")).json for page in range(4)]
    assert [[item["name"] for item in page["items"]] for page in pages] == [
        ["0", "1", "2"],
        ["3", "4", "5"],
        ["6"],
        [],
    ]
    assert [(page["count"], page["totalCount"], page["page"]) for page in pages] == [
        (3, 7, 0),
        (3, 7, 1),
        (1, 7, 2),
        (0, 7, 3),
    ]


async def test_the_page_size_has_a_default_and_a_ceiling(tmp_path: Path) -> None:
    async with running(tmp_path, page_size_ceiling=120) as client:
        for number in range(130):
            client.sandbox.plant(f"/{number}", b"")
        assert (await client.listing()).json["count"] == 100
        page = (await client.listing(perPage=1000)).json
        assert (page["count"], page["perPage"], page["totalCount"]) == (120, 120, 130)


@pytest.mark.parametrize("field", ["lastUpdated", "creationDate", "name", "type"])
async def test_sort_fields_and_directions(client: Client, field: str) -> None:
    for path in ("/b", "/a", "/d/c"):
        await client.put(path)
    await client.patch(client.sandbox.records()[0].id, fileSize=1)
    ascending = (await client.listing(sortField=field)).json["items"]
    assert ascending == sorted(ascending, key=lambda item: item[field])
    descending = (await client.listing(sortField=field, sortDirection="desc")).json["items"]
    assert descending == ascending[::-1]


async def test_equal_sort_keys_keep_the_order_of_making(client: Client) -> None:
    for number in range(50):
        client.sandbox.plant(f"/d{number}/same", b"")
    listed = [
        item["parentDirectory"]
        for item in (await client.listing(sortField="name", filterField="name", filter="same")).json["items"]
    ]
    assert listed == [f"/d{number}/" for number in range(50)]


async def test_a_later_change_moves_a_record_in_the_order_of_updates(client: Client) -> None:
    first = await client.put("/first")
    await client.put("/second")
    first.updated = "2999-01-01T00:00:00.000Z"
    client.sandbox.plant("/third", b"")
    assert await client.names() == ["second", "third", "first"]


async def test_filters(client: Client) -> None:
    for path in ("/one.txt", "/two.txt", "/three.jpg", "/d/one.jpg"):
        await client.put(path)
    await client.create("/pending.txt")
    assert sorted(await client.names(filterField="name", filter="*.txt")) == ["one.txt", "pending.txt", "two.txt"]
    assert sorted(await client.names(filterField="name", filter="one.???")) == ["one.jpg", "one.txt"]
    assert len(await client.names(filter="one.txt")) == 6
    assert await client.names(type="directory") == ["d"]
    assert len(await client.names(type="file")) == 5
    assert await client.names(status="pending") == ["pending.txt"]
    assert await client.names(status="completed", type="file", directory="/d") == ["one.jpg"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"page": "-1"},
        {"page": "x"},
        {"page": "\u0663"},
        {"perPage": "0"},
        {"perPage": "1.5"},
        {"sortField": "size"},
        {"sortDirection": "up"},
        {"filterField": "type", "filter": "x"},
        {"type": "link"},
        {"status": "moving"},
        {"perpage": "10"},
        {"urlTTL": "0"},
        {"directory": "/../"},
    ],
)
async def test_bad_parameters_are_refused(client: Client, parameters: dict[str, Any]) -> None:
    answer = await client.listing(**parameters)
    assert (answer.status, answer.json["type"]) == (400, "Validation")


async def test_the_parameters_that_every_client_sends_are_taken(client: Client) -> None:
    assert (await client.listing(_actions="false", _links="true", _embedded="true")).status == 200


async def test_lingering_records_are_listed_without_a_status_filter_only(tmp_path: Path) -> None:
    async with running(tmp_path, job_delay=3600) as client:
        record = await client.put("/a.txt")
        await client.delete(record.id)
        assert [item["status"] for item in (await client.listing()).json["items"]] == ["deleting"]
        assert await client.names(status="completed") == []


async def test_a_lagging_listing_shows_a_new_record_later(tmp_path: Path) -> None:
    async with running(tmp_path, listing_lag=3600) as client:
        record = await client.put("/a.txt")
        assert await client.names() == []
        assert (await client.get(record.id)).status == 200
        record.listed_from = 0.0
        assert await client.names() == ["a.txt"]


async def test_records_change_between_pages_where_a_test_wants_it(client: Client) -> None:
    records = [client.sandbox.plant(f"/{number}", b"") for number in range(6)]

    def drift() -> None:
        client.sandbox.on_page = None
        client.sandbox.remove(records[0])

    client.sandbox.on_page = drift
    seen = await client.names(perPage=3, sortField="creationDate")
    seen += await client.names(perPage=3, page=1, sortField="creationDate")
    assert seen == ["0", "1", "2", "4", "5"]


async def test_private_addresses_come_signed_unless_no_time_is_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path, kind="privateFiles") as client:
        await client.put("/a.txt", b"secret")
        assert (await client.listing()).json["_type"] == "privateFiles"
        assert "url" not in (await client.listing(urlTTL=0)).json["items"][0]
        address = (await client.listing(urlTTL=60)).json["items"][0]["url"]
        assert "X-Amz-Expires=60" in address
        async with client.session.get(address) as response:
            assert await response.read() == b"secret"
