"""What the sandbox refuses and how it fails: every exception of the package.

Raised by all modules here; `server` turns a `Refusal` into an HTTP answer. The two
`SandboxError` classes are for whoever starts a sandbox. Nothing here logs or retries.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

import msgspec


class SandboxError(Exception):
    """The sandbox itself cannot run: nothing was served."""


class DataDirectoryInUse(SandboxError):
    """Another process holds the lock of the data directory."""


class Refusal(Exception):
    """A request that gets an error answer: a status, a body and the body's content type."""

    content_type = "application/json; charset=utf-8"

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def body(self) -> bytes:
        """The error document of the file API: `{"type": ..., "message": ...}`."""
        return msgspec.json.encode({"type": self.code, "message": self.message})


class StorageRefusal(Refusal):
    """A refusal of the object storage, which answers XML."""

    content_type = "application/xml"

    def body(self) -> bytes:
        """The error document of the object storage: `<Error><Code>..</Code>..</Error>`."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message></Error>"
        ).encode()


class InvalidFile(Refusal):
    """A refusal of Privasfer, which names the field and what is wrong with it: always the file's."""

    def __init__(self, complaint: str) -> None:
        super().__init__(422, "", complaint)

    def body(self) -> bytes:
        """The error document of Laravel's validation: `{"message": ..., "errors": {"file": [...]}}`."""
        return msgspec.json.encode({"message": "The given data was invalid.", "errors": {"file": [self.message]}})


class PlainRefusal(Refusal):
    """Any other refusal of Privasfer: `{"message": ...}`."""

    def body(self) -> bytes:
        """The message alone."""
        return msgspec.json.encode({"message": self.message})


class RawRefusal(Refusal):
    """A refusal whose body is given as it stands, such as a proxy's page."""

    content_type = "text/html"

    def body(self) -> bytes:
        """The message itself."""
        return self.message.encode()


class ConnectionDropped(Exception):
    """The connection is to be torn down with no answer."""


def malformed(message: str) -> Refusal:
    """The answer to a request that breaks a rule of the API."""
    return Refusal(400, "Validation", message)


def not_found(what: str) -> Refusal:
    """The answer for something that is not there, in the words of the API."""
    return Refusal(404, "NotFound", f"{what} was not found")


def conflict(message: str) -> Refusal:
    """The answer to a request for a place that is taken."""
    return Refusal(409, "Conflict", message)
