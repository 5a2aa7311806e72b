"""The real engine in simulated worlds: many seeds, and one small world disturbed at each of its steps.

`python -m tests.sim --seeds 10000` is the long form, with `--daemon` that of the daemon's lives; a seed that failed is
told with its trace by `--seed N`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.core.model import DeleteMode
from tests.sim.daemon import simulate_daemon
from tests.sim.simulate import Story, simulate
from tests.sim.world import Settings, World

BATCH = 40
Disturb = Callable[[World, int], None]


@pytest.mark.parametrize("first", range(0, 6 * BATCH, BATCH))
def test_every_story_ends_well(first: int) -> None:
    for seed in range(first, first + BATCH):
        story = simulate(seed)
        if story.problem is not None:
            pytest.fail(f"python -m tests.sim --seed {seed}: {story.problem}")


@pytest.mark.parametrize("first", range(0, 4 * BATCH, BATCH))
def test_every_story_of_the_daemon_ends_well(first: int) -> None:
    for seed in range(first, first + BATCH):
        story = simulate_daemon(seed)
        if story.problem is not None:
            pytest.fail(f"python -m tests.sim --daemon --seed {seed}: {story.problem}")


@pytest.mark.parametrize("tell", [simulate, simulate_daemon], ids=["runs", "daemon"])
def test_a_seed_tells_the_same_story_again(tell: Callable[[int], Story]) -> None:
    for seed in range(20):
        assert tell(seed).trace == tell(seed).trace


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    def told(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "tests.sim", "--seed", "11"]
        root = Path(__file__).parent.parent.parent
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
        return done.stdout

    assert told("1") == told("2")


def small_world(settings: Settings) -> World:
    """Synced, then edited in every way that a plan knows."""
    world = World(settings=settings)
    for path in ("old/a", "old/b", "old/deep/c", "gone/d", "gone/e", "file", "place/f", "moved", "same"):
        world.tree.write(path, f"content of {path}")
    world.tree.write("large", "x" * 100)
    assert world.run().exit == 0
    world.wait()
    world.tree.rename("old", "new")
    world.tree.write("new/a", "edited")
    world.tree.write("new/added/g", "added")
    world.tree.remove("gone")
    world.tree.rename("file", "file.txt")
    world.tree.write("file/now/a/directory", "in it")
    world.tree.rename("place/f", "f")
    world.tree.remove("place")
    world.tree.write("place", "a file now")
    world.tree.rename("moved", "elsewhere/moved")
    world.tree.write("large", "y" * 100)
    world.tree.mkdir("empty/directory")
    world.chaos.trace.clear()
    return world


def _crash(world: World, step: int) -> None:
    world.chaos.at[step] = world.chaos.crash


def _cancel(world: World, step: int) -> None:
    world.chaos.at[step] = world.cancel


def _stop(world: World, step: int) -> None:
    world.chaos.at[step] = lambda: world.request_stop(15)


@pytest.mark.parametrize(
    ("disturb", "mode", "stride"),
    [(_crash, DeleteMode.TRACKED, 1), (_cancel, DeleteMode.MIRROR, 3), (_stop, DeleteMode.TRACKED, 3)],
    ids=["crash", "cancel", "stop"],
)
def test_a_run_disturbed_at_any_step_is_put_right_by_the_next(disturb: Disturb, mode: DeleteMode, stride: int) -> None:
    undisturbed = small_world(Settings(delete=mode))
    assert undisturbed.run().exit == 0
    steps = undisturbed.chaos.step - undisturbed.chaos.begun
    assert steps > 150
    for step in range(1, steps + 1, stride):
        world = small_world(Settings(delete=mode))
        disturb(world, step)
        world.run()
        world.chaos.at.clear()
        _must_end_well(world, f"disturbed at step {step}")


def test_a_run_crashed_again_and_again_gets_to_its_end() -> None:
    """Each time a little further: what was done before a crash is not done anew for ever."""
    world = small_world(Settings())
    for crashes in range(1, 60):
        _crash(world, 20 + 4 * crashes)
        if not world.run().crashed:
            break
    world.chaos.at.clear()
    _must_end_well(world, "crashed again and again")


def _must_end_well(world: World, said: str) -> None:
    run = world.clean_run()
    assert run.error is None, said
    found = world.checks.converged(run.report, empty_directories=True)
    assert (run.exit, found) == (0, []), said
    again = world.clean_run()
    assert (again.exit, again.changes) == (0, []), said
