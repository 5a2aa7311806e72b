"""Brings one file's bytes to where the API said, and proves that they arrived.

Called by `losant` with the ticket that a create or patch answer gave. Makes no records of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from yarl import URL

from syncd.errors import Rejected
from syncd.ports import Content
from syncd.remotes.guard import StorageGuard
from syncd.remotes.http import Answer, Refused, Request
from syncd.remotes.multipart import Form, Meter, StreamedForm
from syncd.remotes.records import Record, Upload, decode_record, md5_of
from syncd.remotes.throttle import Throttle
from syncd.remotes.transport import Retrying
from syncd.remotes.waits import Waits

WHOLE_BYTES = 60 * 1024
"""A form up to about this size fits the socket's buffers, so that sending it cannot stall; a longer one is streamed."""

EXPIRED = frozenset({"ExpiredToken", "RequestExpired"})


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where the content of a record goes: S3's form, or (`upload` None) the private files' own upload resource."""

    record: Record
    upload: Upload | None
    direct: URL | None


class Uploader:
    """Sends contents and compares the checksums of the answers. `look` reads a record, None if it is gone."""

    def __init__(
        self,
        transport: Retrying,
        *,
        guard: StorageGuard,
        waits: Waits,
        sent: Callable[[int], None],
        throttle: Throttle,
        look: Callable[[str], Awaitable[Record | None]],
    ) -> None:
        self._transport = transport
        self._guard = guard
        self._waits = waits
        self._sent = sent
        self._throttle = throttle
        self._look = look

    async def fill(
        self, ticket: Ticket, content: Content, *, name: str, renew: Callable[[], Awaitable[Ticket]]
    ) -> bool:
        """Returns when the remote has told that it holds the content's checksum: whether its record is completed, as
        far as that was seen.

        A policy that is refused is asked for anew once, a checksum that differs is sent anew once. Raises Rejected,
        SourceChanged, Unreadable.
        """
        renewed = resent = False
        meter = Meter(self._sent)
        while True:
            meter.begin_again()
            if is_whole(content):
                await self._throttle.grant(content.entry.size)
            try:
                answer = await self._transport.send(self._request(ticket, content, name=name, meter=meter))
            except Refused as refusal:
                if renewed or not (refusal.status == 403 or refusal.code in EXPIRED):
                    raise
                renewed, ticket = True, await renew()
                continue
            checksum = content.checksum
            held = await self._held(ticket.record.id, answer, checksum)
            if held is not None:
                if is_whole(content):
                    meter.given(content.entry.size)
                return held
            if resent:
                raise Rejected(f"checksum mismatch: the remote does not hold {checksum} after two uploads")
            resent, ticket = True, await renew()

    def _request(self, ticket: Ticket, content: Content, *, name: str, meter: Meter) -> Request[Answer | Record]:
        if ticket.upload is not None:
            url = self._guard.check(ticket.upload.url)
            fields = {key: value for key, value in ticket.upload.fields.items() if key != "bucket"}
            form = Form(fields=fields, part="file", filename=name, content=content)
            body = body_of(form, meter, self._throttle)
            return Request("upload", "POST", url, _as_is, body, _headers(form), foreign=True)
        if ticket.direct is None:
            raise Rejected("the remote gave nowhere to upload to")
        form = Form(fields={}, part="privateFile", filename=name, content=content)
        body = body_of(form, meter, self._throttle)
        return Request("upload", "POST", ticket.direct, _record, body, _headers(form))

    async def _held(self, record_id: str, answer: Answer | Record, checksum: str | None) -> bool | None:
        """Whether the record is completed with the content, False if only the content is known to be there, None if
        it is not: by the upload's answer if that says so, else by the record, which may show for a while what it held
        before."""
        told = md5_of(None if isinstance(answer, Record) else answer.headers.get("ETag"))
        if told is not None:
            return False if told == checksum else None
        if isinstance(answer, Record) and _proves(answer, checksum):
            return True

        async def look() -> bool | None:
            record = await self._look(record_id)
            return True if record is not None and _proves(record, checksum) else None

        return await self._waits.appearance(look)


def is_whole(content: Content) -> bool:
    """Whether it is sent at once."""
    return content.data is not None and len(content.data) <= WHOLE_BYTES


def body_of(form: Form, meter: Meter, throttle: Throttle) -> bytes | StreamedForm:
    """What to send. Only one that is streamed asks the throttle and tells the meter by itself."""
    data = form.content.data
    return form.whole(data) if data is not None and len(data) <= WHOLE_BYTES else StreamedForm(form, meter, throttle)


def _proves(record: Record, checksum: str | None) -> bool:
    return record.status == "completed" and checksum is not None and md5_of(record.s3etag) == checksum


def _headers(form: Form) -> dict[str, str]:
    return {"Content-Type": form.content_type}


def _as_is(answer: Answer) -> Answer:
    return answer


def _record(answer: Answer) -> Record:
    return decode_record(answer.body)
