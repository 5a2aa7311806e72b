"""What a watch tells when it cannot see, did not run, or has lost what it watched."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from syncd.local import notifier
from tests.local_support import NOBODY, directory_for_all, plant
from tests.watch_support import own_limits, watched, watching_child


async def test_a_name_that_is_not_utf8_costs_its_directory_alone_the_watch(tmp_path: Path) -> None:
    plant(tmp_path, "a/file", "bad/sub/file")
    async with watched(tmp_path, poll_s=1.5) as heard:
        (tmp_path / "bad").joinpath(os.fsdecode(b"\xff")).write_text("no such text")
        await heard.reason("the watch broke")
        assert heard.watch.degraded is not None
        assert "UTF-8" in heard.watch.degraded
        for directory in ("a", "bad/sub"):
            heard.hints.clear()
            (tmp_path / directory / "file").write_text("new")
            await heard.directories(directory)
        (tmp_path / "bad/new").mkdir()
        await heard.directories("bad", "bad/new")
        heard.hints.clear()
        await heard.until(lambda: any(hint[:2] == (frozenset(["bad"]), "polling") for hint in heard.hints))
        (tmp_path / "bad").joinpath(os.fsdecode(b"\xff")).unlink()
        await heard.until(lambda: heard.watch.degraded is None)  # told with other news if there are some
    assert heard.everywhere == []


async def test_a_directory_with_a_bad_name_does_not_break_the_watch_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    (tmp_path / "sub").mkdir()
    async with watched(tmp_path) as heard:
        assert list((tmp_path / os.fsdecode(b"\xff")).iterdir()) == []
        (tmp_path / "sub/file").write_text("new")
        await heard.directories("sub")
    assert heard.everywhere == []


async def test_the_source_removed_and_back(tmp_path: Path) -> None:
    root = tmp_path / "root"
    plant(root, "a/file")
    async with watched(root) as heard:
        root.rename(tmp_path / "away")
        await heard.reason("is gone")
        assert heard.watch.degraded == "the source is missing"
        plant(root, "b/file")
        await heard.reason("is back")
        assert heard.watch.degraded is None
        heard.hints.clear()
        (root / "b/file").write_text("new")
        await heard.directories("b")
        assert heard.everywhere == []


async def test_a_source_missing_from_the_start_is_waited_for(tmp_path: Path) -> None:
    async with watched(tmp_path / "root") as heard:
        assert heard.watch.degraded == "the source is missing"
        (tmp_path / "root").write_text("not a directory yet")
        (tmp_path / "root").unlink()
        (tmp_path / "root").mkdir()
        await heard.reason("is back")


async def test_a_source_swapped_by_its_symlink(tmp_path: Path) -> None:
    plant(tmp_path, "1/a/file", "2/a/file")
    (tmp_path / "current").symlink_to("1")
    async with watched(tmp_path / "current") as heard:
        (tmp_path / "next").symlink_to("2")
        (tmp_path / "next").rename(tmp_path / "current")
        await heard.reason("was replaced")
        heard.hints.clear()
        (tmp_path / "1/a/file").write_text("nobody's any more")
        (tmp_path / "2/a/file").write_text("new")
        await heard.directories("a")
        assert heard.everywhere == []


async def test_a_source_recreated_at_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    async with watched(root) as heard:
        root.rename(tmp_path / "old")
        root.mkdir()
        await heard.reason("was replaced")
        heard.hints.clear()
        (root / "file").write_text("new")
        await heard.directories("")


async def test_a_directory_that_may_not_be_read_keeps_its_neighbours_watched() -> None:
    with directory_for_all() as root:
        plant(root, "closed/file", *[f"{number}/file" for number in range(10)])
        for path in root.iterdir():
            path.chmod(0o777)
        (root / "closed").chmod(0)
        async with AsyncExitStack() as stack:
            with as_somebody_else():
                heard = await stack.enter_async_context(watched(root))
            for number in range(10):
                (root / f"{number}/file").touch()
                await heard.directories(str(number))
            (root / "closed").chmod(0o755)
            await heard.directories("closed")
            await heard.reason("new directories")
            heard.hints.clear()
            (root / "closed/file").write_text("new")
            await heard.directories("closed")
        assert heard.everywhere == []


async def test_a_watch_found_deaf_is_renewed_and_degraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.local.lookout.RENEW_S", 0.0)
    (tmp_path / "a").mkdir()
    async with watched(tmp_path) as heard:
        await heard.watch.renew("a change was not announced")
        assert heard.watch.degraded == "a change was not announced"
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            heard.hints.clear()
            (tmp_path / "a/file").write_text("told before, while and after it is renewed")
            await heard.directories("a")
        assert heard.everywhere == []
        monkeypatch.setattr("syncd.local.watch.clock", lambda: notifier.clock() + 3601)
        assert heard.watch.degraded is None


def test_few_watches_mean_polling(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{number}/file" for number in range(40)])
    with watching_child(tmp_path, poll_s=0.3, before=own_limits(max_inotify_watches=20)) as child:
        assert "max_user_watches" in child.until(lambda told: told["reason"] == "in place")["degraded"]
        assert child.until(lambda told: told["reason"] == "polling")["directories"] is None


def test_no_instance_means_polling(tmp_path: Path) -> None:
    with watching_child(tmp_path, poll_s=0.3, before=own_limits(max_inotify_instances=0)) as child:
        assert "max_user_instances" in child.until(lambda told: told["reason"] == "in place")["degraded"]
        assert child.until(lambda told: told["reason"] == "polling")["directories"] is None


def test_a_limit_reached_later_means_polling(tmp_path: Path) -> None:
    with watching_child(tmp_path, poll_s=0.3, before=own_limits(max_inotify_watches=20)) as child:
        assert child.until(lambda told: told["reason"] == "in place")["degraded"] is None
        for number in range(30):
            (tmp_path / str(number)).mkdir()
        assert "max_user_watches" in child.until(lambda told: told["reason"] == "polling")["degraded"]


def test_a_process_that_was_stopped_looks_everywhere(tmp_path: Path) -> None:
    with watching_child(tmp_path, stall_s=1.0) as child:
        child.until(lambda told: told["reason"] == "in place")
        child.process.send_signal(signal.SIGSTOP)
        time.sleep(3)  # what the stall is made of
        plant(tmp_path, *[f"{number % 30}/{number}" for number in range(3000)])
        child.process.send_signal(signal.SIGCONT)
        assert child.until(lambda told: "nothing was read" in told["reason"])["directories"] is None
        (tmp_path / "7/last").write_text("the new directories are watched")
        child.until(lambda told: told["directories"] is not None and "7" in told["directories"])


def test_another_filesystem_mounted_over_the_source_and_gone_again(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with watching_child(tmp_path, before=own_limits()) as child:
        child.until(lambda told: told["reason"] == "in place")
        child.do(f"mount -t tmpfs none '{tmp_path}' && mkdir '{tmp_path}/above'")
        assert child.until(lambda told: told["reason"] == "the source was replaced")["directories"] is None
        child.do(f"touch '{tmp_path}/above/file'")
        child.until(lambda told: told["directories"] == ["above"])
        child.do(f"umount -l '{tmp_path}'")
        child.until(lambda told: told["reason"] == "the source was replaced")
        (tmp_path / "below/file").write_text("new")
        child.until(lambda told: told["directories"] == ["below"])


def test_an_overlay_is_watched_and_polled(tmp_path: Path) -> None:
    plant(tmp_path, "lower/a/file", "upper/", "work/", "merged/")
    options = ",".join(f"{name}dir={tmp_path / name}" for name in ("lower", "upper", "work"))
    before = [*own_limits(), "sh", "-c", f"mount -t overlay none -o {options} '{tmp_path}/merged' && exec \"$@\"", "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not permit overlays in user namespaces")
    with watching_child(tmp_path / "merged", poll_s=0.5, before=before) as child:
        assert "overlay" in child.until(lambda told: told["reason"] == "in place")["degraded"]
        child.do(f"touch '{tmp_path}/merged/a/file'")
        child.until(lambda told: told["directories"] is not None and "a" in told["directories"])
        assert child.until(lambda told: told["reason"] == "polling")["directories"] is None


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Threads begun meanwhile have not root's right to read everything either."""
    libc = ctypes.CDLL(None)
    was = libc.setfsuid(NOBODY)
    try:
        yield
    finally:
        libc.setfsuid(was)
