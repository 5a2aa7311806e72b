"""What one look of the daemon leaves to the next."""

from __future__ import annotations

from syncd.core.paths import key_of
from syncd.core.settling import Settling
from syncd.engine.carry import Carrier
from syncd.engine.desk import Desk
from syncd.engine.job import Stop
from syncd.engine.rounds import Rounds
from tests.engine.test_mirroring import synced
from tests.engine.test_slots import run


def _fail(error: Exception) -> None:
    raise error


def test_a_directory_in_which_something_is_made_is_looked_at_again_when_it_is_made() -> None:
    """What is made may be gone from the source by then, and was in neither side when it was looked at."""
    world = synced("d/known")
    _, _, job = world.open_job(Stop())
    desk = Desk(Settling(settle_s=0.1, settle_max_s=60.0))
    rounds = Rounds(job, desk, Carrier(job, desk, trouble=_fail, woken=lambda: None), wall_ns=lambda: 0)
    made = [key_of("d/new"), key_of("elsewhere/new")]

    async def main() -> None:
        desk.busy.take(made)
        await rounds.directories({"d": 0.0})
        assert desk.queue.directories == frozenset()
        desk.release(made, now_s=1.0)
        assert desk.queue.directories == {"d"}
        desk.queue.take(1.0)
        await rounds.directories({"d": 0.0})
        assert desk.queue.directories == frozenset(), "once"
        desk.busy.take(made)
        await rounds.source()
        desk.release(made, now_s=1.0)
        assert desk.queue.directories == {"d", "elsewhere"}

    run(main(), world.clock)
