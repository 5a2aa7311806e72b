"""Directories to be scanned, and looked at without root's rights or without descriptors."""

from __future__ import annotations

import ctypes
import os
import resource
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from syncd.core.model import Kind
from syncd.core.paths import path_of
from syncd.local.tree import Tree

Answer = TypeVar("Answer")
NOBODY = 65534


@contextmanager
def directory_for_all() -> Iterator[Path]:
    """One that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody(act: Callable[[], Answer]) -> Answer:
    """Do it without root's right to read everything; file access rights are a thread's own on Linux."""
    if os.geteuid() != 0:
        return act()
    answers: list[Answer | BaseException] = []

    def run() -> None:
        ctypes.CDLL(None).setfsuid(NOBODY)
        try:
            answers.append(act())
        except BaseException as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def plant(root: Path, *paths: str) -> None:
    for path in paths:
        target = root / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path)


def found(tree: Tree) -> list[tuple[str, Kind]]:
    return [(path_of(entry.key), entry.kind) for entry in tree.scan()]


def paths(tree: Tree) -> list[str]:
    return [path for path, _ in found(tree)]
