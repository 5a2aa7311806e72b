"""Create, get, patch, move and delete, as the API documents them, and who is let in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from syncd.sandbox import APPLICATION_ID
from tests.sandbox_support import Client, running


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(tmp_path) as client:
        yield client


async def test_a_create_answers_with_a_pending_record_and_a_form(client: Client) -> None:
    answer = await client.create("/a/b/photo.jpg", fileSize=5, contentType="image/jpeg")
    assert answer.status == 201
    record = answer.json
    assert (record["name"], record["parentDirectory"], record["status"]) == ("photo.jpg", "/a/b/", "pending")
    assert (record["type"], record["fileSize"], record["contentType"]) == ("file", 5, "image/jpeg")
    assert record["applicationId"] == APPLICATION_ID
    assert len(record["id"]) == 24
    assert record["creationDate"].endswith("Z")
    assert "s3etag" not in record
    assert set(record["_links"]) == {"application", "files", "self"}
    assert record["upload"]["fields"]["Content-Type"] == "image/jpeg"


async def test_missing_parents_are_made(client: Client) -> None:
    await client.create("/a/b/c.txt")
    directories = {record.path: record.status for record in client.sandbox.records() if record.type == "directory"}
    assert directories == {"/a": "completed", "/a/b": "completed"}


async def test_an_upload_completes_the_record_with_its_true_size(client: Client) -> None:
    created = (await client.create("/a.txt", fileSize=999)).json
    sent = await client.send_form(created["upload"], b"hello")
    assert sent.status == 204
    assert sent.headers["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert sent.headers["Location"].endswith("%2Fa.txt")
    record = (await client.get(created["id"])).json
    assert (record["status"], record["fileSize"]) == ("completed", 5)
    assert record["s3etag"] == "5d41402abc4b2a76b9719d911017c592"


async def test_a_directory_is_complete_at_once_and_its_name_may_be_a_chain(client: Client) -> None:
    answer = await client.request(
        "POST", client.collection, json={"name": "x/y/z", "type": "directory", "parentDirectory": "/top"}
    )
    assert answer.status == 201
    assert (answer.json["name"], answer.json["parentDirectory"]) == ("z", "/top/x/y/")
    assert answer.json["status"] == "completed"
    assert "upload" not in answer.json
    assert set(client.sandbox.tree()) == {"/top", "/top/x", "/top/x/y", "/top/x/y/z"}


@pytest.mark.parametrize(
    "body",
    [
        {"type": "file"},
        {"name": "", "type": "file"},
        {"name": "a" * 1025, "type": "file"},
        {"name": "a\0b", "type": "file"},
        {"name": "..", "type": "file"},
        {"name": "a/b", "type": "file"},
        {"name": "///", "type": "directory"},
        {"name": 5, "type": "file"},
        {"name": "a"},
        {"name": "a", "type": "link"},
        {"name": "a", "type": "file", "parentDirectory": "/" + "d" * 1024},
        {"name": "a", "type": "file", "parentDirectory": "/../x"},
        {"name": "a", "type": "file", "s3etag": "x"},
        {"name": "a", "type": "file", "fileSize": -1},
        {"name": "a", "type": "file", "fileSize": True},
        {"name": "a", "type": "file", "contentType": 1},
        {"name": "a", "type": "file", "fileDimensions": {"width": 1}},
        {"name": "a", "type": "file", "fileDimensions": {"width": 1, "height": "2"}},
        [],
    ],
)
async def test_a_create_that_breaks_a_rule_is_refused(client: Client, body: Any) -> None:
    answer = await client.request("POST", client.collection, json=body)
    assert answer.status == 400
    assert set(answer.json) == {"type", "message"}
    assert client.sandbox.records() == []


async def test_bodies_that_are_no_json_or_too_long_are_refused(client: Client) -> None:
    assert (await client.request("POST", client.collection, data=b"{")).status == 400
    assert (await client.request("POST", client.collection, data=BytesIO(b" " * 1_100_000))).status == 413


async def test_a_file_cannot_be_a_parent(client: Client) -> None:
    await client.put("/a")
    assert (await client.create("/a/b")).status == 400


async def test_a_patch_keeps_id_and_address_and_gives_a_fresh_form(client: Client) -> None:
    record = await client.put("/a.txt", b"old")
    before = (await client.get(record.id)).json
    patched = await client.patch(
        record.id, fileSize=5, contentType="text/html", fileDimensions={"width": 1, "height": 2}
    )
    assert patched.status == 201
    assert patched.json["upload"]["fields"]["Content-Type"] == "text/html"
    assert (await client.send_form(patched.json["upload"], b"newer")).status == 204
    after = (await client.get(record.id)).json
    assert (after["id"], after["url"], after["creationDate"]) == (before["id"], before["url"], before["creationDate"])
    assert (after["fileSize"], after["contentType"]) == (5, "text/html")
    assert after["fileDimensions"] == {"width": 1, "height": 2}
    assert client.sandbox.tree() == {"/a.txt": b"newer"}


async def test_a_patch_takes_nothing_but_what_describes_the_content(client: Client) -> None:
    record = await client.put("/d/a.txt")
    assert (await client.patch(record.id, name="b.txt")).status == 400
    assert (await client.patch(client.sandbox.records()[0].id, fileSize=1)).status == 400
    assert (await client.patch("0" * 24, fileSize=1)).status == 404


async def test_a_moved_file_is_a_new_record_with_the_old_content(client: Client) -> None:
    record = await client.put("/a.txt", b"content")
    old = (await client.get(record.id)).json
    moved = await client.move(record.id, name="b.txt", parentDirectory="/new/place")
    assert moved.status == 201
    assert moved.json["id"] != old["id"]
    assert moved.json["url"] != old["url"]
    assert (moved.json["status"], moved.json["s3etag"]) == ("completed", old["s3etag"])
    assert (await client.get(old["id"])).status == 404
    assert client.sandbox.tree() == {"/new": None, "/new/place": None, "/new/place/b.txt": b"content"}


async def test_a_move_needs_one_of_name_and_directory(client: Client) -> None:
    record = await client.put("/d/a.txt")
    assert (await client.move(record.id)).status == 400
    renamed = (await client.move(record.id, name="b.txt")).json
    assert (renamed["parentDirectory"], renamed["name"]) == ("/d/", "b.txt")
    moved = (await client.move(renamed["id"], parentDirectory="/e/")).json
    assert (moved["parentDirectory"], moved["name"]) == ("/e/", "b.txt")


async def test_impossible_moves_are_refused(client: Client) -> None:
    await client.put("/d/a.txt")
    directory, file = client.sandbox.records()
    pending = (await client.create("/pending.txt")).json
    assert (await client.move(file.id, name="a.txt")).status == 400
    assert (await client.move(file.id, name="x/y")).status == 400
    assert (await client.move(directory.id, parentDirectory="/d/e")).status == 400
    assert (await client.move(pending["id"], name="b")).status == 400
    assert (await client.move("0" * 24, name="b")).status == 404
    assert (await client.move(file.id, nam="b")).status == 400


async def test_a_long_name_outside_ascii_can_be_moved_to(client: Client) -> None:
    record = await client.put("/a.txt")
    name = "\N{GRINNING FACE}" * 1024
    assert (await client.move(record.id, name=name, parentDirectory="/" + "ü" * 1000)).status == 201
    assert (await client.names(type="file")) == [name]


async def test_a_deleted_directory_takes_everything_in_it(client: Client) -> None:
    await client.put("/d/e/a.txt")
    await client.put("/f.txt")
    answer = await client.delete(client.sandbox.records()[0].id)
    assert (answer.status, answer.json) == (200, {"success": True})
    assert set(client.sandbox.tree()) == {"/f.txt"}
    assert (await client.delete("0" * 24)).status == 404


async def test_an_upload_whose_record_is_gone_changes_nothing(client: Client) -> None:
    created = (await client.create("/a.txt")).json
    await client.delete(created["id"])
    assert (await client.send_form(created["upload"], b"late")).status == 204
    assert client.sandbox.records() == []


async def test_who_is_let_in(client: Client) -> None:
    client.application = "0" * 24
    unknown = await client.listing()
    assert (unknown.status, unknown.json) == (404, {"type": "NotFound", "message": "Application was not found"})
    client.token = "w\u00fcrong"
    for answer in (await client.listing(), await client.create("/a"), await client.get("x"), await client.delete("x")):
        assert answer.status == 401
        assert answer.json["type"] == "Unauthorized"
    client.sandbox.token = client.token
    assert (await client.listing()).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/files"), ("GET", "/file"), ("GET", "/files/ID"), ("POST", "/file/ID/upload"), ("GET", "/file/ID/move")],
)
async def test_paths_and_methods_that_the_api_does_not_have(client: Client, method: str, path: str) -> None:
    base = client.collection.removesuffix("/files")
    answer = await client.request(method, base + path)
    assert (answer.status, answer.json["type"]) == (404, "NotFound")


async def test_nothing_is_served_outside_the_sites(client: Client) -> None:
    assert (await client.request("GET", client.sandbox.url + "/")).status == 404
    assert (await client.request("GET", client.sandbox.url + "/storage")).status == 404
