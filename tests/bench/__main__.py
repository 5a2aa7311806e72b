"""`python -m tests.bench [SCENARIO ...] [--scale 0.1]`: run scenarios and print what they measured as a table.

Exits with 1 only if a measured program failed or did something else than it was to do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.processes import BenchError
from tests.bench.scenarios import SCENARIOS, Bench, Row

TITLES = Row("scenario", "what", "syncd", "beside it", "ratio", "wanted at full size")


def main() -> int:
    options = _options()
    rows = [TITLES]
    try:
        with tempfile.TemporaryDirectory(prefix="syncd-bench-", dir=options.work) as work:
            bench = Bench(Path(work), options.scale, options.repeat)
            for name in options.scenarios or SCENARIOS:
                rows += SCENARIOS[name](bench)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        print("\n".join(_lines(rows)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; none: all")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the full number of files and bytes")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument(
        "--work", type=Path, help="a directory for the files, instead of the system's for temporary ones"
    )
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return options


def _lines(rows: Sequence[Row]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


if __name__ == "__main__":
    sys.exit(main())
