"""The Privasfer API of the sandbox: what is kept, listed, trashed, refused and limited."""

from __future__ import annotations

import asyncio
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncd.sandbox import Fault
from tests.sandbox_support import PATIENCE_S, Answer, Client, running


def url(client: Client, record_id: str = "") -> str:
    return f"{client.sandbox.url}/api/files" + (f"/{record_id}" if record_id else "")


async def upload(client: Client, filename: str, content: bytes = b"hello", *, part: str = "file") -> Answer:
    head = f'--limit\r\nContent-Disposition: form-data; name="{part}"; filename="{filename}"\r\n'
    body = f"{head}Content-Type: text/plain\r\n\r\n".encode() + content + b"\r\n--limit--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=limit", "Authorization": f"Bearer {client.token}"}
    async with client.session.post(url(client), data=body, headers=headers) as response:
        is_json = response.content_type == "application/json"
        return Answer(
            response.status, response.headers, await response.read(), await response.json() if is_json else None
        )


async def names(client: Client, **parameters: Any) -> list[str]:
    answer = await client.request("GET", url(client), params=parameters)
    return [item["full_filename"] for item in answer.json["data"]]


async def test_an_upload_is_listed_and_found_by_its_id(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer") as client:
        made = await upload(client, "invoice.pdf", b"12345")
        record = made.json["data"]
        assert (made.status, made.json["success"], record["category"]["name"]) == (200, True, "Uploads")
        assert str(uuid.UUID(record["id"])) == record["id"]
        assert (record["filename"], record["extension"], record["full_filename"]) == ("invoice", "pdf", "invoice.pdf")
        assert (record["size"], record["type"], record["trashed"]) == (5, "text/plain", False)
        listed = (await client.request("GET", url(client))).json["data"]
        got = (await client.request("GET", url(client, record["id"]), params={"include": "category"})).json["data"]
        assert listed == [{key: value for key, value in record.items() if key != "category"}]
        assert got == record


async def test_two_files_may_share_a_name(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer") as client:
        first, second = await upload(client, "a", b"1"), await upload(client, "a", b"2")
        assert first.json["data"]["id"] != second.json["data"]["id"]
        assert await names(client) == ["a", "a"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a／b.txt", "a／b.txt"),
        ("a%2Fb%20c", "a%2Fb%20c"),
        ("dir/inner.txt", "inner.txt"),
        ('a\\"b\\\\c', 'a"b\\c'),
        ("Makefile", "Makefile"),
        (".profile", ".profile"),
    ],
)
async def test_the_name_is_kept_as_it_was_sent(tmp_path: Path, sent: str, kept: str) -> None:
    async with running(tmp_path, "privasfer") as client:
        assert (await upload(client, sent)).json["data"]["full_filename"] == kept


async def test_a_deleted_file_stays_in_the_list_for_a_month(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer") as client:
        record_id = (await upload(client, "a", b"x" * 100_000)).json["data"]["id"]
        deleted = await client.request("DELETE", url(client, record_id))
        assert (deleted.status, deleted.body) == (204, b"")
        (listed,) = (await client.request("GET", url(client))).json["data"]
        assert listed["trashed"] is True
        assert (await client.request("GET", url(client, record_id))).json["data"]["trashed"] is True
        assert (await client.request("DELETE", url(client, record_id))).status == 404
        await client.sandbox.flush()
        assert list((tmp_path / "contents").iterdir()) == []
        assert client.sandbox.tree("privasfer") == {}
    async with running(tmp_path, "privasfer", clock_offset=29 * 86400.0) as client:
        assert await names(client) == ["a"]
    async with running(tmp_path, "privasfer", clock_offset=31 * 86400.0) as client:
        assert await names(client) == []
        assert (await client.request("GET", url(client, record_id))).status == 404


async def test_a_new_process_finds_everything(tmp_path: Path) -> None:
    large = os.urandom(200_000)
    async with running(tmp_path, "privasfer") as client:
        await upload(client, "small", b"hello")
        await upload(client, "large", large)
        trashed = (await upload(client, "trashed")).json["data"]["id"]
        await client.request("DELETE", url(client, trashed))
        before = (await client.request("GET", url(client))).json
    async with running(tmp_path, "privasfer") as client:
        assert (await client.request("GET", url(client))).json == before
        assert client.sandbox.tree("privasfer") == {"/small": b"hello", "/large": large}
        made = (await upload(client, "more")).json["data"]
        assert made["id"] not in {item["id"] for item in before["data"]}


async def test_the_list_is_sorted_and_searched(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer") as client:
        for name, size in (("b", 3), ("a", 2), ("C", 1)):
            await upload(client, name, b"x" * size)
        assert await names(client) == ["C", "a", "b"]
        assert await names(client, sort="created_at") == ["b", "a", "C"]
        assert await names(client, sort="filename_original") == ["C", "a", "b"]
        assert await names(client, sort="-size") == ["b", "a", "C"]
        assert await names(client, keyword="c") == ["C"]
        assert (await client.request("GET", url(client), params={"sort": "id"})).status == 400
        (item, *_) = (await client.request("GET", url(client), params={"include": "category"})).json["data"]
        assert item["category"]["name"] == "Uploads"


async def test_a_paged_list_is_followed_by_its_links(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer", list_page=2) as client:
        for name in "abcde":
            await upload(client, name)
        seen, where = [], f"{url(client)}?sort=created_at"
        while where:
            page = (await client.request("GET", where)).json
            seen += [item["full_filename"] for item in page["data"]]
            where = page["links"]["next"]
        assert seen == list("abcde")
        assert page["meta"] == {"current_page": 3, "last_page": 3, "per_page": 2, "total": 5}


async def test_refusals_are_those_of_the_framework(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer") as client:
        for refused in (
            await upload(client, "a", part="other"),
            await upload(client, ""),
            await upload(client, "dir/"),
            await client.request("POST", url(client), json={"file": "a"}),
        ):
            assert refused.status == 422
            assert refused.json["errors"] == {"file": ["The file field is required."]}
        too_long = await upload(client, "ä" * 256)
        assert "255 characters" in too_long.json["errors"]["file"][0]
        assert (await upload(client, "ä" * 255)).status == 200
        assert (await client.request("GET", url(client, "unknown"))).status == 404
        assert (await client.request("PATCH", url(client, "unknown"))).status == 404
        client.token = "other"
        unknown = await client.request("GET", url(client))
        assert (unknown.status, unknown.json) == (401, {"message": "Unauthenticated."})


async def test_the_rate_is_told_and_limited(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer", rate_limit=2, rate_window=0.2, throttle_retry_after=0.2) as client:
        answers = [await client.request("GET", url(client)) for _ in range(3)]
        assert [a.status for a in answers] == [200, 200, 429]
        assert [a.headers["X-RateLimit-Remaining"] for a in answers] == ["1", "0", "0"]
        assert answers[2].headers["Retry-After"] == "0.2"
        assert answers[2].headers["X-RateLimit-Limit"] == "2"
        async with asyncio.timeout(PATIENCE_S):
            while (await client.request("GET", url(client))).status != 200:  # noqa: ASYNC110 - it is another process in life
                await asyncio.sleep(0.02)


async def test_times_are_those_of_the_accounts_zone(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer", time_zone=-5 * 3600.0) as client:
        told = (await upload(client, "a")).json["data"]["created_at"]
        ahead = datetime.now(UTC) - datetime.fromisoformat(told).replace(tzinfo=UTC)
        assert timedelta(hours=4) < ahead < timedelta(hours=6)


async def test_faults_strike_it_too(tmp_path: Path) -> None:
    faults = (
        Fault("create", "status", status=503, name="struck", count=1),
        Fault("create", "status", status=502, name="after", when="after"),
    )
    async with running(tmp_path, "privasfer", faults=faults) as client:
        assert (await upload(client, "struck")).status == 503
        assert (await upload(client, "after")).status == 502
        assert await names(client) == ["after"]


async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, "privasfer") as client:
        head = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhel'
        headers = {"Content-Type": "multipart/form-data; boundary=limit", "Authorization": f"Bearer {client.token}"}
        async with client.session.post(url(client), data=head, headers=headers) as response:
            assert response.status == 422
        assert await names(client) == []
