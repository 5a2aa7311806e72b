"""Forms, read back by another implementation of RFC 2046."""

from __future__ import annotations

import email.policy
from email import message_from_bytes

from hypothesis import given
from hypothesis import strategies as st

from syncd.remotes.multipart import Form, Meter, StreamedForm
from tests.remote_support import Bytes


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
    form = StreamedForm(Form(fields={}, part="file", filename="f", content=Bytes(b"12345")), meter)
    form.payload(lambda: None)
    meter.given(3)
    meter.given(2)
    form.payload(lambda: None)
    form.payload(lambda: None)
    assert told == [3, 2, -5]
