"""Forms, read back by another implementation of RFC 2046."""

from __future__ import annotations

import asyncio
import email.policy
import math
from email import message_from_bytes

from aiohttp.abc import AbstractStreamWriter
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.bandwidth import UNLIMITED, Change, Timetable
from syncd.remotes.multipart import SLICE_BYTES, Form, Meter, StreamedForm
from syncd.remotes.throttle import Throttle
from tests.remote_support import Bytes


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        await asyncio.sleep(0)
        self.now_s = max(self.now_s, until_s)

    def throttle(self, timetable: Timetable, *, minute: int = 0) -> Throttle:
        return Throttle(timetable, clock=self.clock, sleep=self.sleep, minute=lambda: minute)


class Line(AbstractStreamWriter):
    """Where a payload is written, with the time of each piece."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.pieces: list[tuple[float, int]] = []

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self.pieces.append((self.time.now_s, len(chunk)))

    async def write_eof(self, chunk: bytes = b"") -> None: ...

    async def drain(self) -> None: ...

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None: ...

    def enable_chunking(self) -> None: ...

    async def write_headers(self, status_line: str, headers: object) -> None: ...


def parts_of(form: Form, body: bytes) -> list[tuple[bytes, bytes]]:
    """The header block and the content of each part."""
    boundary = form.content_type.partition("boundary=")[2].encode()
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    return [tuple(piece[2:].split(b"\r\n\r\n", 1)) for piece in pieces[1:-1]]  # type: ignore[misc]


@given(st.binary(), st.dictionaries(st.sampled_from(["key", "policy", "Content-Type", "x"]), st.text(max_size=50)))
def test_fields_in_their_order_then_the_file(data: bytes, fields: dict[str, str]) -> None:
    content = Bytes(data, content_type="image/png")
    form = Form(fields=fields, part="file", filename="f.png", content=content)

    parts = parts_of(form, form.whole(data))

    assert [body for _, body in parts] == [value.encode() for value in fields.values()] + [data]
    for (head, _), name in zip(parts, [*fields, "file"], strict=True):
        assert f'form-data; name="{name}"'.encode() in head
    assert b"Content-Type: image/png" in parts[-1][0]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_a_file_name_is_raw_and_stays_within_its_quotes(name: str) -> None:
    form = Form(fields={}, part="privateFile", filename=name, content=Bytes(b""))
    ((head, _),) = parts_of(form, form.whole(b""))
    lines = head.split(b"\r\n")
    assert len(lines) == 2
    quoted = lines[0].removeprefix(b'Content-Disposition: form-data; name="privateFile"; filename="')
    assert quoted.endswith(b'"')
    inner = quoted[:-1].replace(b"\\\\", b"").replace(b'\\"', b"")
    assert b'"' not in inner
    assert b"\\" not in inner
    if name.isalnum():
        assert quoted[:-1] == name.encode()


def test_a_mail_parser_reads_it_as_well() -> None:
    form = Form(fields={"key": "a/b", "policy": "e30="}, part="file", filename='a "b".txt', content=Bytes(b"data"))
    message = message_from_bytes(
        b"Content-Type: " + form.content_type.encode() + b"\r\n\r\n" + form.whole(b"data"), policy=email.policy.HTTP
    )
    parts = list(message.iter_parts())
    assert [part.get_payload(decode=True) for part in parts] == [b"a/b", b"e30=", b"data"]
    assert parts[-1].get_filename() == 'a "b".txt'


def test_no_two_forms_share_a_boundary() -> None:
    """A file may hold an earlier request of ours, such as a capture of the network."""
    forms = [Form(fields={}, part="file", filename="f", content=Bytes(b"")) for _ in range(100)]
    assert len({form.content_type for form in forms}) == 100


def test_progress_is_taken_back_when_an_upload_begins_again() -> None:
    told: list[int] = []
    meter = Meter(told.append)
    form = StreamedForm(
        Form(fields={}, part="file", filename="f", content=Bytes(b"12345")), meter, Time().throttle(UNLIMITED)
    )
    form.payload(lambda: None)
    meter.given(3)
    meter.given(2)
    form.payload(lambda: None)
    form.payload(lambda: None)
    assert told == [3, 2, -5]


async def _sent(time: Time, throttle: Throttle, size: int) -> list[tuple[float, int]]:
    """The pieces of a file's bytes as they went to the network."""
    content = Form(fields={}, part="file", filename="f", content=Bytes(bytes(size)))
    line = Line(time)
    await StreamedForm(content, Meter(lambda _: None), throttle).payload(lambda: None).write(line)
    return line.pieces[1:-1]


async def test_a_limited_upload_goes_in_small_pieces_at_its_rate() -> None:
    time = Time()
    pieces = await _sent(time, time.throttle(Timetable((Change(0, 100_000.0),))), 1_000_000)
    assert sum(size for _, size in pieces) == 1_000_000
    assert max(size for _, size in pieces) == 5000
    assert 9.8 < pieces[-1][0] < 10.0


async def test_two_uploads_of_a_job_take_turns() -> None:
    time = Time()
    throttle = time.throttle(Timetable((Change(0, 100_000.0),)))
    large, small = await asyncio.gather(_sent(time, throttle, 500_000), _sent(time, throttle, 20_000))
    assert small[-1][0] < large[len(large) // 2][0]


async def test_outside_of_its_hours_nothing_is_limited() -> None:
    time, office = Time(), Timetable((Change(480, 1000.0), Change(1140, math.inf)))
    pieces = await _sent(time, time.throttle(office, minute=1200), 1_000_000)
    assert {moment for moment, _ in pieces} == {0.0}
    assert pieces[0][1] == SLICE_BYTES
