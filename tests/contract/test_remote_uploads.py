"""Where contents may be sent, what the upload host may see, and what its answers prove."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from syncd.core.model import Status
from syncd.errors import Rejected, RemoteDead, Transient
from syncd.remotes import Account
from syncd.sandbox import Kind as Library
from syncd.sandbox.records import BUCKET_OF_KIND
from tests.remote_support import Answering, Bytes, Listed, World, md5, storage, world


def told(status: int = 204, **headers: str) -> Answering:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(status=status, headers=headers)

    return answer


@pytest.mark.needs("replace_in_place")
async def test_the_upload_host_never_sees_the_token(tmp_path: Path, library: Library) -> None:
    async with world(tmp_path, library, separate_storage=True) as apart:
        entry = await apart.put("file")
        await apart.remote.replace(entry, "file", Bytes(b"new", piece_bytes=2))
        assert apart.asked("form") == 2
        assert apart.sandbox.requests.leaked_authorizations == 0
    async with world(tmp_path / "own", library) as apart, storage(apart, told(ETag=f'"{md5(b"content")}"')) as host:
        await apart.put("file")
        assert not {"Authorization", "Cookie", "Proxy-Authorization"} & set(host.headers[0])
        assert host.headers[0]["Content-Length"].isdigit()
        assert "Transfer-Encoding" not in host.headers[0]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254/latest", "inside the network"),
        ("http://[fe80::1]/", "inside the network"),
        ("http://[::ffff:169.254.169.254]/", "inside the network"),
        ("http://2852039166/", "is none"),
        ("http://0xa9.254.169.254/", "inside the network"),
        ("http://user:secret@127.0.0.1/", "credentials"),
        ("ftp://127.0.0.1/", "is none"),
        ("file:///etc/passwd", "is none"),
        ("not a url", "is none"),
        ("http://[1.2.3/", "is none"),
    ],
)
@pytest.mark.needs("replace_in_place")
async def test_upload_urls_that_are_refused(remote_world: World, url: str, reason: str) -> None:
    remote_world.turn(upload_url=url)

    with pytest.raises(Rejected, match=reason) as refused:
        await remote_world.put("file")
    with pytest.raises(Rejected, match=reason):
        await remote_world.remote.create("large", Bytes(b"x" * 200_000, piece_bytes=1 << 16))

    assert "secret" not in str(refused.value)


@pytest.mark.needs("replace_in_place")
async def test_a_redirect_of_an_upload_is_not_followed(remote_world: World) -> None:
    async with storage(remote_world, told(307, Location=remote_world.sandbox.url)):
        with pytest.raises(Rejected, match=r"^307 Temporary Redirect"):
            await remote_world.put("file")
    assert remote_world.sandbox.requests.operations() == ["create"]


async def test_a_redirect_of_the_api_is_not_followed(remote_world: World) -> None:
    """It would take the token along."""
    async with storage(remote_world, told(302, Location="/elsewhere")) as host:
        async with Account(name="moved", api_url=host.url, token=lambda: "token") as account:
            remote = remote_world.remote_at("dest", account=account)
            with pytest.raises(RemoteDead, match="302 Found"):
                await remote.entries("", Listed(), recursive=True)
            with pytest.raises(Rejected, match="302 Found"):
                await remote.create("file", Bytes(b""))
        assert len(host.headers) == 2


@pytest.mark.needs("replace_in_place")
async def test_a_checksum_that_differs_is_sent_once_more(remote_world: World) -> None:
    right, wrong = f'"{md5(b"content")}"', f'"{md5(b"something else")}"'
    async with storage(remote_world, told(ETag=wrong), told(ETag=right)):
        entry = await remote_world.put("file")
        assert entry.checksum == md5(b"content")
        assert remote_world.asked("patch") == 1
    async with storage(remote_world, told(ETag=wrong)) as host:
        with pytest.raises(Rejected, match="checksum mismatch"):
            await remote_world.put("file 2")
        assert len(host.headers) == 2


@pytest.mark.needs("replace_in_place")
async def test_an_answer_without_checksum_is_proven_by_the_record(remote_world: World) -> None:
    async def kept(request: web.BaseRequest) -> web.StreamResponse:
        async with aiohttp.ClientSession() as onward:
            headers = {"Content-Type": request.headers["Content-Type"]}
            await onward.post(bucket, data=await request.read(), headers=headers)
        return web.Response(status=204)

    bucket = f"{remote_world.sandbox.storage_url}/{BUCKET_OF_KIND[remote_world.library]}"
    async with storage(remote_world, kept):
        entry = await remote_world.put("file")
        assert (entry.status, entry.checksum) == (Status.COMPLETED, md5(b"content"))
        entry = await remote_world.remote.replace(entry, "file", Bytes(b"replaced"))
        assert (entry.status, entry.checksum) == (Status.COMPLETED, md5(b"replaced"))


@pytest.mark.needs("replace_in_place")
async def test_an_answer_without_checksum_and_without_effect_is_no_success(remote_world: World) -> None:
    async with storage(remote_world, told(204)) as host:
        with pytest.raises(Rejected, match="checksum mismatch"):
            await remote_world.put("file")
        assert len(host.headers) == 2


@pytest.mark.needs("replace_in_place")
async def test_a_refusal_before_the_body_was_read_does_not_wait(remote_world: World) -> None:
    async def early(_: web.BaseRequest) -> web.StreamResponse:
        body = "<Error><Code>EntityTooLarge</Code><Message>too large</Message></Error>"
        return web.Response(status=400, text=body)

    async with storage(remote_world, early), asyncio.timeout(5):
        with pytest.raises((Rejected, Transient), match=r"EntityTooLarge|reset|closed|write"):
            await remote_world.remote.create("file", Bytes(b"x" * (32 << 20), piece_bytes=1 << 20))


@pytest.mark.parametrize("code", ["RequestTimeout", "IncompleteBody"])
@pytest.mark.needs("replace_in_place")
async def test_what_the_storage_says_of_a_bad_connection_is_tried_again(remote_world: World, code: str) -> None:
    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(status=400, text=f"<Error><Code>{code}</Code></Error>")

    async with storage(remote_world, cut, told(ETag=f'"{md5(b"content")}"')):
        assert (await remote_world.put("file")).status is Status.PENDING
    assert remote_world.traffic.retries == 1
