"""The page for people in a real browser: what it shows, that names cannot act in it, that it notices silence."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from syncd.core.model import JobStatus, Problem
from syncd.telemetry.counts import Counts
from syncd.telemetry.status import StatusServer
from tests.daemon_support import BUSY, IDLE, FakeDaemon

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian package chromium)")

EVIL = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


async def browse(url: str, profile: Path, *options: str) -> tuple[str, str]:
    """What the document has become after five seconds of its own time, and what the browser complained of."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        "--virtual-time-budget=5000",
        "--enable-logging=stderr",
        "--dump-dom",
        *options,
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        document, log = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    console = [line for line in log.decode().splitlines() if "CONSOLE" in line]
    return document.decode(), "\n".join(console)


def shown(document: str) -> str:
    """The words of the document as somebody reads them."""
    body = re.sub(
        r"<(script|style|template|noscript|title)\b.*?</\1>|<[^>]*\bhidden\b[^>]*>.*?</(?:p|details)>",
        " ",
        document,
        flags=re.DOTALL,
    )
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def test_jobs_are_shown_and_names_cannot_act(tmp_path: Path) -> None:
    evil = replace(
        BUSY, held_paths=("gone/a", EVIL), failed=(Problem(EVIL, "create", EVIL),), degraded=EVIL, error=EVIL
    )
    async with StatusServer("127.0.0.1:0", FakeDaemon(IDLE, evil), Counts()) as server:
        document, console = await browse(f"{server.url}/", tmp_path / "profile")
    text = shown(document)
    assert console == ""
    assert "<title>1 watching, 1 syncing – syncd</title>" in document
    assert "syncd 2 jobs: 1 watching, 1 syncing" in text
    assert "assets watching queued 0 in flight 0 held deletions 0 failed paths 0 oldest unsynced none" in text
    assert "backup syncing queued 3 in flight 2 held deletions 2 failed paths 1 oldest unsynced 1 min" in text
    assert "2 deletions held Done after syncd approve backup , dropped when the files come back. gone/a <img" in text
    assert f"1 path failed Tried again later; everything else goes on. {EVIL} {EVIL}" in text
    assert f"Changes may be noticed late: {EVIL}" in text
    assert "<img" not in document


async def test_a_daemon_without_jobs(tmp_path: Path) -> None:
    daemon = FakeDaemon()
    daemon.statuses = []
    async with StatusServer("127.0.0.1:0", daemon, Counts()) as server:
        document, console = await browse(f"{server.url}/", tmp_path / "profile")
    assert (console, "syncd 0 jobs As of" in shown(document)) == ("", True)


async def test_silence_is_said(tmp_path: Path) -> None:
    """The page is fetched once and then asks a status that fails."""

    class Failing(FakeDaemon):
        def status(self) -> Sequence[JobStatus]:
            raise ConnectionResetError

    async with StatusServer("127.0.0.1:0", Failing(), Counts()) as server:
        document, _ = await browse(f"{server.url}/", tmp_path / "profile")
    assert "syncd cannot be reached." in shown(document)
    assert "<title>not reachable – syncd</title>" in document
