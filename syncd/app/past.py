"""What jobs did and what is known of a path, read from their state and source; nothing is contacted or locked.

Called by `cli`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from syncd.app.places import Sources, state_path
from syncd.core.model import BaselineEntry, Event, LocalEntry
from syncd.settings import JobSpec
from syncd.store.history import Past


class Found(NamedTuple):
    """`rule`: which filter leaves the path out, if one does. `events`: the latest of the path, oldest first."""

    rule: str | None
    local: LocalEntry | None
    base: BaselineEntry | None
    events: list[Event]

    @property
    def drift(self) -> str | None:
        """What somebody else did to the path on the destination, if nothing was done about it since."""
        last = self.events[-1] if self.events else None
        return last.detail if last is not None and last.action == "drift" else None


def history(specs: Sequence[JobSpec], *, state_dir: Path, most: int) -> list[tuple[str, list[Event]]]:
    """The latest events of each job. Raises StateError."""
    return [(spec.name, Past(state_path(spec, state_dir)).events(most=most)) for spec in specs]


def find(spec: JobSpec, path: str, *, state_dir: Path, most: int) -> Found:
    """What is known of a path of the job. Raises SourceMissing, StateError."""
    local, rule = Sources([spec], state_dir).tree(spec).find(path)
    past = Past(state_path(spec, state_dir))
    return Found(rule, local, past.baseline(path), past.events(most=most, at=path))
