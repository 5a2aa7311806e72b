"""All jobs of the daemon: started, reloaded and stopped together, and otherwise isolated from each other.

Made by `app`, asked by the control socket and the status server (it is their `ports.Daemon`). Owns the signals and what
the service manager hears. It knows nothing of files.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from syncd.core.model import JobState, JobStatus, PathStatus, Waited
from syncd.core.words import count_text
from syncd.engine.keeper import Habits, Keeper, Open
from syncd.errors import SyncdError
from syncd.ports import ServiceManager

STATUS_EVERY_S = 2.0
WORST = (Waited.STUCK, Waited.HELD, Waited.DONE)


@dataclass(frozen=True, slots=True)
class Post:
    """One job of the configuration. Two posts of the same `identity` are the same job, configured alike."""

    name: str
    identity: Hashable
    habits: Habits
    open: Open


Load = Callable[[], Sequence[Post]]
"""Reads the configuration; raises ConfigurationError, after which nothing has changed."""


@dataclass(frozen=True, slots=True)
class _Kept:
    post: Post
    keeper: Keeper
    task: asyncio.Task[None]


class Supervisor:
    """`said` is told what a person should hear; `manager` is who started the process."""

    def __init__(self, load: Load, *, manager: ServiceManager, said: Callable[[str], None]) -> None:
        self._load = load
        self._manager = manager
        self._said = said
        self._kept: dict[str, _Kept] = {}
        self._stopping: asyncio.Event = asyncio.Event()
        self._signal = 0
        self._reloading: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Until it is told to stop; the exit code. Raises what kept a job from being opened at the start."""
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGTERM: lambda: self._stop(signal.SIGTERM),
            signal.SIGINT: lambda: self._stop(signal.SIGINT),
            signal.SIGHUP: self._reload,
            signal.SIGUSR1: lambda: self.rescan(None),
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            await self._start(self._load())
            self._manager.ready(self._summary())
            await self._watch_over()
        finally:
            if self._reloading is not None:
                self._reloading.cancel()
            await self._end(self._kept.values())
            for number in handlers:
                loop.remove_signal_handler(number)
        return 0

    def status(self) -> Sequence[JobStatus]:
        return [kept.keeper.status() for kept in self._kept.values()]

    def why(self, job: str, path: str) -> PathStatus:
        return self._kept[job].keeper.why(path)

    def is_alive(self) -> bool:
        return all(kept.keeper.is_alive for kept in self._kept.values())

    def is_ready(self) -> bool:
        return bool(self._kept) and all(kept.keeper.is_ready for kept in self._kept.values())

    def rescan(self, job: str | None) -> None:
        for keeper in self._of(job):
            keeper.rescan()

    def pause(self, job: str | None) -> None:
        for keeper in self._of(job):
            keeper.pause()

    def resume(self, job: str | None) -> None:
        for keeper in self._of(job):
            keeper.resume()

    def approve(self, job: str) -> int:
        return self._kept[job].keeper.approve()

    async def wait(self, jobs: Sequence[str]) -> tuple[Waited, str]:
        keepers = [self._kept[job].keeper for job in jobs] if jobs else self._of(None)
        waiting = [asyncio.create_task(keeper.wait()) for keeper in keepers]
        answers: list[tuple[Waited, str]] = [(Waited.DONE, "")]
        try:
            for one in asyncio.as_completed(waiting):
                answers.append(await one)
                if answers[-1][0] is Waited.STUCK:
                    break
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return min(answers, key=lambda answer: WORST.index(answer[0]))

    def _of(self, job: str | None) -> list[Keeper]:
        return [kept.keeper for kept in self._kept.values()] if job is None else [self._kept[job].keeper]

    async def _start(self, posts: Iterable[Post]) -> None:
        """Raises the first job's reason that could not be opened, with all of these stopped again."""
        begun = []
        for post in posts:
            keeper = Keeper(post.name, post.habits, post.open)
            kept = _Kept(post, keeper, asyncio.create_task(keeper.serve()))
            self._kept[post.name] = kept
            begun.append(kept)
        opened = await asyncio.gather(*(kept.keeper.first_opened for kept in begun), return_exceptions=True)
        errors = [one for one in opened if isinstance(one, BaseException)]
        if errors:
            for kept in begun:
                del self._kept[kept.post.name]
            await self._end(begun)
            raise errors[0]

    async def _watch_over(self) -> None:
        interval_s = min(self._manager.watchdog_interval_s or STATUS_EVERY_S, STATUS_EVERY_S)
        while not self._stopping.is_set():
            if self.is_alive():
                self._manager.watchdog()
            if self._reloading is None:
                self._manager.status(self._summary())
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._stopping.wait()
        self._manager.stopping("finishing what is in flight")
        await asyncio.gather(*(kept.task for kept in self._kept.values()), return_exceptions=True)

    def _stop(self, number: int) -> None:
        """Once: finish what is in flight; again: abandon it."""
        if self._stopping.is_set():
            for kept in self._kept.values():
                kept.task.cancel()
            return
        self._signal = number
        self._stopping.set()
        for kept in self._kept.values():
            kept.keeper.request_stop(number)

    def _reload(self) -> None:
        if self._reloading is None and not self._stopping.is_set():
            self._reloading = asyncio.create_task(self._take_on())
            self._reloading.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[None]) -> None:
        self._reloading = None
        if not task.cancelled() and task.exception() is not None:
            self._said(f"the reload failed: {task.exception()}")
        self._manager.ready(self._summary())

    async def _take_on(self) -> None:
        """The new configuration, if it is good: jobs that are not in it any more, or otherwise, are stopped first."""
        self._manager.reloading()
        try:
            posts = {post.name: post for post in await asyncio.to_thread(self._load)}
        except SyncdError as error:
            self._said(f"the configuration is bad, the old one stays: {error}")
            return
        outdated = [kept for name, kept in self._kept.items() if not _is_same(kept.post, posts.get(name))]
        for kept in outdated:
            kept.keeper.request_stop(signal.SIGHUP)
        await asyncio.gather(*(kept.task for kept in outdated), return_exceptions=True)
        for kept in outdated:
            del self._kept[kept.post.name]
        for post in posts.values():
            if post.name not in self._kept:
                await self._start_or_say(post)
        self._said("the configuration was read again")

    async def _start_or_say(self, post: Post) -> None:
        try:
            await self._start([post])
        except SyncdError as error:
            self._said(f"job {post.name} cannot be started: {error}")

    async def _end(self, all_kept: Iterable[_Kept]) -> None:
        tasks = [kept.task for kept in all_kept]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _summary(self) -> str:
        """One line for `systemctl status`."""
        statuses = self.status()
        jobs = f"{len(statuses)} job{'' if len(statuses) == 1 else 's'}"
        wrong = [f"{one.job} {one.state.value}" for one in statuses if one.state in (JobState.HALTED, JobState.WAITING)]
        in_flight = sum(one.in_flight for one in statuses)
        parts = [jobs, *wrong]
        parts += [f"{in_flight} in flight"] if in_flight else []
        held, failed = sum(one.held for one in statuses), sum(len(one.failed) for one in statuses)
        parts += [f"{count_text(held, 'deletion')} held"] if held else []
        parts += [f"{failed} failing"] if failed else []
        return ", ".join(parts)


def _is_same(one: Post, other: Post | None) -> bool:
    return other is not None and one.identity == other.identity
