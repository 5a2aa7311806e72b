"""`python -m tests.churn --minutes 30 --seed N`: exits 1 where the two sides did not become equal."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.churn.storm import storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.churn")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="where the daemon's log is kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        result = asyncio.run(storm(Path(base), seed=given.seed, seconds=given.minutes * 60))
    if given.log is not None:
        given.log.write_text(result.log)
    print(
        f"seed {given.seed}: {result.steps} steps, {result.files} files at the end, "
        f"equal after {result.settled_s:.1f} s, peak {result.peak_bytes / 2**20:.0f} MiB"
    )
    for problem in result.problems:
        print(problem)
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
