"""What is on disk: a restart, jobs that go on, a process that was killed, and a second process."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import sys
from pathlib import Path

import aiohttp
import pytest

from syncd.sandbox import DataDirectoryInUse, Sandbox, SandboxError, parse_address, serve
from tests.sandbox_support import Client, running, until


async def test_a_new_process_finds_everything(tmp_path: Path) -> None:
    large = os.urandom(200_000)
    async with running(tmp_path) as client:
        small = await client.put("/d/small.txt", b"hello")
        await client.put("/d/large.bin", large)
        upload = (await client.create("/d/later.txt")).json["upload"]
        listed = (await client.listing()).json
    async with running(tmp_path) as client:
        upload["url"] = f"{client.sandbox.storage_url}/files.sandbox"
        assert client.sandbox.tree() == {"/d": None, "/d/small.txt": b"hello", "/d/large.bin": large}
        assert client.record(small.id).etag == small.etag
        again = (await client.listing()).json
        assert [item["id"] for item in again["items"]] == [item["id"] for item in listed["items"]]
        assert (await client.send_form(upload, b"late")).status == 204
        assert client.sandbox.tree()["/d/later.txt"] == b"late"
        newest = await client.put("/new.txt")
        assert newest.id not in {item["id"] for item in listed["items"]}


async def test_what_was_deleted_or_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        for size in (10, 100_000):
            record = await client.put(f"/{size}", b"x" * size)
            patched = (await client.patch(record.id)).json
            await client.send_form(patched["upload"], b"y" * size)
            await client.delete(record.id)
        await client.sandbox.flush()
        assert list((tmp_path / "contents").iterdir()) == []
        with sqlite3.connect(tmp_path / "sandbox.db") as database:
            assert database.execute("SELECT count(*) FROM contents").fetchone() == (0,)
            assert database.execute("SELECT count(*) FROM records").fetchone() == (0,)
        database.close()


async def test_jobs_go_on_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, completion_delay=3600) as client:
        await client.put("/completing", b"hello")
    async with running(tmp_path, job_delay=3600) as client:
        assert client.sandbox.tree() == {"/completing": b"hello"}
        for path in ("/moving/a", "/deleting/b", "/file"):
            await client.put(path)
        ids = {record.path: record.id for record in client.sandbox.records()}
        await client.move(ids["/moving"], name="moved")
        await client.move(ids["/file"], name="renamed")
        await client.delete(ids["/deleting"])
        assert len(client.sandbox.records()) == 8
    async with running(tmp_path) as client:
        assert set(client.sandbox.tree()) == {"/completing", "/moved", "/moved/a", "/renamed"}
        assert len(client.sandbox.records()) == 4


async def test_contents_that_no_record_has_are_cleared_away(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.put("/kept", b"x" * 100_000)
    (tmp_path / "contents" / "999").write_bytes(b"orphan")
    (tmp_path / "incoming" / "998").write_bytes(b"torn")
    async with running(tmp_path) as client:
        assert len(list((tmp_path / "contents").iterdir())) == 1
        assert list((tmp_path / "incoming").iterdir()) == []
        assert set(client.sandbox.tree()) == {"/kept"}


async def test_a_data_directory_has_one_user(tmp_path: Path) -> None:
    async with Sandbox(tmp_path):
        with pytest.raises(DataDirectoryInUse, match="used by another"):
            await Sandbox(tmp_path).start()
    async with Sandbox(tmp_path):
        pass


async def test_data_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with Sandbox(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "sandbox.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SandboxError, match="newer"):
        await Sandbox(tmp_path).start()


async def test_an_address_that_is_taken(tmp_path: Path) -> None:
    async with Sandbox(tmp_path / "1") as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await Sandbox(tmp_path / "2").start(port=port)
    async with Sandbox(tmp_path / "2"):
        pass


async def test_a_disk_that_takes_nothing_more_is_told(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    await sandbox.start()
    sandbox._store._writer.execute("DROP TABLE records")
    sandbox.plant("/a", b"x")
    with pytest.raises(SandboxError, match="cannot be written"):
        await sandbox.flush()
    with pytest.raises(SandboxError, match="cannot be written"):
        sandbox.plant("/b", b"x")
    with pytest.raises(SandboxError, match="cannot be written"):
        await sandbox.close()


async def test_serve_runs_until_it_is_cancelled(tmp_path: Path) -> None:
    started: list[Sandbox] = []
    running = asyncio.create_task(serve("127.0.0.1:0", tmp_path, started=started.append))
    await until(lambda: started)
    async with aiohttp.ClientSession() as session:
        assert (await Client(started[0], session).listing()).status == 200
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with Sandbox(tmp_path):
        pass


def test_addresses_to_listen_on() -> None:
    assert parse_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert parse_address("[::1]:0") == ("::1", 0)
    assert parse_address(":8080") == ("0.0.0.0", 8080)
    for wrong in ("", "8080", "host", "host:", "host:x", "host:70000"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            parse_address(wrong)


async def test_addresses_that_are_handed_out(tmp_path: Path) -> None:
    for number, (host, prefix) in enumerate([("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")]):
        sandbox = Sandbox(tmp_path / str(number))
        await sandbox.start(host)
        assert sandbox.url.startswith(prefix)
        await sandbox.close()
    sandbox = Sandbox(tmp_path / "public", public_url="http://sandbox.example")
    await sandbox.start()
    assert sandbox.storage_url == "http://sandbox.example/storage"
    await sandbox.close()


SERVER = """
import asyncio, pathlib, sys
from syncd.sandbox import serve
asyncio.run(serve("127.0.0.1:0", pathlib.Path(sys.argv[1]), started=lambda sandbox: print(sandbox.url, flush=True)))
"""


class Remote(Sandbox):
    """Stands for a sandbox in another process: only its address is known."""

    def __init__(self, data: Path, url: str) -> None:
        super().__init__(data)
        self.url = url


@pytest.mark.parametrize("size", [1_000, 100_000])
async def test_a_killed_server_left_nothing_torn(tmp_path: Path, size: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    acknowledged: dict[str, float] = {}
    loop = asyncio.get_running_loop()

    async def create(client: Client, worker: int) -> None:
        for number in range(10_000):
            path = f"/{worker}/{number}"
            created = (await client.create(path)).json
            await client.send_form(created["upload"], path.encode().ljust(size, b"."))
            acknowledged[path] = loop.time()

    async with aiohttp.ClientSession() as session:
        client = Client(Remote(tmp_path, url), session)
        workers = [asyncio.create_task(create(client, worker)) for worker in range(4)]
        await until(lambda: len(acknowledged) > 100)
        killed = loop.time()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*workers, return_exceptions=True)
    async with running(tmp_path) as client:
        tree = client.sandbox.tree()
        for record in client.sandbox.records():
            if record.type == "file" and record.status == "completed":
                content = client.sandbox.content(record)
                assert content == record.path.encode().ljust(size, b".")
                assert record.etag == hashlib.md5(content).hexdigest()
        lost = [path for path, at in acknowledged.items() if path not in tree and at < killed - 0.5]
        assert lost == []
        assert len(tree) > 50
