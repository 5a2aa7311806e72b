"""Every knob, and how knobs are written on a command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from syncd.sandbox import Fault, Knobs
from syncd.sandbox.faults import FaultKind
from tests.sandbox_support import Client, running, until

GRAIN_S = 0.001


async def fetched(client: Client, address: str) -> bytes:
    async with client.session.get(address) as answer:
        return await answer.read()


async def test_no_answer_comes_before_the_latency_has_passed(tmp_path: Path) -> None:
    large = bytes(200_000)
    async with running(tmp_path, latency=0.02, latency_spread=0.01) as client:
        address = (await client.get((await client.put("/large", large)).id)).json["url"]
        asked: list[Callable[[], Awaitable[object]]] = [
            client.listing,
            lambda: client.create("/a"),
            lambda: client.put("/b"),
            lambda: client.get("missing"),
            lambda: fetched(client, address),
        ]
        for ask in asked:
            start = time.monotonic()
            await ask()
            assert time.monotonic() - start >= 0.02 - GRAIN_S


async def test_what_the_sandbox_takes_itself_is_within_the_latency(tmp_path: Path) -> None:
    """A hang is the longest that it can take."""
    hang = Fault("list", "hang", seconds=0.5)
    async with running(tmp_path, latency=0.5, faults=(hang,)) as client:
        start = time.monotonic()
        await client.listing()
        assert 0.5 - GRAIN_S <= time.monotonic() - start < 1.0


async def test_a_change_is_made_before_its_answer(tmp_path: Path) -> None:
    async with running(tmp_path, latency=30.0) as client:
        asking = asyncio.ensure_future(client.create("/a"))
        await until(lambda: client.sandbox.records() != [])
        asking.cancel()


@pytest.mark.parametrize("kind", ["reset_after", "truncated"])
async def test_a_broken_answer_takes_as_long_as_a_good_one(tmp_path: Path, kind: FaultKind) -> None:
    async with running(tmp_path, latency=0.02, faults=(Fault("list", kind),)) as client:
        start = time.monotonic()
        with pytest.raises(aiohttp.ClientError):
            await client.listing()
        assert time.monotonic() - start >= 0.02 - GRAIN_S


async def test_a_record_completes_some_time_after_its_upload(tmp_path: Path) -> None:
    async with running(tmp_path, completion_delay=0.05) as client:
        record = await client.put("/a.txt", b"hello")
        assert (record.status, record.etag) == ("pending", None)
        assert not client.sandbox.jobs_done()
        await until(lambda: record.status == "completed")
        assert client.sandbox.jobs_done()
        assert record.size_bytes == 5


async def test_a_moved_file_lingers(tmp_path: Path) -> None:
    async with running(tmp_path, job_delay=0.05) as client:
        record = await client.put("/a.txt")
        moved = (await client.move(record.id, name="b.txt")).json
        old = (await client.get(record.id)).json
        assert (old["status"], old["moveIntoId"], moved["status"]) == ("moving", moved["id"], "completed")
        for answer in (
            await client.patch(record.id),
            await client.move(record.id, name="c"),
            await client.delete(record.id),
        ):
            assert answer.status == 404
        assert (await client.create("/a.txt")).status == 201
        await until(client.sandbox.jobs_done)
        assert (await client.get(record.id)).status == 404


async def test_a_directory_is_moved_by_a_job_that_gives_every_child_a_new_id(tmp_path: Path) -> None:
    async with running(tmp_path, job_delay=0.05) as client:
        for number in range(600):
            client.sandbox.plant(f"/old/sub/{number}", b"x")
        await until(client.sandbox.jobs_done)
        before = {record.path: record.id for record in client.sandbox.records()}
        new = (await client.move(before["/old"], name="new")).json
        assert {record.path for record in client.sandbox.records()} - set(before) == {"/new"}
        newcomer = await client.put("/old/later.txt")
        await until(client.sandbox.jobs_done)
        after = {record.path: record.id for record in client.sandbox.records()}
        assert len(after) == 604
        assert after["/new"] == new["id"]
        assert after["/old/later.txt"] == newcomer.id
        assert set(after) >= {f"/new/sub/{number}" for number in range(600)}
        assert not set(after.values()) & (set(before.values()) - {before["/old"]})
        assert client.sandbox.tree()["/new/sub/7"] == b"x"


async def test_a_directory_that_is_moved_twice_or_deleted_takes_its_late_children_along(tmp_path: Path) -> None:
    async with running(tmp_path, job_delay=0.05) as client:
        for name in ("once", "gone"):
            client.sandbox.plant(f"/{name}/a.txt", b"x")
        await until(client.sandbox.jobs_done)
        ids = {record.path: record.id for record in client.sandbox.records()}
        twice = (await client.move((await client.move(ids["/once"], name="more")).json["id"], name="twice")).json
        await client.delete((await client.move(ids["/gone"], name="away")).json["id"])
        await until(client.sandbox.jobs_done)
        assert twice["name"] == "twice"
        assert set(client.sandbox.tree()) == {"/twice", "/twice/a.txt"}


async def test_an_upload_under_way_survives_the_move_of_its_directory(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        created = (await client.create("/old/a.txt")).json
        await client.move(client.sandbox.records()[0].id, name="new")
        assert (await client.send_form(created["upload"], b"hello")).status == 204
        assert client.sandbox.tree() == {"/new": None, "/new/a.txt": b"hello"}


async def test_a_completion_that_waits_survives_the_move_of_its_directory(tmp_path: Path) -> None:
    async with running(tmp_path, completion_delay=0.05) as client:
        await client.put("/old/a.txt", b"hello")
        await client.move(client.sandbox.records()[0].id, name="new")
        await until(client.sandbox.jobs_done)
        assert client.sandbox.tree() == {"/new": None, "/new/a.txt": b"hello"}


async def test_deleted_records_linger(tmp_path: Path) -> None:
    async with running(tmp_path, job_delay=0.05) as client:
        await client.put("/d/a.txt")
        directory = client.sandbox.records()[0]
        assert (await client.delete(directory.id)).json == {"success": True}
        assert {record.status for record in client.sandbox.records()} == {"deleting"}
        assert (await client.get(directory.id)).json["status"] == "deleting"
        assert (await client.listing(directory="/d")).json["parentExists"] is False
        await until(client.sandbox.jobs_done)
        assert client.sandbox.records() == []


@pytest.mark.parametrize("retry_after", [None, 2.0])
async def test_throttling(tmp_path: Path, retry_after: float | None) -> None:
    async with running(tmp_path, throttle=3, throttle_retry_after=retry_after) as client:
        answers = [await client.listing() for _ in range(5)]
        assert [answer.status for answer in answers[:3]] == [200, 200, 200]
        assert answers[4].status == 429
        assert answers[4].headers.get("Retry-After") == (None if retry_after is None else "2")
        await asyncio.sleep(0.4)
        assert (await client.listing()).status == 200


@pytest.mark.parametrize(("rule", "status"), [("conflict", 409), ("bad_request", 400)])
async def test_a_second_create_can_be_refused(tmp_path: Path, rule: str, status: int) -> None:
    async with running(tmp_path, duplicate_create=rule) as client:
        await client.put("/d/a.txt")
        assert (await client.create("/d/a.txt")).status == status
        assert (await client.create("/d", type="directory")).status == status


async def test_a_second_create_can_make_a_second_record(tmp_path: Path) -> None:
    async with running(tmp_path, duplicate_create="duplicate") as client:
        first = await client.put("/d/a.txt", b"1")
        second = await client.put("/d/a.txt", b"2")
        third = await client.put("/d/a.txt", b"3")
        assert [client.sandbox.content(record) for record in (first, second, third)] == [b"1", b"2", b"3"]
        assert len({record.key for record in (first, second, third)}) == 3
        assert await client.names(directory="/d") == ["a.txt"] * 3
        assert (await client.create("/d", type="directory")).json["id"] == client.sandbox.records()[0].id
        await client.delete(second.id)
        await client.delete(first.id)
        await client.move(third.id, name="b.txt")
        assert (await client.create("/d/a.txt")).status == 201


async def test_a_second_create_can_answer_with_the_existing_record(tmp_path: Path) -> None:
    async with running(tmp_path, duplicate_create="existing") as client:
        first = await client.put("/a.txt", b"1")
        again = (await client.create("/a.txt")).json
        assert (again["id"], again["status"]) == (first.id, "completed")
        assert (await client.send_form(again["upload"], b"2")).status == 204
        assert client.sandbox.tree() == {"/a.txt": b"2"}
        assert (await client.create("/a.txt", type="directory")).status == 409


@pytest.mark.parametrize(
    ("knobs", "shown"),
    [
        ({}, ("pending", 99, True)),
        ({"patched_status": "completed"}, ("completed", 99, True)),
        ({"patched_size": "old"}, ("pending", 3, True)),
        ({"patched_etag": "none"}, ("pending", 99, False)),
    ],
)
async def test_what_a_patched_record_shows(tmp_path: Path, knobs: dict[str, Any], shown: tuple[str, int, bool]) -> None:
    async with running(tmp_path, **knobs) as client:
        record = await client.put("/a.txt", b"old")
        patched = (await client.patch(record.id, fileSize=99)).json
        assert (patched["status"], patched["fileSize"], "s3etag" in patched) == shown
        assert client.sandbox.content(record) == b"old"


async def two_files(client: Client) -> tuple[str, str]:
    return (await client.put("/a", b"a")).id, (await client.put("/b", b"b")).id


async def test_a_move_onto_a_name_that_exists(tmp_path: Path) -> None:
    async with running(tmp_path / "1") as client:
        first, _ = await two_files(client)
        assert (await client.move(first, name="b")).status == 409
        assert client.sandbox.tree() == {"/a": b"a", "/b": b"b"}
    async with running(tmp_path / "2", move_onto="replace") as client:
        first, _ = await two_files(client)
        assert (await client.move(first, name="b")).status == 201
        assert client.sandbox.tree() == {"/b": b"a"}
    async with running(tmp_path / "3", move_onto="duplicate") as client:
        first, _ = await two_files(client)
        assert (await client.move(first, name="b")).status == 201
        assert sorted(client.sandbox.content(record) for record in client.sandbox.records()) == [b"a", b"b"]
        await client.create("/d", type="directory")
        assert (await client.move(client.sandbox.records()[0].id, name="d")).status == 409


@pytest.mark.parametrize(
    ("rule", "given", "kept"),
    [("exact", " e\u0301 ", " e\u0301 "), ("trim", " a ", "a"), ("nfc", "e\u0301", "\u00e9")],
)
async def test_names_can_be_kept_otherwise_than_given(tmp_path: Path, rule: str, given: str, kept: str) -> None:
    async with running(tmp_path, names=rule) as client:
        created = (await client.create(f"/{given}/{given}")).json
        assert (created["name"], created["parentDirectory"]) == (kept, f"/{kept}/")


async def test_forms_can_be_expired_when_they_are_made(tmp_path: Path) -> None:
    async with running(tmp_path, policy_ttl=-1) as client:
        created = (await client.create("/a")).json
        assert (await client.send_form(created["upload"], b"x")).status == 403
        client.sandbox.knobs = Knobs()
        patched = (await client.patch(created["id"])).json
        assert (await client.send_form(patched["upload"], b"x")).status == 204


async def test_a_private_file_without_a_form_takes_its_content_by_upload(tmp_path: Path) -> None:
    async with running(tmp_path, "privateFiles", form_for_private=False) as client:
        created = (await client.create("/a.txt")).json
        assert "upload" not in created
        answer = await client.upload(created["id"], b"hello")
        assert (answer.status, answer.json["status"], answer.json["fileSize"]) == (200, "completed", 5)
        assert "X-Amz-Signature" in answer.json["url"]
        assert client.sandbox.tree("privateFiles") == {"/a.txt": b"hello"}
        assert "upload" not in (await client.patch(created["id"])).json


async def test_what_the_private_upload_refuses(tmp_path: Path) -> None:
    async with running(tmp_path, "privateFiles") as client:
        created = (await client.create("/d/a.txt")).json
        directory = client.sandbox.records("privateFiles")[0]
        assert (await client.upload(created["id"], b"x", field="file")).status == 400
        assert (await client.upload(directory.id, b"x")).status == 400
        assert (await client.upload("0" * 24, b"x")).status == 404
        url = client.one(created["id"]) + "/upload"
        assert (await client.request("POST", url, data=b"no form")).status == 400
        client.token = "wrong"
        assert (await client.upload(created["id"], b"x")).status == 401


async def test_another_address_can_be_given_for_uploads(tmp_path: Path) -> None:
    async with running(tmp_path, upload_url="http://169.254.169.254/latest") as client:
        assert (await client.create("/a")).json["upload"]["url"] == "http://169.254.169.254/latest"


async def test_wrong_etags_are_recorded_so_many_times(tmp_path: Path) -> None:
    async with running(tmp_path, corrupt_etag=1) as client:
        first, second = await client.put("/a", b"hello"), await client.put("/b", b"hello")
        assert first.etag != "5d41402abc4b2a76b9719d911017c592"
        assert second.etag == "5d41402abc4b2a76b9719d911017c592"


async def test_the_server_has_its_own_clock(tmp_path: Path) -> None:
    async with running(tmp_path, clock_offset=7200) as client:
        answer = await client.create("/a")
        local = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 7200))
        assert answer.json["creationDate"][:15] == local[:15]
        assert time.strftime("%d %b %Y %H", time.gmtime(time.time() + 7200)) in answer.headers["Date"]


async def test_one_seed_gives_one_course_of_events(tmp_path: Path) -> None:
    fault = Fault("get", "status", probability=0.5)
    courses = []
    for run in range(2):
        async with running(tmp_path / str(run), seed=7, faults=(fault,)) as client:
            courses.append([(await client.get("0" * 24)).status for _ in range(40)])
    assert courses[0] == courses[1]
    assert set(courses[0]) == {404, 500}


def test_knobs_from_pairs() -> None:
    knobs = Knobs.from_pairs(
        [
            "seed=3",
            "latency=0.02",
            "page_size_ceiling=10",
            "content_length_range=0-100",
            "form_for_private=false",
            "names=nfc",
            "fault=create:status=500:p=0.1",
            "fault=form:reset_after:count=1",
            "fault=get:hang=0.5:name=*.txt:when=after",
        ]
    )
    assert (knobs.seed, knobs.latency, knobs.page_size_ceiling) == (3, 0.02, 10)
    assert (knobs.content_length_range, knobs.form_for_private, knobs.names) == ((0, 100), False, "nfc")
    assert knobs.faults == (
        Fault("create", "status", status=500, probability=0.1),
        Fault("form", "reset_after", count=1),
        Fault("get", "hang", seconds=0.5, name="*.txt", when="after"),
    )
    assert Knobs.from_pairs(["content_length_range=exact"]).content_length_range == "exact"
    assert Knobs.from_pairs([]) == Knobs()


def test_every_knob_can_be_written() -> None:
    written = {"names": "trim", "form_for_private": "true", "content_length_range": "1-2", "upload_url": "http://x"}
    written |= {"duplicate_create": "existing", "move_onto": "replace", "patched_status": "completed"}
    written |= {"patched_size": "old", "patched_etag": "none"}
    for field in fields(Knobs):
        if field.name != "faults":
            Knobs.from_pairs([f"{field.name}={written.get(field.name, '1')}"])


@pytest.mark.parametrize(
    "pair",
    [
        "latency",
        "latency=-1",
        "latency=soon",
        "lateness=1",
        "names=lower",
        "form_for_private=yes",
        "content_length_range=5",
        "page_size_ceiling=0",
        "corrupt_etag=-1",
        "fault=create",
        "fault=invent:status=500",
        "fault=create:explode",
        "fault=create:status=x",
        "fault=create:garbage=1",
        "fault=create:status=500:q=1",
        "fault=create:status=500:p=2",
        "fault=create:hang=1:when=never",
    ],
)
def test_knobs_that_cannot_be_read(pair: str) -> None:
    with pytest.raises(ValueError, match=r"knob|fault"):
        Knobs.from_pairs([pair])
