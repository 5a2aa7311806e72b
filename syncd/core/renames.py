"""Which directories that are gone locally are another directory now, so that one call moves them with what they hold.

Called by `core.plan`. They are found from the pairs of files that `core.moves` proves, and planned by rewriting the
differences as they will be once the remote has moved them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from syncd.core.classify import Facts, occupied_parents
from syncd.core.diff import Difference
from syncd.core.model import Kind, LocalEntry, RemoteEntry
from syncd.core.moves import Pair, gone_file, pair_files
from syncd.core.ownership import stays_away
from syncd.core.paths import ancestors_of, name_of, parent_of, slice_below
from syncd.core.questions import is_left_out, known_checksum, refusal

Rename = tuple[bytes, bytes]
"""The keys of a directory gone and of the one that it is now."""


class DirectoryMove(NamedTuple):
    """`covers`: what the remote has in it. `carried`: the files in it for which nothing else has to be done."""

    source: RemoteEntry
    local: LocalEntry
    covers: tuple[RemoteEntry, ...]
    carried: int


@dataclass(frozen=True, slots=True)
class Moves:
    """`rest`: the differences as they are once the directories were moved."""

    directories: tuple[DirectoryMove, ...]
    files: list[Pair]
    rest: list[Difference]


def find_moves(differences: list[Difference], facts: Facts, *, whole_only: bool) -> Moves:
    """All moves: of directories where the remote can, and of the files that those leave to be moved.

    A directory is moved in one call only if everything the remote has in it is what the baseline knows, and if that
    leaves no more files to delete at the new place than it saves moves; with `whole_only`, none to delete at all.
    No directory move has to do with a place of another one, because the remote gives new ids to all that it moved.
    """
    moves: list[DirectoryMove] = []
    places = _Places()
    while True:
        pairs = pair_files(differences, facts)
        found: list[Rename] = []
        if facts.policy.capabilities.move_directory and pairs:
            view = _View(differences, facts)
            found = _renames(view, pairs, places, whole_only=whole_only)
        if not found:
            return Moves(tuple(moves), pairs, differences)
        moves += [view.take_along(old, new) for old, new in found]
        differences = view.rest()


def _renames(view: _View, pairs: Sequence[Pair], places: _Places, *, whole_only: bool) -> list[Rename]:
    """The directory moves that pay, those that carry most first; where a whole tree cannot go, what is in it may."""
    found: list[Rename] = []
    chains = _chains(view, pairs)
    while chains:
        votes: Counter[Rename] = Counter()
        for chain, files in chains:
            votes[chain[-1]] += files
        for (old, new), carried in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
            free = places.are_free(old, new)
            if free and view.pays(old, new, most_lost=0 if whole_only else carried):
                places.take(old, new)
                found.append((old, new))
        accepted = set(found)
        chains = [(chain[:-1], files) for chain, files in chains if len(chain) > 1 and chain[-1] not in accepted]
    return found


def _chains(view: _View, pairs: Sequence[Pair]) -> list[tuple[list[Rename], int]]:
    """For the files of each directory the renames of directories that would carry them along, the highest last."""
    files: Counter[Rename] = Counter()
    for pair in pairs:
        old, new = pair.source.key, pair.local.key
        if name_of(old) == name_of(new):
            files[parent_of(old), parent_of(new)] += 1
    chains = []
    for rename, count in files.items():
        chain: list[Rename] = []
        old, new = rename
        while old in view.leaving and new in view.coming:
            chain.append((old, new))
            if name_of(old) != name_of(new):
                break
            old, new = parent_of(old), parent_of(new)
        if chain:
            chains.append((chain, count))
    return chains


class _Places:
    """Where directories leave or arrive: none of these is, holds, or is inside another one."""

    def __init__(self) -> None:
        self._taken: set[bytes] = set()
        self._above: set[bytes] = set()

    def are_free(self, *keys: bytes) -> bool:
        return not any(
            key in self._taken or key in self._above or not self._taken.isdisjoint(ancestors_of(key)) for key in keys
        )

    def take(self, *keys: bytes) -> None:
        self._taken.update(keys)
        self._above |= occupied_parents(keys)


class _View:
    """The differences of one round, asked for what a rename would do and then rewritten by it."""

    def __init__(self, differences: list[Difference], facts: Facts) -> None:
        self._facts = facts
        self._differences = differences
        self._keys = [difference.key for difference in differences]
        self._by_key = dict(zip(self._keys, differences, strict=True))
        self._frozen = {one.key for one in differences if one.local is not None and one.local.kind > Kind.FILE}
        fixed = {one.key for one in differences if one.local is None and _is_fixed(one, facts)}
        fixed |= occupied_parents(fixed)
        self.leaving = {
            one.key: one.remote
            for one in differences
            if one.local is None
            and one.remote is not None
            and one.remote.kind == Kind.DIRECTORY
            and one.key not in fixed
        }
        self.coming = self._coming()

    def _coming(self) -> dict[bytes, LocalEntry]:
        """The local directories of which the remote has nothing, and that can and may be made there."""
        policy = self._facts.policy
        filled = occupied_parents(
            one.key
            for one in self._differences
            if one.remote is not None or (one.local is not None and stays_away(one.local, one.base, policy))
        )
        files = {one.key for one in self._differences if one.remote is not None and one.remote.kind == Kind.FILE}
        return {
            one.key: one.local
            for one in self._differences
            if one.local is not None
            and one.local.kind == Kind.DIRECTORY
            and one.remote is None
            and one.key not in filled
            and files.isdisjoint(ancestors_of(one.key))
            and refusal(one.local, policy.capabilities) is None
        }

    def pays(self, old: bytes, new: bytes, *, most_lost: int) -> bool:
        """Whether nothing forbids the move, and no more files than that would have to be deleted at the new place."""
        lost = 0
        span = slice_below(self._keys, old)
        for index in range(span.start, span.stop):
            one = self._differences[index]
            if one.remote is None:
                continue
            key = new + one.key[len(old) :]
            there = self._by_key.get(key)
            if there is not None and there.local is not None:
                if not self._fits(one.remote, there.local):
                    return False
            elif not self._is_hidden(key):
                lost += one.remote.kind == Kind.FILE
                if lost > most_lost or is_left_out(key, one, self._facts.policy.filter):
                    return False
        return True

    def _fits(self, remote: RemoteEntry, local: LocalEntry) -> bool:
        """Whether a record may come to where `local` is: it is of that kind, or a directory that cannot be read now."""
        if refusal(local, self._facts.policy.capabilities) is not None:
            return False
        return remote.kind == local.kind or (remote.kind == Kind.DIRECTORY and local.kind == Kind.UNREADABLE)

    def _is_hidden(self, key: bytes) -> bool:
        """Whether the path is inside a local directory that could not be read: what is there is not known."""
        return bool(self._frozen) and not self._frozen.isdisjoint(ancestors_of(key))

    def take_along(self, old: bytes, new: bytes) -> DirectoryMove:
        """The move, after which the differences are what is left to be done."""
        carried = 0
        covers: list[RemoteEntry] = []
        del self._by_key[old], self._by_key[new]
        for one in self._differences[slice_below(self._keys, old)]:
            del self._by_key[one.key]
            if one.remote is None:
                continue
            covers.append(one.remote)
            key = new + one.key[len(old) :]
            there = self._by_key.pop(key, None)
            left = self._left_to_do(one, there, key)
            if left is not None:
                self._by_key[key] = left
            elif there is not None:
                carried += one.remote.kind == Kind.FILE
        return DirectoryMove(self.leaving[old], self.coming[new], tuple(covers), carried)

    def _left_to_do(self, moved: Difference, there: Difference | None, key: bytes) -> Difference | None:
        """What is left to be done at `key` when `moved` has come there."""
        local = there.local if there is not None else None
        if self._is_hidden(key) or (local is not None and local.kind > Kind.FILE):
            return there
        remote = moved.remote._replace(key=key) if moved.remote is not None else None
        base = moved.base._replace(key=key) if moved.base is not None else None
        arrived = Difference(key, local, remote, base)
        if local is None or base is None:
            return arrived
        is_same = local.kind == Kind.DIRECTORY or known_checksum(arrived, self._facts.checksums) == base.checksum
        return None if is_same else arrived

    def rest(self) -> list[Difference]:
        return sorted(self._by_key.values(), key=lambda difference: difference.key)


def _is_fixed(one: Difference, facts: Facts) -> bool:
    """Whether a remote record without a local side may not leave its path as part of a directory."""
    if one.remote is None:
        return False
    if one.surplus or one.key in facts.left_out:
        return True
    if one.remote.kind == Kind.FILE:
        return gone_file(one) is None
    return one.base is None or one.base.kind != Kind.DIRECTORY or one.base.id not in ("", one.remote.id)
