"""A daemon as it is run: a real process against a sandbox within the test, asked over its control socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from syncd.sandbox import APPLICATION_ID, TOKEN, Knobs, Sandbox

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0


class World:
    """One source, one sandbox, one configuration; `job` is what the configuration says of the job beside both ends."""

    def __init__(self, base: Path, sandbox: Sandbox) -> None:
        self.base = base
        self.sandbox = sandbox
        self.source = base / "source"
        self.source.mkdir()
        self.configuration = base / "syncd.toml"
        self.log = base / "log"
        self.token = base / "token"
        self.token.write_text(TOKEN)
        self.configure()

    def configure(self, job: str = "", more: str = "") -> None:
        self.configuration.write_text(
            f'state_dir = "{self.base / "state"}"\n[remotes.box]\nkind = "losant"\n'
            f'application_id = "{APPLICATION_ID}"\napi_url = "{self.sandbox.url}"\ntoken_file = "{self.token}"\n'
            f'[jobs.main]\nsource = "{self.source}"\ndestination = "box:/dir"\nsettle = "100ms"\n{job}\n{more}\n'
        )

    def write(self, path: str, text: str) -> None:
        target = self.source / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def remote(self, directory: str = "/dir/") -> list[str]:
        """The files that are complete below a directory of the destination."""
        return sorted(
            f"{record.directory}{record.name}".removeprefix(directory)
            for record in self.sandbox.records("files")
            if record.type == "file" and record.status == "completed" and record.directory.startswith(directory)
        )

    def has(self, *paths: str) -> Callable[[], bool]:
        return lambda: self.remote() == sorted(paths)

    async def command(self, *words: str) -> tuple[int, str]:
        """Runs `syncd` with these words to its end: the exit code and what it wrote to standard output."""
        process = await self._spawn(*words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def status(self, job: str = "main") -> dict[str, Any]:
        code, output = await self.command("status", "--json")
        jobs = json.loads(output)["jobs"] if code == 0 else []
        return next((one for one in jobs if one["job"] == job), {})

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():  # noqa: ASYNC110 - the condition is in another process
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{self.remote()}\n{self.log.read_text()}") from None

    async def until_status(self, condition: Callable[[dict[str, Any]], object], job: str = "main") -> dict[str, Any]:
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (seen and condition(seen)):
                    seen = await self.status(job)
        except TimeoutError:
            raise AssertionError(f"{seen}\n{self.log.read_text()}") from None
        return seen

    @asynccontextmanager
    async def daemon(self, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
        with self.log.open("ab") as said:
            process = await self._spawn("-v", stderr=said, environment=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _spawn(
        self, *words: str, environment: dict[str, str] | None = None, **streams: Any
    ) -> asyncio.subprocess.Process:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
        command = [sys.executable, "-m", "syncd", "--config", str(self.configuration), *words]
        given = {**kept, "PYTHONPATH": str(ROOT), **(environment or {})}
        return await asyncio.create_subprocess_exec(*command, env=given, **streams)


async def stopped(process: asyncio.subprocess.Process, number: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(number)
    async with asyncio.timeout(PATIENCE_S):
        return await process.wait()


@asynccontextmanager
async def world(base: Path, **knobs: Any) -> AsyncIterator[World]:
    async with Sandbox(base / "sandbox", knobs=Knobs(**knobs)) as sandbox:
        yield World(base, sandbox)
