"""How the sandbox behaves where the real service is slow, strict, unknown or broken.

One frozen set of values, read by all modules through `Conditions`; a test or the command line builds it. It decides
nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from random import Random
from typing import Any, Literal, get_args

from syncd.sandbox.faults import Fault, FaultPlan, parse_fault

DuplicateCreate = Literal["conflict", "bad_request", "duplicate", "existing"]
PatchedStatus = Literal["pending", "completed"]
PatchedSize = Literal["old", "new"]
PatchedEtag = Literal["old", "none"]
MoveOnto = Literal["conflict", "duplicate", "replace"]
NameRule = Literal["exact", "trim", "nfc"]


@dataclass(frozen=True, slots=True)
class Knobs:
    """Every behaviour of the sandbox that can be turned. The defaults are quick and free of faults.

    Times are in seconds. Where no source tells what the real service does, each plausible answer is a value.
    """

    seed: int = 0
    """Seeds everything that is left to chance."""
    latency: float = 0.0
    """An answer is held back until this long after its request came in (its head; a body may take longer), to the
    nearest millisecond. What the sandbox takes itself is within it."""
    latency_spread: float = 0.0
    """And up to this much longer, evenly distributed."""
    completion_delay: float = 0.0
    """From the end of an upload until its record is `completed`."""
    job_delay: float = 0.0
    """How long moved and deleted records linger, and how long a directory's children wait for their move."""
    page_size_ceiling: int = 1000
    """The most items on one page, whatever `perPage` asks for."""
    throttle: float = 0.0
    """API requests answered in a second; those beyond get 429. 0: no limit."""
    throttle_retry_after: float | None = None
    """The `Retry-After` of a 429; None: the header is left out."""
    duplicate_create: DuplicateCreate = "conflict"
    """What a create for a name that exists gets: 409, 400, a second record, or the existing record."""
    patched_status: PatchedStatus = "pending"
    """The status between a PATCH and the completion of its upload."""
    patched_size: PatchedSize = "new"
    """The `fileSize` between a PATCH and the completion of its upload."""
    patched_etag: PatchedEtag = "old"
    """The `s3etag` between a PATCH and the completion of its upload."""
    move_onto: MoveOnto = "conflict"
    """What a move onto a name that exists does."""
    names: NameRule = "exact"
    """Whether names are kept as they are, lose surrounding blanks, or are composed (NFC)."""
    policy_ttl: float = 3600.0
    """How long an upload form is good for; below 0 it has expired when it is made."""
    content_length_range: tuple[int, int] | Literal["exact"] | None = None
    """The size limits in the policy of an upload form; `exact`: the declared `fileSize` and no other."""
    form_for_private: bool = True
    """Whether creating a private file answers with an upload form; else only `.../upload` takes the content."""
    upload_url: str | None = None
    """Given out as the address of upload forms in place of the true one."""
    content_url: str | None = None
    """Given out as the address of a content in place of the true one."""
    listing_lag: float = 0.0
    """How long a new record stays out of listings."""
    corrupt_etag: int = 0
    """How many completions record a wrong `s3etag`."""
    clock_offset: float = 0.0
    """How far the server's clock is ahead of this machine's."""
    rate_limit: int = 0
    """Privasfer requests answered in a `rate_window`, told by `X-RateLimit-*`; those beyond get 429. 0: no limit."""
    rate_window: float = 60.0
    """How long the first request of a window holds it open."""
    list_page: int = 0
    """The files on a page of Privasfer's list, which then has Laravel's `links` and `meta`. 0: no paging."""
    time_zone: float = 3 * 3600.0
    """How far the Privasfer account's time zone is ahead of UTC."""
    faults: tuple[Fault, ...] = ()
    """Requests that go wrong."""

    @classmethod
    def from_pairs(cls, pairs: Iterable[str]) -> Knobs:
        """The knobs written as `NAME=VALUE`, one string each; `fault=...` may be given many times.

        Raises:
            ValueError: an unknown name, or a value that cannot be read; the message names both.
        """
        given: dict[str, Any] = {}
        faults: list[Fault] = []
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"knob {pair!r}: expected NAME=VALUE")
            if name == "fault":
                faults.append(parse_fault(value))
            else:
                given[name] = _read_knob(name, value)
        return cls(**given, faults=tuple(faults))


def _number(value: str) -> float:
    number = float(value)
    if number < 0:
        raise ValueError("it is negative")
    return number


def _count(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("it is negative")
    return number


def _page_size(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("it is below 1")
    return number


def _switch(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("expected true or false")
    return value == "true"


def _size_range(value: str) -> tuple[int, int] | Literal["exact"]:
    if value == "exact":
        return "exact"
    low, dash, high = value.partition("-")
    if not dash:
        raise ValueError("expected MIN-MAX in bytes, or exact")
    return int(low), int(high)


def _one_of(choices: object) -> Callable[[str], str]:
    allowed = get_args(choices)

    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return value

    return read


_READERS: dict[str, Callable[[str], Any]] = {
    "seed": int,
    "latency": _number,
    "latency_spread": _number,
    "completion_delay": _number,
    "job_delay": _number,
    "page_size_ceiling": _page_size,
    "throttle": _number,
    "throttle_retry_after": _number,
    "duplicate_create": _one_of(DuplicateCreate),
    "patched_status": _one_of(PatchedStatus),
    "patched_size": _one_of(PatchedSize),
    "patched_etag": _one_of(PatchedEtag),
    "move_onto": _one_of(MoveOnto),
    "names": _one_of(NameRule),
    "policy_ttl": float,
    "content_length_range": _size_range,
    "form_for_private": _switch,
    "upload_url": str,
    "content_url": str,
    "listing_lag": _number,
    "corrupt_etag": _count,
    "clock_offset": float,
    "rate_limit": _count,
    "rate_window": _number,
    "list_page": _count,
    "time_zone": float,
}


def _read_knob(name: str, value: str) -> object:
    if name not in _READERS:
        known = ", ".join(field.name for field in fields(Knobs) if field.name in _READERS)
        raise ValueError(f"knob {name!r} is none of {known}, fault")
    try:
        return _READERS[name](value)
    except ValueError as error:
        raise ValueError(f"knob {name}={value!r} cannot be read: {error}") from None


class Conditions:
    """The knobs in force, with the chance and the clock that go with them. A test may turn them while it runs."""

    def __init__(self, knobs: Knobs) -> None:
        self.set(knobs)

    def set(self, knobs: Knobs) -> None:
        """Put other knobs in force; chance and the counts of faults start anew."""
        self.knobs = knobs
        self.chance = Random(knobs.seed)
        self.faults = FaultPlan(knobs.faults, self.chance)
        self._etags_to_corrupt = knobs.corrupt_etag

    def now(self) -> float:
        """The server's time, in seconds since 1970."""
        return time.time() + self.knobs.clock_offset

    def latency(self) -> float:
        """From the arrival of this request to its answer, in seconds."""
        spread = self.knobs.latency_spread
        return self.knobs.latency + (self.chance.uniform(0, spread) if spread else 0.0)

    def recorded_etag(self, md5: str) -> str:
        """The etag that a completion records: now and then a wrong one."""
        if self._etags_to_corrupt == 0:
            return md5
        self._etags_to_corrupt -= 1
        return md5[::-1] if md5 != md5[::-1] else "0" * 32
