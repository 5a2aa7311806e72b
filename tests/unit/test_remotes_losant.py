"""What no sandbox does: answers that the documents leave open, and jobs that stand still."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.retry import Patience
from syncd.errors import NotFound, Rejected, RemoteDead, Transient
from syncd.remotes import Account, Losant, Traffic
from tests.remote_support import QUICK, Bytes, Listed

Script = Callable[[web.BaseRequest, bytes], tuple[int, Any]]

NOT_FOUND = 404, {"type": "NotFound", "message": "File was not found"}


class Remote:
    """A remote whose API answers what a script says: (status, JSON or raw bytes)."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        self.headers.append(dict(request.headers))
        status, body = self.script(request, await request.read())
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(status=status, body=raw)


@asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Remote, str]]:
    remote = Remote(script)
    runner = web.ServerRunner(web.Server(remote.answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield remote, f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def losant(
    script: Script, *, private: bool = False, patience: Patience = QUICK
) -> AsyncIterator[tuple[Losant, Remote]]:
    async with (
        serving(script) as (remote, url),
        Account(name="odd", api_url=url, token=lambda: "token", patience=patience) as account,
    ):
        yield Losant(account, application_id="app", private=private, directory="dest", traffic=Traffic()), remote


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"id of {name}",
        "name": name,
        "type": "file",
        "parentDirectory": "/dest/",
        "status": "completed",
        **fields,
    }


def page(*items: dict[str, Any], total: int | None = None) -> tuple[int, Any]:
    return 200, {"items": list(items), "totalCount": len(items) if total is None else total}


def entry(name: str, kind: Kind = Kind.FILE) -> RemoteEntry:
    return RemoteEntry(name.encode(), kind, 0, None, f"id of {name}", Status.COMPLETED, "")


async def test_a_directory_that_is_not_there_may_be_a_404() -> None:
    def script(request: web.BaseRequest, _: bytes) -> tuple[int, Any]:
        return NOT_FOUND if "directory" in request.query else page(record("x"))

    async with losant(script) as (remote, _):
        sink = Listed()
        await remote.entries("gone", sink, recursive=False)
        assert sink.paths() == []


@pytest.mark.parametrize("status", [400, 405, 301])
async def test_a_listing_that_is_refused_is_not_empty(status: int) -> None:
    async with losant(lambda *_: (status, {})) as (remote, _):
        for recursive in (True, False):
            with pytest.raises(RemoteDead, match=f"does not list its files: {status}"):
                await remote.entries("", Listed(), recursive=recursive)


async def test_requests_are_what_the_documents_say() -> None:
    answers: dict[str, tuple[int, Any]] = {"GET": page(), "DELETE": (200, {"success": True})}

    def script(request: web.BaseRequest, _: bytes) -> tuple[int, Any]:
        return answers.get(request.method, (201, record("b c", parentDirectory="/dest/ä/")))

    base = "sortField=creationDate&sortDirection=asc"
    for private, many, one, ttl in ((False, "files", "file", ""), (True, "privateFiles", "privateFiles", "urlTTL=0")):
        async with losant(script, private=private) as (remote, made):
            await remote.entries("ä", Listed(), recursive=False)
            await remote.delete(entry("x"))
            await remote.move(entry("x"), "ä/b c")
            more, only = (f"&{ttl}", f"?{ttl}") if ttl else ("", "")
            assert made.asked == [
                f"GET /applications/app/{many}?page=0&perPage=1000&{base}&directory=%2Fdest%2F%C3%A4%2F{more}",
                f"DELETE /applications/app/{one}/id%20of%20x{only}",
                f"POST /applications/app/{one}/id%20of%20x/move?name=b%20c&parentDirectory=%2Fdest%2F%C3%A4%2F{more}",
            ]
            assert {headers["Authorization"] for headers in made.headers} == {"Bearer token"}


async def test_a_delete_that_a_proxy_answered_is_asked_again() -> None:
    answers = iter([(200, b"<html>Welcome"), (200, {"success": False}), (200, {"success": True})])
    async with losant(lambda *_: next(answers)) as (remote, made):
        await remote.delete(entry("x"))
        assert len(made.asked) == 3


async def test_a_public_file_without_a_form_fails_its_path() -> None:
    async with losant(lambda *_: (201, record("x", status="pending"))) as (remote, _):
        with pytest.raises(Rejected, match="nowhere to upload to"):
            await remote.create("x", Bytes(b"1"))


async def test_a_lost_create_is_looked_for_on_all_pages_and_by_its_exact_name() -> None:
    """A filter may match more than it should: by glob, by letter case, in other directories."""
    others = [record(f"a{n}b") for n in range(5)]
    right = record("a*b")

    def script(request: web.BaseRequest, _: bytes) -> tuple[int, Any]:
        if request.method == "GET":
            assert request.query["filter"] == "a*b"
            assert request.query["directory"] == "/dest/"
            items = [
                record("A*B"),
                record("a*b", parentDirectory="/dest/b/"),
                record("a*b", status="deleting"),
                *others,
                right,
            ]
            size = min(int(request.query["perPage"]), 2)
            start = int(request.query["page"]) * size
            return page(*items[start : start + size], total=len(items))
        return 500, {}

    async with losant(script) as (remote, made):
        right["type"] = "directory"
        found = await remote.make_directory("a*b")
        assert (found.id, len(made.asked)) == ("id of a*b", 6)


async def test_a_lost_move_is_found_by_what_it_moves_into() -> None:
    def script(request: web.BaseRequest, _: bytes) -> tuple[int, Any]:
        if request.method == "POST":
            return 502, b""
        if request.path.endswith("old"):
            return 200, record("old", status="moving", moveIntoId="id of new")
        return 200, record("new", s3etag="0" * 32)

    async with losant(script) as (remote, made):
        moved = await remote.move(entry("old"), "new")
        assert (moved.id, moved.checksum) == ("id of new", "0" * 32)
        assert [asked[:4] for asked in made.asked] == ["POST", "GET ", "GET "]


async def test_a_record_that_is_moved_within_its_id() -> None:
    async with losant(lambda *_: (201, record("new", id="id of old", type="directory"))) as (remote, made):
        made.script = lambda request, _: page() if "page" in request.query else (201, record("new", id="id of old"))
        assert (await remote.move(entry("old", Kind.DIRECTORY), "new")).id == "id of old"


async def test_a_lost_move_of_what_is_nowhere() -> None:
    def script(request: web.BaseRequest, _: bytes) -> tuple[int, Any]:
        if request.method == "POST":
            return 502, b""
        return page() if "page" in request.query else NOT_FOUND

    async with losant(script) as (remote, _):
        with pytest.raises(NotFound, match="went away"):
            await remote.move(entry("old"), "new")


async def test_a_directory_that_is_deleted_slowly_is_waited_for_while_it_shrinks() -> None:
    left = 30

    def script(request: web.BaseRequest, _: bytes) -> tuple[int, Any]:
        nonlocal left
        if request.method == "DELETE":
            return 200, {"success": True}
        if "page" not in request.query:
            return (200, record("d", type="directory", status="deleting")) if left else NOT_FOUND
        left -= 1
        return page(*(record(str(n), parentDirectory="/dest/d/", status="deleting") for n in range(left)))

    slow = replace(QUICK, standstill_s=0.3, poll_cap_s=0.05)
    async with losant(script, patience=slow) as (remote, _):
        await remote.delete(entry("d", Kind.DIRECTORY))
        assert left == 0


async def test_a_directory_that_stands_still_is_given_up() -> None:
    def script(request: web.BaseRequest, _: bytes) -> tuple[int, Any]:
        if request.method == "DELETE":
            return 200, {"success": True}
        return page() if "page" in request.query else (200, record("d", type="directory", status="deleting"))

    async with losant(script, patience=replace(QUICK, standstill_s=0.2)) as (remote, _):
        with pytest.raises(Transient, match="does not finish deleting a directory"):
            await remote.delete(entry("d", Kind.DIRECTORY))


async def test_an_answer_larger_than_any_page_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.remotes.http.MAX_ANSWER_BYTES", 100_000)
    async with losant(lambda *_: (200, b" " * 200_000), patience=replace(QUICK, dead_after_s=0.1)) as (remote, _):
        with pytest.raises(RemoteDead, match="more than 100000 bytes"):
            await remote.get("x")


async def test_a_server_whose_certificate_is_not_good_gets_no_token(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificate with openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other.test"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)  # noqa: ASYNC221
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async with serving(lambda *_: page(), tls=tls) as (made, url):
        async with Account(name="mitm", api_url=url, token=lambda: "token") as account:
            remote = Losant(account, application_id="app", private=False, directory="", traffic=Traffic())
            with pytest.raises(RemoteDead, match=r"no secure connection to 127\.0\.0\.1"):
                await remote.get("x")
        assert made.asked == []


async def test_requests_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(lambda *_: (200, record("x"))) as (proxy, url):
        monkeypatch.setenv("HTTP_PROXY", url.replace("http://", "http://user:pass@"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with Account(name="far", api_url="http://api.test", token=lambda: "token") as account:
            remote = Losant(account, application_id="app", private=False, directory="dest", traffic=Traffic())
            assert await remote.get("x") is not None
        assert proxy.asked == ["GET http://api.test/applications/app/file/x"]
        basic = base64.b64encode(b"user:pass").decode()
        assert proxy.headers[0]["Proxy-Authorization"] == f"Basic {basic}"
        assert proxy.headers[0]["Authorization"] == "Bearer token"


async def test_waiting_for_the_pace_holds_nothing_when_it_is_cancelled() -> None:
    async with (
        serving(lambda *_: (200, record("x"))) as (_, url),
        Account(name="slow", api_url=url, token=lambda: "t", requests_per_second=5, max_connections=1) as account,
    ):
        remote = Losant(account, application_id="app", private=False, directory="dest", traffic=Traffic())
        await remote.get("x")
        for _ in range(3):
            waiting = asyncio.create_task(remote.get("x"))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert await remote.get("x") is not None
