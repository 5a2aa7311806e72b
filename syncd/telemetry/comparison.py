"""What a check comes to: the contract's JSON object, and lines for people. Used by `cli`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from syncd.core.check import Mismatch, Verdict
from syncd.core.words import count_text
from syncd.telemetry.text import encodable, printable

Told = Sequence[tuple[str, int, Sequence[Mismatch]]]
"""For each job its name, how many files were compared, and where the sides differ."""


def check_data(told: Told) -> dict[str, object]:
    """The object of `check --json`. With several jobs each difference names its own."""
    differences = [
        {**({"job": encodable(job)} if len(told) > 1 else {}), "path": encodable(one.path), "kind": one.kind.value}
        for job, _, found in told
        for one in found
    ]
    return {"differences": differences}


def check_lines(told: Told) -> Iterator[str]:
    """A line for each difference, then what the job comes to."""
    for job, files, found in told:
        for one in found:
            why = f"  ({printable(one.why)})" if one.why else ""
            yield f"  {one.kind.value:<9} {printable(one.path)}{why}"
        counts = Counter(one.kind for one in found)
        listed = ", ".join(f"{counts[kind]} {kind.value}" for kind in Verdict if counts[kind])
        yield f"{printable(job)}: {count_text(files, 'file')} compared, {listed or 'no difference'}"
