"""Content types by name and dimensions by header, whatever the name and the header."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.local.media import content_type_of, dimensions_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.txt", "text/plain"),
        ("A.TXT", "text/plain"),
        ("d.html/a", "application/octet-stream"),
        ("a.html", "text/html"),
        ("a.js", "text/javascript"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.json", "application/json"),
        ("a.tar.gz", "application/gzip"),
        ("a.svgz", "application/gzip"),
        ("a.unheard", "application/octet-stream"),
        (".txt", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("data:text/html,x.png", "image/png"),
        ("a.\udcff", "application/octet-stream"),
    ],
)
def test_content_types(path: str, expected: str) -> None:
    assert content_type_of(path) == expected


def test_a_document_is_never_parsed_for_dimensions() -> None:
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="3" height="2"/>'
    assert dimensions_of(svg, "image/png") is None
    assert dimensions_of(svg, "image/svg+xml") is None


starts = st.sampled_from(
    [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8 ", b"BM", b"MM\x00*", b"II*\x00",
     b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x20ftypavif", b"P6\n", b"8BPS", b"#?RADIANCE\n", b"\0\0\1\0"]
)  # fmt: skip


@settings(max_examples=500, deadline=1000)
@given(starts, st.binary(max_size=200))
def test_whatever_calls_itself_an_image_raises_nothing(start: bytes, rest: bytes) -> None:
    found = dimensions_of(start + rest, "image/png")
    assert found is None or min(found) > 0
