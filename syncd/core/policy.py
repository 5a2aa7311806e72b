"""What a job and its remote allow: what every decision is asked beside what there is.

Made by `app` from the configuration and the remote's capabilities, read by everything in `core` that decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from syncd.core.model import Capabilities, DeleteMode, MaxDelete, OnDrift, Order


class Filter(Protocol):
    def wants(self, path: str, *, directory: bool) -> bool:
        """Whether the path is in: included, or nothing need be, and not excluded."""
        ...

    def excludes(self, path: str, *, directory: bool) -> bool:
        """Whether an exclude pattern matches the path or a directory above it."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    delete: DeleteMode
    max_delete: MaxDelete
    empty_directories: bool
    capabilities: Capabilities
    content_type: Callable[[str], str]
    filter: Filter
    order: Order = Order.SMALL_FIRST
    on_drift: OnDrift = OnDrift.OVERWRITE
    adopt_by_size: bool = False
    """Whether a file that nothing is known of is taken for the source's if the remote only tells that its size is."""

    @property
    def renames(self) -> bool:
        """Whether what left one path and came to another is looked for."""
        return self.delete is not DeleteMode.NEVER

    @property
    def takes_all(self) -> bool:
        """Whether all that the source lacks goes, whoever's it is."""
        return self.delete is DeleteMode.MIRROR and self.on_drift is OnDrift.OVERWRITE
