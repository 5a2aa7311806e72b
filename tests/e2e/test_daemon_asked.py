"""The daemon as a process: what it does when it is asked, by signals and commands, and what it lets be seen."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from syncd.sandbox import Knobs
from tests.e2e.daemon_process import stopped, world


async def test_paused_nothing_is_sent_and_resumed_it_is(tmp_path: Path) -> None:
    async with world(tmp_path) as here, here.daemon() as daemon:
        await here.until_status(lambda status: status["last_reconcile"])
        assert (await here.command("pause", "main"))[0] == 0
        here.write("file", "written while it is paused")
        assert (await here.status())["state"] == "paused"
        assert (await here.command("wait"))[0] == 1
        assert here.remote() == []
        assert (await here.command("resume"))[0] == 0
        await here.until(here.has("file"))
        assert await stopped(daemon) == 0


async def test_sigusr1_compares_both_sides_and_puts_right_what_somebody_took_away(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.write("file", "content")
        async with here.daemon() as daemon:
            await here.until(here.has("file"))
            await here.until_status(lambda status: status["state"] == "watching")
            (record,) = [one for one in here.sandbox.records("files") if one.name == "file"]
            here.sandbox.remove(record)
            daemon.send_signal(signal.SIGUSR1)
            await here.until(here.has("file"))
            assert await stopped(daemon) == 0


async def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.configure('drain = "25s"')
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"])
            here.sandbox.knobs = Knobs.from_pairs(["fault=form:hang"])
            here.write("slow", "its upload hangs")
            await here.until_status(lambda status: status["in_flight"])
            began_s = asyncio.get_running_loop().time()
            daemon.send_signal(signal.SIGTERM)
            await here.until_status(lambda status: status["state"] == "stopping")
            await stopped(daemon)
            assert asyncio.get_running_loop().time() - began_s < 15


async def test_waiting_ends_with_1_when_its_time_is_over(tmp_path: Path) -> None:
    async with world(tmp_path) as here, here.daemon() as daemon:
        await here.until_status(lambda status: status["last_reconcile"])
        here.sandbox.knobs = Knobs(latency=5.0)
        here.write("slow", "its answer takes long")
        assert (await here.command("wait", "--timeout", "0.3"))[0] == 1
        here.sandbox.knobs = Knobs()
        assert (await here.command("wait", "--timeout", "25"))[0] == 0
        assert here.remote() == ["slow"]
        assert await stopped(daemon) == 0


async def test_a_token_that_is_exchanged_while_it_runs_is_taken_up_without_a_word(tmp_path: Path) -> None:
    async with world(tmp_path) as here, here.daemon() as daemon:
        await here.until_status(lambda status: status["last_reconcile"])
        here.sandbox.token = "rotated"
        here.token.write_text("rotated")
        here.write("file", "sent with the new one")
        await here.until(here.has("file"))
        assert (await here.status())["state"] != "halted"
        assert await stopped(daemon) == 0


async def test_what_happens_is_seen_in_the_metrics(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with world(tmp_path) as here:
        here.configure('max_delete = "1"', more=f'[status]\nlisten = ":{port}"')
        async with here.daemon() as daemon:
            await here.until_status(lambda status: status["last_reconcile"])
            for name in "abc":
                here.write(name, name)
            await here.until(here.has("a", "b", "c"))
            assert (await here.command("wait"))[0] == 0
            for name in "ab":
                (here.source / name).unlink()
            await here.until_status(lambda status: status["held"] == 2)
            url = f"http://127.0.0.1:{port}"
            text = (await asyncio.to_thread(lambda: urllib.request.urlopen(f"{url}/metrics").read())).decode()
            found = {
                (sample.name, *sorted(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
            job = ("syncd_job", "main")
            assert found["syncd_actions_total", ("action", "create"), ("outcome", "done"), job] == 3
            creates = [value for labels, value in found.items() if ("operation", "create") in labels]
            assert creates == [3]
            assert found["syncd_sent_bytes_total", job] == 3
            assert found["syncd_held_deletions", job] == 2
            assert found["syncd_watch_latency_seconds_count", job] >= 1
            assert found["syncd_last_reconcile_timestamp_seconds", job] > 0
            gauges = "oldest_unsynced_change_age_seconds queue_depth in_flight_operations parked_paths degraded"
            assert all((f"syncd_{name}", job) in found for name in gauges.split())
            assert ("syncd_request_retries_total", job) in found
            assert ("syncd_unannounced_changes_total", job) in found
            helped = set(re.findall(r"^# HELP (syncd_\w+)", text, re.MULTILINE))
            assert helped == set(re.findall(r"^# TYPE (syncd_\w+)", text, re.MULTILINE))
            assert await stopped(daemon) == 0
