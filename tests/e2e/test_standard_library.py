"""Some thousand real files there and back: complete, then idle, then as few requests as an expert would make."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from syncd.sandbox import APPLICATION_ID, Kind
from tests.e2e.program import TOKEN, Pair

losant_rest = pytest.importorskip("losant_rest")

LEFT_OUT = shutil.ignore_patterns("site-packages", "dist-packages", "__pycache__", "config-*")


@pytest.fixture(params=["files", "privateFiles"])
def library(pair: Pair, request: pytest.FixtureRequest) -> Pair:
    pair.kind = request.param
    shutil.rmtree(pair.source)
    shutil.copytree(sysconfig.get_path("stdlib"), pair.source, ignore=LEFT_OUT, symlinks=False)
    return pair


def official_listing(url: str, kind: Kind) -> Iterator[dict[str, Any]]:
    """Every file by the vendor's own client, with an address to read it from."""
    client = losant_rest.Client(auth_token=TOKEN, url=url)
    resource, more = (client.files, {}) if kind == "files" else (client.private_files, {"urlTTL": 600})
    page, seen = 0, 0
    while True:
        answer = resource.get(applicationId=APPLICATION_ID, type="file", page=page, perPage=1000, **more)
        yield from answer["items"]
        page, seen = page + 1, seen + answer["count"]
        if not answer["count"] or seen >= answer["totalCount"]:
            return


def official_contents(pair: Pair) -> dict[str, bytes]:
    """Every file of the destination, downloaded as anybody would."""
    items = list(official_listing(pair.server.url, pair.kind))
    with requests.Session() as session, ThreadPoolExecutor(4) as threads:
        contents = threads.map(lambda item: session.get(item["url"], timeout=30).content, items)
        prefix = f"/{pair.directory}/"
        return {
            (item["parentDirectory"] + item["name"]).removeprefix(prefix): content
            for item, content in zip(items, contents, strict=True)
        }


def rework(source: Path) -> dict[str, int]:
    """Rename a package, then edit, add and delete; returns how many of which requests an expert would make."""
    moved = source / "serialization"
    (source / "json").rename(moved)
    (moved / "decoder.py").write_text("# edited after the move\n")
    (moved / "added.py").write_text("# new in the moved package\n")
    (moved / "tool.py").unlink()
    (source / "this.py").write_text("# edited\n")
    (source / "abc.py").write_text("# edited, too\n")
    shutil.rmtree(source / "wsgiref")
    shutil.rmtree(source / "dbm")
    (source / "antigravity.py").unlink()
    (source / "fresh").mkdir()
    (source / "fresh" / "one.py").write_text("1")
    (source / "fresh" / "two.py").write_text("2")
    edits, new = 3, 3
    return {"move": 1, "patch": edits, "create": new, "form": edits + new, "delete": 4}


def test_the_standard_library_there_and_back(library: Pair) -> None:
    files = {path: content for path, content in library.local().items() if content is not None}
    assert len(files) > 500
    first = library.mirrored()
    assert first.job["created"] == len(files)
    assert first.job["bytes_uploaded"] == sum(map(len, files.values()))
    assert official_contents(library) == files
    library.assert_equal()
    library.assert_idle()

    expected = rework(library.source)
    plan = library.plan()
    assert plan.code == 0
    planned = [action["action"] for action in plan.json["jobs"][0]["actions"]]
    assert {name: planned.count(name) for name in ("move", "replace", "create", "delete")} == {
        "move": 1,
        "replace": expected["patch"],
        "create": expected["create"],
        "delete": expected["delete"],
    }
    with library.server.counting() as changes:
        third = library.mirrored()
    assert changes == expected
    assert third.counts()["deleted"] > 4
    assert third.job["requests"] < sum(expected.values()) + 50, "as many as pages, not as directories"
    library.assert_equal()
    assert official_contents(library) == {
        path: content for path, content in library.local().items() if content is not None
    }
    library.assert_idle()
