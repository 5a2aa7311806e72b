"""A plan in a file: written whole or not at all, for nobody else to read, and read with suspicion.

Called by `app`. It holds no secret, and no address that a token would be sent to: where to, is for the configuration
and the command line to say, and compared with what the plan was made for.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from syncd.errors import ConfigurationError

VERSION = 1


class Identity(msgspec.Struct, frozen=True):
    """What a job is about: a plan is for no other."""

    source: str
    kind: str
    api_url: str | None
    application_id: str | None
    directory: str


class KeptJob(msgspec.Struct):
    """`actions` as `core.saved` makes them; the `held` deletions are not among them."""

    job: str
    identity: Identity
    actions: list[dict[str, Any]]
    held: int


class KeptPlan(msgspec.Struct):
    """`words` and `options` are those of the command line that made it."""

    words: list[str]
    options: dict[str, Any]
    jobs: list[KeptJob]
    version: int = VERSION


def keep(path: Path, plan: KeptPlan) -> None:
    """Raises ConfigurationError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123
            json.dump(msgspec.to_builtins(plan), file, indent=1)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ConfigurationError(f"the plan cannot be written to {path}: {error.strerror}") from None


def read(path: Path) -> KeptPlan:
    """Raises ConfigurationError for what is no plan, or one of a newer version."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} is no plan, or a damaged one: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ConfigurationError(f"{path} was made by a newer syncd (version {version}, this one knows {VERSION})")
    try:
        plan = msgspec.convert(data, KeptPlan)
        msgspec.convert([action for job in plan.jobs for action in job.actions], list[_Action])
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path} is no plan, or a damaged one: {error}") from None
    return plan


class _Place(msgspec.Struct):
    path: str


class _Seen(msgspec.Struct, rename={"others": "with"}):
    on_the_way: bool = False
    others: list[_Place] = []


class _Action(msgspec.Struct):
    """What is relied on of an action's data."""

    action: str
    path: str
    seen: _Seen
