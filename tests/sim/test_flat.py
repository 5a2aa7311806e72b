"""The real engine where there are only names: disturbed at each of its steps, and in random stories."""

from __future__ import annotations

import random

import pytest

from syncd.core.model import DeleteMode, MaxDelete
from tests.sim.chaos import Rates
from tests.sim.cloud import Knobs
from tests.sim.flat import FlatWorld
from tests.sim.script import CONTENTS, NAMES, LocalEdits
from tests.sim.world import Settings

BATCH = 40
NO_GUARD = MaxDelete(percent=100.0)


def small_world() -> FlatWorld:
    """Synced, then edited in every way that a plan knows."""
    world = FlatWorld(settings=Settings(max_delete=NO_GUARD))
    for path in ("old/a", "old/deep/c", "gone/d", "file", "place/f", "moved", "same", "large"):
        world.tree.write(path, f"content of {path}" * (20 if path == "large" else 1))
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
    world.tree.write("same", "another content")
    world.chaos.trace.clear()
    return world


def must_end_well(world: FlatWorld, said: str) -> None:
    run = world.clean_run()
    assert run.error is None, said
    found = world.checks.converged(run.report, empty_directories=False)
    assert (run.exit, found) == (0, []), said
    again = world.clean_run()
    assert (again.exit, again.changes) == (0, []), said
    world.checks.settled = True
    assert world.checks.converged(again.report, empty_directories=False) == [], said


@pytest.mark.parametrize("lost", [False, True], ids=["crash", "crash and lost state"])
def test_a_run_crashed_at_any_step_is_put_right_by_the_next(lost: bool) -> None:
    undisturbed = small_world()
    assert undisturbed.run().exit == 0
    must_end_well(undisturbed, "undisturbed")
    steps = undisturbed.chaos.step - undisturbed.chaos.begun
    assert steps > 30
    for step in range(1, 400, 7 if lost else 1):
        world = small_world()
        world.chaos.at[step] = world.chaos.crash
        if not world.run().crashed:
            break
        world.chaos.at.clear()
        if lost:
            world.lose_state()
            world.checks.strangers = True
            run = world.clean_run()
            assert run.error is None
        must_end_well(world, f"disturbed at step {step}")
    else:
        pytest.fail("it did not come to its end")


@pytest.mark.parametrize("first", range(0, 5 * BATCH, BATCH))
def test_every_story_ends_well(first: int) -> None:
    for seed in range(first, first + BATCH):
        try:
            tell(seed)
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")


def tell(seed: int) -> None:
    chance = random.Random(seed)
    modes = (DeleteMode.TRACKED, DeleteMode.TRACKED, DeleteMode.MIRROR)
    settings = Settings(delete=chance.choice(modes), max_delete=NO_GUARD, workers=chance.choice((1, 3, 5)))
    world = FlatWorld(seed, settings=settings, knobs=Knobs(linger_s=chance.choice((0.0, 5.0))))
    names = NAMES[: chance.choice((2, 4, 6))]
    edit = LocalEdits(chance, world.tree, names=names, specials=False)
    world.checks.strangers = chance.random() < 0.3
    for _ in range(chance.randint(1, 10)):
        edit()
    for _ in range(chance.randint(1, 5)):
        for _ in range(chance.randint(0, 5)):
            world.clock.now_s += chance.choice((0.001, 1.0))
            edit()
        if world.checks.strangers and (files := sorted(world.tree.files())):
            world.cloud.twin(chance.choice(files), chance.choice(CONTENTS), owned=False).colliding = False
        if chance.random() < 0.7:
            world.chaos.at[int(3 + chance.expovariate(1 / 60))] = world.chaos.crash
        world.chaos.rates = Rates(transient=chance.choice((0.0, 0.0, 0.1)), rejected=chance.choice((0.0, 0.05)))
        world.run()
        world.chaos.at.clear()
        world.chaos.rates = Rates()
        world.wait(chance.choice((0.0, 0.3, 60.0)))
    must_end_well(world, f"seed {seed}")
