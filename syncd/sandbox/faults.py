"""Faults that a test asks for: which request gets which, and how a fault is written on a command line.

`knobs` carries the list, `exchange` draws from it once a request's subject is known and acts on the
outcome. Nothing here touches a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Literal, get_args

Operation = Literal["list", "create", "get", "patch", "move", "delete", "upload", "form", "content"]
FaultKind = Literal["status", "reset_before", "reset_after", "hang", "truncated", "partial", "garbage"]
Moment = Literal["before", "after"]

OPERATIONS: tuple[str, ...] = get_args(Operation)
FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which requests of one operation go wrong.

    `status`: answered with `status` and without effect (with `when="after"`: with its effect).
    `reset_before`, `reset_after`: the connection is reset without, or with, the effect.
    `hang`: nothing for `seconds`, before or after the effect; before it, a client that gives up prevents it.
    `truncated`: half of the answer, then the connection ends. `partial`: half of the body, properly framed.
    `garbage`: the right status and a body that is not JSON.

    It strikes matching requests with `probability`, `count` times at most, not the first `skip` of them. `name` is
    a glob over the name of the file, or over its whole path where the glob has a slash.
    """

    operation: Operation
    kind: FaultKind
    status: int = 500
    seconds: float = 3600.0
    name: str = "*"
    probability: float = 1.0
    count: int | None = None
    skip: int = 0
    when: Moment = "before"
    retry_after: float | None = None
    body: str | None = None

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(f"fault: operation {self.operation!r} is none of {', '.join(OPERATIONS)}")
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"fault: kind {self.kind!r} is none of {', '.join(FAULT_KINDS)}")
        if self.when not in get_args(Moment):
            raise ValueError(f"fault: when={self.when!r} is neither before nor after")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"fault: p={self.probability} is not between 0 and 1")

    def concerns(self, operation: str, path: str) -> bool:
        """Whether a request of this operation on this path can be struck."""
        if self.operation != operation:
            return False
        subject = path if "/" in self.name else path.rpartition("/")[2]
        return self.name == "*" or fnmatchcase(subject, self.name)

    @property
    def strikes_before(self) -> bool:
        """Whether the fault acts before the request has its effect."""
        if self.kind in ("status", "hang"):
            return self.when == "before"
        return self.kind == "reset_before"


class FaultPlan:
    """The faults in force and how often each matched and struck."""

    def __init__(self, faults: Sequence[Fault], chance: Random) -> None:
        self._faults = faults
        self._chance = chance
        self._matched = [0] * len(faults)
        self._struck = [0] * len(faults)

    def draw(self, operation: str, path: str) -> Fault | None:
        """The fault that strikes this request, if any: the first of the list that fires."""
        for index, fault in enumerate(self._faults):
            if fault.concerns(operation, path) and self._fires(index, fault):
                self._struck[index] += 1
                return fault
        return None

    def _fires(self, index: int, fault: Fault) -> bool:
        self._matched[index] += 1
        if self._matched[index] <= fault.skip:
            return False
        if fault.count is not None and self._struck[index] >= fault.count:
            return False
        return fault.probability >= 1 or self._chance.random() < fault.probability


_SHORT = {"p": "probability"}
_READERS: dict[str, Callable[[str], Any]] = {
    "status": int,
    "seconds": float,
    "name": str,
    "probability": float,
    "count": int,
    "skip": int,
    "when": str,
    "retry_after": float,
    "body": str,
}
_VALUE_OF_KIND = {"status": "status", "hang": "seconds"}


def parse_fault(text: str) -> Fault:
    """The fault written as `OPERATION:KIND[=VALUE][:OPTION=VALUE]...`.

    For example `create:status=503:p=0.1:retry_after=2`, `form:reset_after:count=1`, `get:hang=0.5:name=*.txt`.

    Raises:
        ValueError: an unknown operation, kind or option, or a value that cannot be read.
    """
    operation, _, rest = text.partition(":")
    if not rest:
        raise ValueError(f"fault {text!r}: expected OPERATION:KIND[=VALUE][:OPTION=VALUE]...")
    first, *options = rest.split(":")
    kind, _, value = first.partition("=")
    given: dict[str, Any] = {}
    if value:
        if kind not in _VALUE_OF_KIND:
            raise ValueError(f"fault {text!r}: the kind {kind} takes no value")
        options.insert(0, f"{_VALUE_OF_KIND[kind]}={value}")
    for option in options:
        name, _, written = option.partition("=")
        name = _SHORT.get(name, name)
        given[name] = _read_option(text, name, written)
    return Fault(operation=operation, kind=kind, **given)  # type: ignore[arg-type]


def _read_option(text: str, name: str, written: str) -> object:
    if name not in _READERS:
        known = ", ".join(field.name for field in fields(Fault) if field.name in _READERS)
        raise ValueError(f"fault {text!r}: {name!r} is none of {known}")
    try:
        return _READERS[name](written)
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {name}={written!r} cannot be read: {error}") from None
