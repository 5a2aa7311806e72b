"""The daemon as a process: what changes arrives, what is deleted is guarded, and signals do what they say."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from pathlib import Path

from tests.e2e.daemon_process import stopped, world


async def test_what_changes_arrives_and_the_next_run_has_nothing_to_do(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.write("before", "there before it starts")
        async with here.daemon() as daemon:
            await here.until(here.has("before"))
            here.write("new/deep/file", "made while it runs")
            here.write("before", "changed")
            await here.until(here.has("before", "new/deep/file"))
            (here.source / "new").rename(here.source / "moved")
            await here.until(here.has("before", "moved/deep/file"))
            (here.source / "before").unlink()
            await here.until(here.has("moved/deep/file"))
            assert await stopped(daemon) == 0
        code, report = await here.command("--once", "--json")
        assert code == 0
        assert '"unchanged": 1, "created": 0, "replaced": 0, "moved": 0, "deleted": 0' in report


async def test_too_many_deletions_are_held_while_uploads_go_on_and_done_when_approved(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for number in range(30):
            here.write(f"gone/{number:02}", str(number))
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"] and status["state"] == "watching")
            shutil.rmtree(here.source / "gone")
            status = await here.until_status(lambda status: status["held"])
            assert (status["held"], status["held_paths"][0]) == (30, "gone/00")
            here.write("kept/coming", "while they are held")
            await here.until(lambda: "kept/coming" in here.remote())
            assert len(here.remote()) == 31
            assert (await here.command("wait"))[0] == 3
            assert (await here.command("approve", "main"))[0] == 0
            await here.until(here.has("kept/coming"))
            assert (await here.command("wait"))[0] == 0
            assert await stopped(daemon) == 0


async def test_held_deletions_whose_files_come_back_are_dropped(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('max_delete = "1"')
        for number in range(5):
            here.write(f"files/{number}", str(number))
        here.write("other", "stays")
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"] and status["state"] == "watching")
            (here.source / "files").rename(tmp_path / "aside")
            await here.until_status(lambda status: status["held"] == 5)
            (tmp_path / "aside").rename(here.source / "files")
            await here.until_status(lambda status: status["held"] == 0)
            assert (await here.command("wait"))[0] == 0
            assert len(here.remote()) == 6
            assert await stopped(daemon) == 0


async def test_a_second_daemon_on_the_same_state_exits_with_6_and_leaves_the_first_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as here, here.daemon() as daemon:
        await here.until_status(lambda status: status["last_reconcile"])
        async with here.daemon() as second:
            assert await asyncio.wait_for(second.wait(), 30) == 6
        here.write("file", "the first one is well")
        await here.until(here.has("file"))
        assert await stopped(daemon) == 0


async def test_a_reload_takes_a_good_configuration_and_refuses_a_bad_one(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        other = tmp_path / "other"
        other.mkdir()
        (other / "x").write_text("x")
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"])
            here.configure('max_delete = "lots"')
            daemon.send_signal(signal.SIGHUP)
            await here.until(lambda: "the old one stays" in here.log.read_text())
            here.write("file", "still kept")
            await here.until(here.has("file"))
            here.configure(more=f'[jobs.second]\nsource = "{other}"\ndestination = "box:/second"')
            daemon.send_signal(signal.SIGHUP)
            await here.until(lambda: here.remote("/second/") == ["x"])
            here.configure()
            daemon.send_signal(signal.SIGHUP)
            await here.until(lambda: here.log.read_text().count("was read again") == 2)
            assert await here.status("second") == {}
            assert await stopped(daemon) == 0


async def test_a_refused_token_halts_its_job_only_and_a_new_one_is_taken_up(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        remote = here.configuration.read_text().split("[remotes.box]")[1].split("[jobs.main]")[0]
        wrong, other = tmp_path / "wrong", tmp_path / "other"
        wrong.write_text("not-the-token")
        other.mkdir()
        (other / "x").write_text("x")
        second = remote.replace(str(here.token), str(wrong))
        job = f'[jobs.second]\nsource = "{other}"\ndestination = "bad:/second"'
        here.configure(more=f"[remotes.bad]{second}\n{job}")
        here.write("file", "of the job with the right one")
        async with here.daemon() as daemon:
            await here.until(here.has("file"))
            await here.until_status(lambda status: status["state"] == "halted", "second")
            assert (await here.command("wait", "second"))[0] == 1
            assert (await here.command("wait", "main"))[0] == 0
            wrong.write_text(here.token.read_text())
            assert (await here.command("rescan", "second"))[0] == 0
            await here.until(lambda: here.remote("/second/") == ["x"])
            assert await stopped(daemon) == 0


async def test_with_flush_what_changed_last_is_sent_before_it_stops(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('on_stop = "flush"\nsettle_max = "1h"'.replace("100ms", "1m"))
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"])
            here.write("last/words", "written right before the end")
            assert await stopped(daemon) == 0
            assert here.remote() == ["last/words"]


async def test_the_source_may_go_away_and_come_back(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.write("file", "kept")
        async with here.daemon() as daemon:
            await here.until(here.has("file"))
            await here.until_status(lambda status: status["state"] == "watching")
            here.source.rename(tmp_path / "aside")
            await here.until_status(lambda status: status["state"] == "halted")
            (tmp_path / "aside").rename(here.source)
            here.write("more", "after it came back")
            await here.until(here.has("file", "more"))
            assert await stopped(daemon) == 0


async def test_the_service_manager_hears_of_start_and_stop(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        path = tmp_path / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.setblocking(False)
            heard: list[str] = []

            def hears(word: str) -> bool:
                try:
                    while True:
                        heard.extend(manager.recv(4096).decode().splitlines())
                except BlockingIOError:
                    return word in heard

            async with here.daemon(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="1000000") as daemon:
                await here.until(lambda: hears("READY=1"))
                await here.until(lambda: hears("WATCHDOG=1"))
                daemon.send_signal(signal.SIGHUP)
                await here.until(lambda: hears("RELOADING=1"))
                assert await stopped(daemon) == 0
                assert hears("STOPPING=1")


async def test_many_changes_in_one_directory_cost_few_listings_and_its_rename_one_change(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for number in range(3000):
            here.write(f"many/{number:04}", str(number))
        async with here.daemon() as daemon:
            await here.until(lambda: len(here.remote()) == 3000)
            assert (await here.command("wait"))[0] == 0
            listings = here.sandbox.requests.counts["list"]
            for number in range(3000):
                here.write(f"many/{number:04}", f"{number} changed")
            assert (await here.command("wait"))[0] == 0
            assert here.sandbox.requests.counts["list"] - listings <= 20
            changes = here.sandbox.requests.changing_requests()
            (here.source / "many").rename(here.source / "renamed")
            assert (await here.command("wait"))[0] == 0
            assert here.sandbox.requests.changing_requests() - changes == 1
            assert here.remote()[0] == "renamed/0000"
            assert await stopped(daemon) == 0
