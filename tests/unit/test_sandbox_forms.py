"""The form reader gives the same form however the bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.sandbox.forms import FormError, FormReader, boundary_of
from tests.sandbox_support import encode_form


class Pieces:
    """A body that arrives in pieces of given sizes."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self._body = body
        self._sizes = sizes

    async def readchunk(self) -> tuple[bytes, bool]:
        size = self._sizes.pop() if self._sizes else len(self._body)
        piece, self._body = self._body[:size], self._body[size:]
        return piece, False


async def read(body: bytes, sizes: list[int]) -> tuple[list[tuple[str, str]], bytes]:
    form = FormReader(Pieces(body, sizes), b"limit", file_field="file")
    fields, has_file = await form.fields()
    assert has_file
    return fields, b"".join([piece async for piece in form.pieces()])


Contents = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--limi", b"limit", b"x" * 50])).map(b"".join)


@settings(deadline=None)
@given(content=Contents, sizes=st.lists(st.integers(1, 70), max_size=200), more=st.booleans())
async def test_a_form_is_read_whole(content: bytes, sizes: list[int], more: bool) -> None:
    after: list[tuple[str, str | bytes]] = [("later", "x")] if more else []
    content = content.replace(b"\r\n--limit", b"")
    body, _ = encode_form([("key", "a/b"), ("Policy", "eyJ9=="), ("file", content), *after])
    assert await read(body, sizes) == ([("key", "a/b"), ("Policy", "eyJ9==")], content)


@settings(deadline=None)
@given(left=st.integers(0, 150), sizes=st.lists(st.integers(1, 70), max_size=10))
async def test_a_form_that_ends_early_is_none(left: int, sizes: list[int]) -> None:
    body, _ = encode_form([("key", "a/b"), ("file", b"content")])
    with pytest.raises(FormError):
        await read(body[: min(left, len(body) - 5)], sizes)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b:c"', b"a b:c"),
        ("multipart/mixed; boundary=abc", None),
        ("multipart/form-data", None),
        ("", None),
    ],
)
def test_the_boundary_of_a_content_type(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary
