"""Requests that go wrong on purpose, and the log of requests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from syncd.sandbox import Fault
from tests.sandbox_support import Client, running, until


async def test_a_status_in_place_of_the_effect(tmp_path: Path) -> None:
    fault = Fault("create", "status", status=503, count=1, retry_after=1.5)
    async with running(tmp_path, faults=(fault,)) as client:
        answer = await client.create("/a")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1.5")
        assert answer.json["type"] == "Fault"
        assert client.sandbox.records() == []
        assert (await client.create("/a")).status == 201


async def test_a_status_after_the_effect(tmp_path: Path) -> None:
    async with running(tmp_path, faults=(Fault("create", "status", status=502, when="after"),)) as client:
        assert (await client.create("/a")).status == 502
        assert len(client.sandbox.records()) == 1


async def test_a_body_from_something_in_between(tmp_path: Path) -> None:
    fault = Fault("list", "status", status=504, body="<h1>Gateway</h1>")
    async with running(tmp_path, faults=(fault,)) as client:
        answer = await client.listing()
        assert (answer.status, answer.body, answer.json) == (504, b"<h1>Gateway</h1>", None)


async def test_a_refusal_of_the_storage_is_xml(tmp_path: Path) -> None:
    faults = (Fault("form", "status", status=503, count=1), Fault("content", "status", status=500, count=1))
    async with running(tmp_path, faults=faults) as client:
        upload = (await client.create("/a")).json["upload"]
        answer = await client.send_form(upload, b"x")
        assert (answer.status, b"<Code>SlowDown</Code>" in answer.body) == (503, True)
        assert client.sandbox.records()[0].content is None
        assert (await client.send_form(upload, b"x")).status == 204


@pytest.mark.parametrize(("kind", "made"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_reset_before_or_after_the_effect(tmp_path: Path, kind: str, made: int) -> None:
    async with running(tmp_path, faults=(Fault("create", kind),)) as client:  # type: ignore[arg-type]
        with pytest.raises(aiohttp.ClientError):
            await client.create("/a")
        assert len(client.sandbox.records()) == made
        assert client.sandbox.requests[-1].status == 0


async def test_a_reset_after_an_upload_leaves_it_done(tmp_path: Path) -> None:
    async with running(tmp_path, faults=(Fault("form", "reset_after"),)) as client:
        upload = (await client.create("/a")).json["upload"]
        with pytest.raises(aiohttp.ClientError):
            await client.send_form(upload, b"hello")
        assert client.sandbox.tree() == {"/a": b"hello"}


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
async def test_a_hang_ends_when_the_client_gives_up(tmp_path: Path, when: str, made: int) -> None:
    async with running(tmp_path, faults=(Fault("create", "hang", when=when),)) as client:  # type: ignore[arg-type]
        waiting = asyncio.create_task(client.create("/a"))
        await until(lambda: client.sandbox.requests.in_flight["create"] == 1)
        await asyncio.sleep(0.05)
        waiting.cancel()
        await until(lambda: client.sandbox.requests.in_flight["create"] == 0)
        assert len(client.sandbox.records()) == made


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_hang_ends_by_itself(tmp_path: Path, when: str) -> None:
    fault = Fault("get", "hang", seconds=0.03, when=when)  # type: ignore[arg-type]
    async with running(tmp_path, faults=(fault,)) as client:
        record = await client.put("/a")
        assert (await client.get(record.id)).status == 200


async def test_answers_that_are_cut_or_no_json(tmp_path: Path) -> None:
    faults = (
        Fault("list", "truncated", count=1),
        Fault("list", "partial", count=1),
        Fault("list", "garbage", count=1),
    )
    async with running(tmp_path, faults=faults) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.listing()
        for _ in range(2):
            with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
                await client.listing()
        assert (await client.listing()).status == 200


@pytest.mark.parametrize("size", [10, 200_000])
async def test_a_truncated_content(tmp_path: Path, size: int) -> None:
    async with running(tmp_path, faults=(Fault("content", "truncated", count=1),)) as client:
        record = await client.put("/a", b"x" * size)
        url = (await client.get(record.id)).json["url"]
        with pytest.raises(aiohttp.ClientPayloadError):
            async with client.session.get(url) as response:
                await response.read()
        async with client.session.get(url) as response:
            assert len(await response.read()) == size


async def test_faults_can_spare_the_first_and_choose_by_name(tmp_path: Path) -> None:
    faults = (
        Fault("create", "status", skip=1, count=1, name="*.txt"),
        Fault("create", "status", status=507, name="/deep/*"),
    )
    async with running(tmp_path, faults=faults) as client:
        paths = ["/a.jpg", "/a.txt", "/b.jpg", "/b.txt", "/c.txt", "/deep/x"]
        statuses = [(await client.create(path)).status for path in paths]
        assert statuses == [201, 201, 201, 500, 201, 507]


@pytest.mark.parametrize("operation", ["get", "patch", "move", "delete"])
async def test_requests_on_one_record_are_struck_by_its_name(tmp_path: Path, operation: str) -> None:
    fault = Fault(operation, "status", status=418, name="struck")  # type: ignore[arg-type]
    async with running(tmp_path, faults=(fault,)) as client:
        requests = {
            "get": client.get,
            "patch": client.patch,
            "move": lambda record_id: client.move(record_id, name="moved"),
            "delete": client.delete,
        }
        spared, struck = await client.put("/spared"), await client.put("/struck")
        assert (await requests[operation](struck.id)).status == 418
        assert (await requests[operation](spared.id)).status < 300


async def test_a_private_upload_is_struck(tmp_path: Path) -> None:
    async with running(tmp_path, "privateFiles", faults=(Fault("upload", "status"),)) as client:
        created = (await client.create("/a")).json
        assert (await client.upload(created["id"], b"x")).status == 500


async def test_the_log_of_requests(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        record = await client.put("/a.txt")
        await client.listing()
        await client.get("missing")
        await client.delete(record.id)
        log = client.sandbox.requests
        assert log.operations() == ["create", "form", "list", "get", "delete"]
        assert [request.status for request in log] == [201, 204, 200, 404, 200]
        assert log[0].method == "POST"
        assert log[0].path.endswith("/files")
        assert log.counts["list"] == 1
        assert log.changing_requests() == 3
        assert log.leaked_authorizations == 0


async def test_the_most_requests_in_flight_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path, latency=0.05) as client:
        await asyncio.gather(*(client.listing() for _ in range(5)), client.create("/a"))
        assert client.sandbox.requests.most_in_flight["list"] == 5
        assert client.sandbox.requests.most_in_flight["create"] == 1
        assert client.sandbox.requests.in_flight.total() == 0


async def create_many(client: Client, count: int) -> int:
    answers = await asyncio.gather(*(client.create(f"/{number}") for number in range(count)))
    return sum(answer.status == 201 for answer in answers)


async def test_a_probability_strikes_some(tmp_path: Path) -> None:
    async with running(tmp_path, seed=1, faults=(Fault("create", "status", probability=0.3),)) as client:
        assert 40 < await create_many(client, 100) < 95
