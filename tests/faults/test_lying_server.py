"""A broken or lying listing never leads to a deletion, nor to a second upload of everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import TimeoutExpired
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from syncd.sandbox import Fault
from tests.e2e.program import Pair

Change = Callable[[bytes], bytes]
"""The body of an answer to the one that is passed on."""


class Liar:
    """A proxy in front of the API; `change`, where it is set, changes the answers to GET."""

    def __init__(self, url: str) -> None:
        liar = self
        self.change: Change | None = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length else None
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                request = Request(url + self.path, data=body, headers=headers, method=self.command)
                try:
                    with urlopen(request, timeout=30) as answer:
                        status, kind, content = answer.status, answer.headers["Content-Type"], answer.read()
                except HTTPError as error:
                    with error:
                        status, kind, content = error.code, error.headers["Content-Type"], error.read()
                if self.command == "GET" and status == 200 and liar.change is not None:
                    content = liar.change(content)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = pass_on  # noqa: N815 - as the base class names them

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def liar(pair: Pair) -> Iterator[Liar]:
    """The proxy, and the pair's job going through it."""
    liar = Liar(pair.server.url)
    pair.api_url = liar.url
    yield liar
    liar.close()


def listing_only(edit: Callable[[dict[str, Any]], None]) -> Change:
    def change(body: bytes) -> bytes:
        document = json.loads(body)
        if "items" in document:
            edit(document)
        return json.dumps(document).encode()

    return change


def nothing_there(page: dict[str, Any]) -> None:
    page.update(items=[], count=0, totalCount=0)


def only_the_first(page: dict[str, Any]) -> None:
    page.update(items=page["items"][:1], count=1)


def half_without_saying(page: dict[str, Any]) -> None:
    items = page["items"][: len(page["items"]) // 2]
    page.update(items=items, count=len(items), totalCount=len(items))


def without_ids(page: dict[str, Any]) -> None:
    for item in page["items"]:
        del item["id"]


def other_types(page: dict[str, Any]) -> None:
    page.update(items="none", totalCount="many")


def unknown_status(page: dict[str, Any]) -> None:
    for item in page["items"]:
        item["status"] = "archived"


def everything_is_leaving(page: dict[str, Any]) -> None:
    for item in page["items"]:
        item["status"] = "deleting"


def out_of_the_destination(page: dict[str, Any]) -> None:
    for item in page["items"]:
        item["parentDirectory"] = "/dir/../../etc/"


LIED_TO_FOR_S = 1.5
"""Some lies are taken for outages, which are waited for; a deletion would come at once."""

LIES = [
    nothing_there,
    only_the_first,
    half_without_saying,
    without_ids,
    other_types,
    unknown_status,
    everything_is_leaving,
    out_of_the_destination,
]


def test_lies_delete_nothing_that_is_wanted(pair: Pair, liar: Liar) -> None:
    """In the mode that deletes most."""
    for number in range(12):
        pair.write(f"d{number % 3}/{number}", f"content {number}")
    pair.mirrored()
    before = pair.remote()
    for lie in LIES:
        liar.change = listing_only(lie)
        process = pair.start("--delete", "mirror")
        try:
            process.communicate(timeout=LIED_TO_FOR_S)
        except TimeoutExpired:
            process.kill()
            process.communicate()
        after = pair.remote()
        assert {path: after.get(path) for path in before} == before, lie
    liar.change = None
    pair.mirrored()
    assert pair.remote() == before
    pair.assert_clean()


def test_a_page_that_fails_after_the_third(pair: Pair) -> None:
    for number in range(40):
        pair.write(f"{number}", f"content {number}")
    pair.mirrored()
    for number in range(10):
        (pair.source / f"{number}").unlink()
    pair.server.turn(page_size_ceiling=10, faults=(Fault("list", "status", status=503, retry_after=600, skip=3),))
    run = pair.mirrored(code=5)
    assert run.counts().get("deleted", 0) == 0
    assert len(pair.remote()) == 40
    pair.server.turn()
    assert pair.mirrored().counts() == {"unchanged": 30, "deleted": 10}


def test_a_listing_that_changes_while_it_is_read(pair: Pair) -> None:
    """Other clients add and remove files between the pages."""
    for number in range(40):
        pair.write(f"{number}", f"content {number}")
    for number in range(30):
        pair.server.plant(f"/elsewhere/{number}", b"x")
    pair.mirrored()
    pair.server.turn(page_size_ceiling=10)
    pages = 0

    def somebody_else() -> None:
        nonlocal pages
        pages += 1
        records = [record for record in pair.server.sandbox.records() if record.directory == "/elsewhere/"]
        if pages % 3 == 0 and records:
            pair.server.sandbox.remove(records[0])
        elif pages < 60:
            pair.server.sandbox.plant(f"/elsewhere/new {pages}", b"y")

    pair.server.sandbox.on_page = somebody_else
    with pair.server.counting() as changes:
        assert pair.mirrored().counts() == {"unchanged": 40}
    assert changes == {}


def test_an_entry_that_a_listing_lacks_is_asked_for(pair: Pair, liar: Liar) -> None:
    """Nothing is uploaded again, and nothing is taken for deleted by somebody, on the word of one listing."""
    pair.write("a", "a")
    pair.write("b", "b")
    pair.mirrored()

    def without_b(page: dict[str, Any]) -> None:
        items = [item for item in page["items"] if item["name"] != "b"]
        page.update(items=items, count=len(items), totalCount=len(items))

    liar.change = listing_only(without_b)
    with pair.server.counting() as changes:
        assert pair.mirrored().counts() == {"unchanged": 2}
    assert changes == {}


def test_two_records_of_one_path(pair: Pair) -> None:
    """Its own repeat is removed; somebody else's of other content is left and counted."""
    pair.write("a", "mine")
    pair.write("b", "b")
    pair.mirrored()
    pair.plant("a", b"mine")
    pair.plant("b", b"theirs")
    run = pair.mirrored()
    records = [(record.name, pair.server.sandbox.content(record)) for record in pair.server.records()]
    assert sorted(one for one in records if one[0] in "ab") == [("a", b"mine"), ("b", b"b"), ("b", b"theirs")]
    assert run.counts()["extra"] == 1
    with pair.server.counting() as changes:
        pair.mirrored()
    assert changes == {}
