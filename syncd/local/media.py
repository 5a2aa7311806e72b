"""What kind of content a file is, told to the remote: content type by name, image dimensions by header.

Called by `content` for every upload and by the planner's caller, since a rename that changes the content type is an
upload. Never reads the system's own tables or a file: the same name gives the same type on every machine.
"""

from __future__ import annotations

import io
import mimetypes
import struct

HEADER_BYTES = 64 * 1024
UNKNOWN = "application/octet-stream"

_ENCODED = {
    ".gz": "application/gzip",
    ".svgz": "application/gzip",
    ".tgz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".br": "application/x-brotli",
    ".zst": "application/zstd",
    ".z": "application/x-compress",
}
_SETTLED = {
    ".avif": "image/avif",
    ".csv": "text/csv",
    ".heic": "image/heic",
    ".js": "text/javascript",
    ".json": "application/json",
    ".log": "text/plain",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".toml": "application/toml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""What Python's own table calls differently from release to release, or does not know."""


_MARKUP = (b"<", b"\xef\xbb\xbf", b" ", b"\t", b"\r", b"\n", b"\xfe\xff", b"\xff\xfe")
"""How a document begins that an XML parser would be tried on: no picture does."""


def _table() -> dict[str, str]:
    known = mimetypes.MimeTypes(())
    return {**known.types_map[False], **known.types_map[True], **_SETTLED, **_ENCODED}


_TYPES = _table()


def content_type_of(path: str) -> str:
    """The content type that the name of `path` stands for, `application/octet-stream` where it stands for none."""
    stem, dot, extension = path[path.rfind("/") + 1 :].rpartition(".")
    return (
        _TYPES.get(f".{extension.lower()}", "application/octet-stream") if dot and stem else "application/octet-stream"
    )


def dimensions_of(header: bytes, content_type: str) -> tuple[int, int] | None:
    """Width and height in pixels from the first bytes of an image, None for whatever is not plainly one."""
    if not is_picture(content_type) or header.startswith(_MARKUP):
        return None
    import imagesize  # brings an HTTP client and an XML parser along, so only with the first image

    try:
        width, height = imagesize.get(io.BytesIO(header))
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError, EOFError, AttributeError, struct.error):
        return None
    return (int(width), int(height)) if width > 0 and height > 0 else None


def is_picture(content_type: str) -> bool:
    """Whether it can have dimensions: images but for SVG, which is a document to be parsed."""
    return content_type.startswith("image/") and content_type != "image/svg+xml"
