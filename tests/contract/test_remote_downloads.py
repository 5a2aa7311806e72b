"""Where contents may come from, what the storage host may see, and when a download is whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from syncd.core.model import Status
from syncd.errors import NotFound, Rejected, Unreadable
from syncd.sandbox import Fault
from syncd.sandbox import Kind as Library
from tests.remote_support import QUICK, Answering, Bytes, Received, World, storage, world

pytestmark = pytest.mark.needs("download")


def told(body: bytes, status: int = 200) -> Answering:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return answer


@pytest.mark.parametrize("name", ["plain", "sub/dir/ä ö&?#%2F+=;", "empty"])
async def test_the_bytes_come_back(remote_world: World, name: str) -> None:
    data = b"" if name == "empty" else name.encode() * 1000
    entry = await remote_world.put(name, data)
    received = Received()
    await remote_world.remote.download(entry, received)
    assert received.data == data
    assert received.begun == 1


async def test_a_large_one_comes_in_pieces(remote_world: World) -> None:
    data = bytes(range(256)) * 20_000
    entry = await remote_world.remote.create("large", Bytes(data, piece_bytes=1 << 20))
    received = Received()
    await remote_world.remote.download(entry, received)
    assert received.data == data
    assert len(received.pieces) > 4


async def test_the_storage_host_never_sees_the_token(tmp_path: Path, library: Library) -> None:
    async with world(tmp_path, library, separate_storage=True) as apart:
        entry = await apart.put("file")
        received = Received()
        await apart.remote.download(entry, received)
        assert (received.data, apart.asked("content")) == (b"content", 1)
        assert apart.sandbox.requests.leaked_authorizations == 0
    async with world(tmp_path / "own", library) as apart:
        entry = await apart.put("file")
        async with storage(apart, told(b"content")) as host:
            await apart.remote.download(entry, Received())
        assert not {"Authorization", "Cookie", "Proxy-Authorization"} & set(host.headers[0])
        assert host.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://u:secret@127.0.0.1/", "file:///etc/passwd"])
async def test_addresses_that_are_refused(remote_world: World, url: str) -> None:
    entry = await remote_world.put("file")
    remote_world.turn(content_url=url)
    with pytest.raises(Rejected, match="the storage URL") as refused:
        await remote_world.remote.download(entry, Received())
    assert "secret" not in str(refused.value)


async def test_a_redirect_is_not_followed(remote_world: World) -> None:
    entry = await remote_world.put("file")

    async def elsewhere(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": remote_world.sandbox.url})

    async with storage(remote_world, elsewhere):
        with pytest.raises(Rejected, match="302 Found"):
            await remote_world.remote.download(entry, Received())


@pytest.mark.parametrize("kind", ["status", "truncated", "reset_before"])
async def test_a_transfer_that_is_cut_off_begins_again(remote_world: World, kind: str) -> None:
    entry = await remote_world.put("file", b"0123456789" * 10_000)
    remote_world.turn(faults=(Fault("content", kind, status=503, count=2),))  # type: ignore[arg-type]
    received = Received()
    await remote_world.remote.download(entry, received)
    assert received.data == b"0123456789" * 10_000
    assert remote_world.traffic.retries == 2


@pytest.mark.parametrize("body", [b"short", b"more than there is"])
async def test_another_size_is_no_success(remote_world: World, body: bytes) -> None:
    entry = await remote_world.put("file", b"content")
    async with storage(remote_world, told(body), told(b"content")):
        received = Received()
        await remote_world.remote.download(entry, received)
        assert received.data == b"content"
    async with storage(remote_world, told(body)) as host:
        with pytest.raises(Rejected, match=r"of the 7 bytes|than the 7 bytes"):
            await remote_world.remote.download(entry, Received())
        assert len(host.headers) == 2
    assert remote_world.traffic.retries == 0


async def test_one_that_stands_still_is_cut_off(tmp_path: Path, library: Library) -> None:
    async def stuck(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = 7
        await answer.prepare(request)
        await answer.write(b"con")
        await over.wait()
        return answer

    over = asyncio.Event()
    async with world(tmp_path, library, patience=replace(QUICK, stall_s=0.3)) as apart:
        entry = await apart.put("file")
        async with storage(apart, stuck, told(b"content")):
            received = Received()
            await apart.remote.download(entry, received)
            over.set()
        assert (received.data, received.begun) == (b"content", 2)


async def test_what_is_gone(remote_world: World) -> None:
    entry = await remote_world.put("file")
    async with storage(remote_world, told(b"", 404)):
        with pytest.raises(NotFound, match="its content is gone"):
            await remote_world.remote.download(entry, Received())
    await remote_world.remote.delete(entry)
    with pytest.raises(NotFound, match="went away"):
        await remote_world.remote.download(entry, Received())


async def test_an_address_that_expired_is_asked_for_anew_once(remote_world: World) -> None:
    entry = await remote_world.put("file")
    async with storage(remote_world, told(b"<Error><Code>AccessDenied</Code></Error>", 403), told(b"content")) as host:
        received = Received()
        await remote_world.remote.download(entry, received)
        assert (received.data, len(host.headers)) == (b"content", 2)
    async with storage(remote_world, told(b"<Error><Code>AccessDenied</Code></Error>", 403)) as host:
        with pytest.raises(Rejected, match="403 AccessDenied"):
            await remote_world.remote.download(entry, Received())
        assert len(host.headers) == 2


async def test_a_record_without_an_address(remote_world: World) -> None:
    entry = await remote_world.put("file")
    remote_world.turn(content_url="")
    with pytest.raises(Rejected, match="no address"):
        await remote_world.remote.download(entry, Received())


async def test_a_full_disk_is_no_failure_of_the_remote(remote_world: World) -> None:
    entry = await remote_world.put("file")
    with pytest.raises(Unreadable, match="full"):
        await remote_world.remote.download(entry, Received(Unreadable("the disk is full")))
    assert (remote_world.traffic.retries, entry.status) == (0, Status.PENDING)
