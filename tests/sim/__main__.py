"""The long form of the simulation: `python -m tests.sim --seeds 1000`, or one seed with its trace: `--seed 17`; with
`--daemon` the daemon's lives instead of one-shot runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.sim.daemon import simulate_daemon
from tests.sim.simulate import Story, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default %(default)s)")
    parser.add_argument("--seed", type=int, help="run only this one and print its trace")
    parser.add_argument("--most", type=int, default=5, help="stop after so many failures (default %(default)s)")
    parser.add_argument("--daemon", action="store_true", help="the daemon's lives")
    options = parser.parse_args()
    tell = simulate_daemon if options.daemon else simulate
    if options.seed is not None:
        story = tell(options.seed)
        print(*story.trace, sep="\n")
        print(story.problem or "everything is as it must be")
        return int(story.problem is not None)
    return _run_many(tell, range(options.first, options.first + options.seeds), most_failures=options.most)


def _run_many(tell: Callable[[int], Story], seeds: range, *, most_failures: int) -> int:
    failures = runs = 0
    for seed in seeds:
        story = tell(seed)
        runs += story.runs
        if story.problem is not None:
            failures += 1
            print(f"seed {seed}: {story.problem}", flush=True)
        if failures >= most_failures:
            break
    print(f"{seed - seeds.start + 1} seeds, {runs} runs, {failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
