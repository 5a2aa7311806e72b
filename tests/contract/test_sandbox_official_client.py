"""The vendor's own client, unmodified, works on the sandbox."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from syncd.sandbox import APPLICATION_ID, TOKEN, Sandbox

losant_rest = pytest.importorskip("losant_rest")


@contextmanager
def in_background(sandbox: Sandbox) -> Iterator[None]:
    """The sandbox in a loop of its own: the official client blocks."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(sandbox.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path)
    with in_background(sandbox):
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Any:
    return losant_rest.Client(auth_token=TOKEN, url=sandbox.url)


def send_form(upload: dict[str, Any], content: bytes) -> requests.Response:
    fields = {name: value for name, value in upload["fields"].items() if name != "bucket"}
    return requests.post(upload["url"], data=fields, files={"file": ("name", content)}, timeout=10)


def test_public_files(client: Any) -> None:
    directory = client.files.post(applicationId=APPLICATION_ID, file={"name": "a/b", "type": "directory"})
    assert (directory["name"], directory["parentDirectory"], directory["status"]) == ("b", "/a/", "completed")

    new = {"name": "c.txt", "type": "file", "parentDirectory": "/a/b", "fileSize": 5, "contentType": "text/plain"}
    created = client.files.post(applicationId=APPLICATION_ID, file=new)
    assert send_form(created["upload"], b"hello").status_code == 204

    listed = client.files.get(applicationId=APPLICATION_ID, type="file", page=0, perPage=1000)
    assert listed["totalCount"] == 1
    assert listed["items"][0]["s3etag"] == hashlib.md5(b"hello").hexdigest()
    assert requests.get(listed["items"][0]["url"], timeout=10).content == b"hello"

    where = {"applicationId": APPLICATION_ID, "fileId": created["id"]}
    patched = client.file.patch(**where, updates={"fileSize": 3})
    assert send_form(patched["upload"], b"new").status_code == 204
    assert client.file.get(**where)["fileSize"] == 3

    moved = client.file.move(**where, name="d.txt", parentDirectory="/x")
    assert (moved["name"], moved["parentDirectory"]) == ("d.txt", "/x/")
    assert client.files.get(applicationId=APPLICATION_ID, directory="/x/")["parentExists"] is True

    assert client.file.delete(applicationId=APPLICATION_ID, fileId=moved["id"]) == {"success": True}
    assert client.files.get(applicationId=APPLICATION_ID, type="file")["items"] == []


def test_private_files(client: Any, sandbox: Sandbox) -> None:
    new = {"name": "c.txt", "type": "file", "fileSize": 5}
    created = client.private_files.post(applicationId=APPLICATION_ID, privateFile=new)
    where = {"applicationId": APPLICATION_ID, "privateFileId": created["id"]}
    uploaded = requests.post(
        f"{sandbox.url}/applications/{APPLICATION_ID}/privateFiles/{created['id']}/upload",
        headers={"Authorization": f"Bearer {TOKEN}"},
        files={"privateFile": b"hello"},
        timeout=10,
    )
    assert (uploaded.status_code, uploaded.json()["status"]) == (200, "completed")
    assert "url" not in client.private_files.get(applicationId=APPLICATION_ID, urlTTL=0)["items"][0]
    assert requests.get(client.private_file.get(**where, urlTTL=60)["url"], timeout=10).content == b"hello"
    patched = client.private_file.patch(**where, updates={"fileSize": 3})
    assert send_form(patched["upload"], b"new").status_code == 204
    moved = client.private_file.move(**where, name="d.txt")
    assert client.private_file.get(applicationId=APPLICATION_ID, privateFileId=moved["id"])["fileSize"] == 3
    assert client.private_file.delete(applicationId=APPLICATION_ID, privateFileId=moved["id"]) == {"success": True}


def test_errors_reach_the_official_client(client: Any, sandbox: Sandbox) -> None:
    with pytest.raises(losant_rest.LosantError) as caught:
        client.files.get(applicationId="0" * 24)
    assert (caught.value.status, caught.value.data["type"]) == (404, "NotFound")
    stranger = losant_rest.Client(auth_token="wrong", url=sandbox.url)
    with pytest.raises(losant_rest.LosantError) as caught:
        stranger.files.get(applicationId=APPLICATION_ID)
    assert caught.value.status == 401
