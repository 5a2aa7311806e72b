"""The plan: everything that takes the destination from what it holds to what the source holds, and why.

`decide` is the one way to it; `engine` executes exactly what it returns, `syncd plan` prints it. Planning again after a
plan was executed gives an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from syncd.core.classify import Facts, Removal, Upload, classify, occupied_parents
from syncd.core.diff import Difference
from syncd.core.guard import Guard
from syncd.core.model import (
    BaselineEntry,
    Create,
    Delete,
    Drift,
    Fingerprint,
    Kind,
    LocalEntry,
    MakeDirectory,
    Move,
    Operation,
    Order,
    Problem,
    Replace,
    Skip,
    Sync,
)
from syncd.core.moves import Pair, is_movable, nominees
from syncd.core.paths import ancestors_of, is_below, path_of, slice_below
from syncd.core.policy import Policy
from syncd.core.questions import left_out, may_be_adopted, must_be_compared
from syncd.core.renames import DirectoryMove, Moves, find_moves
from syncd.core.words import count_text

TAKEN = "something that this job may not delete is in its place on the destination"


_TURN: Mapping[Order, Callable[[tuple[bytes, Upload]], int]] = {
    Order.SMALL_FIRST: lambda upload: upload[1].local.size,
    Order.NEWEST_FIRST: lambda upload: -upload[1].local.mtime_ns,
}


class Withheld(NamedTuple):
    """A path whose records would be deleted and are not by this plan: so many files. `after`: the path whose upload
    replaces it, if any."""

    key: bytes
    files: int
    after: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """`operations` in execution order; what else the run has to record, wait for and say.

    `held` counts the files whose deletion the guard holds, `held_because` says why. `withheld`: what would be deleted
    if it were licensed and not held. `extra`: files of the destination that are left alone because they are not this
    job's; `kept`: files of the source whose place there is left as somebody else made it. `detached`: the files among
    the forgotten that the filters leave out now.
    """

    operations: tuple[Operation, ...] = ()
    adopted: tuple[BaselineEntry, ...] = ()
    forgotten: tuple[bytes, ...] = ()
    awaiting: tuple[Difference, ...] = ()
    detached: tuple[str, ...] = ()
    drifted: tuple[Drift, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: tuple[Skip, ...] = ()
    held: int = 0
    held_because: str | None = None
    withheld: tuple[Withheld, ...] = ()
    extra: int = 0
    by_size: int = 0
    """Of the adopted: files whose content could not be compared."""
    kept: int = 0

    @property
    def directory_moves(self) -> tuple[Move, ...]:
        """Executed before all else; what follows is planned anew then, because the remote gives new ids."""
        return tuple(one for one in self.operations if isinstance(one, Move) and one.local.kind == Kind.DIRECTORY)

    @property
    def beside(self) -> set[bytes]:
        """The paths that it is about without an operation on them: to be recorded, awaited or withheld."""
        keys = {*self.forgotten, *(row.key for row in self.adopted)}
        return keys | {one.key for one in self.awaiting} | {one.key for one in self.withheld}


def to_be_read(differences: Sequence[Difference], policy: Policy) -> list[LocalEntry]:
    """The local files whose checksum `decide` needs and the baseline cannot tell."""
    wanted = {
        one.key: one.local
        for one in differences
        if one.local is not None and (must_be_compared(one) or may_be_adopted(one, policy))
    }
    if policy.renames:
        wanted |= {entry.key: entry for entry in nominees(differences, policy)}
    return [wanted[key] for key in sorted(wanted)]


def decide(
    differences: Sequence[Difference],
    checksums: Mapping[bytes, Fingerprint],
    policy: Policy,
    guard: Guard,
    licensed: Collection[bytes] | None = None,
    *,
    stamp: str = "",
) -> Plan:
    """The plan for these differences. `checksums` holds what `to_be_read` asked for, as far as it could be read;
    `stamp` is the time, as it stands in names.

    `licensed`: the keys that may be deleted, None for all; the guard is asked about those. What is not licensed waits,
    with what is to take its place.
    """
    facts = Facts(checksums, policy, left_out(differences, policy.filter), stamp)
    draft = _Draft(differences, facts, licensed=licensed)
    because = guard.held(draft.deletions)
    if because is None:
        return draft.plan()
    held = _Draft(differences, facts, licensed=(), whole_only=True).plan()
    return replace(held, held=draft.deletions, held_because=because)


class _Draft:
    """One way to plan, with the deletions of what is licensed. `deletions` counts files."""

    def __init__(
        self,
        differences: Sequence[Difference],
        facts: Facts,
        *,
        licensed: Collection[bytes] | None,
        whole_only: bool = False,
    ) -> None:
        self.facts = facts
        moves = Moves((), [], list(differences))
        if facts.policy.renames:
            moves = find_moves(moves.rest, facts, whole_only=whole_only)
        self.directory_moves = moves.directories
        self.pairs = moves.files
        self.findings = classify(moves.rest, facts)
        self.superseded: dict[bytes, str] = {}
        self._upload_renamed()
        for pair in self.pairs:
            del self.findings.uploads[pair.local.key]
            self._moves_away(pair.source.key)
        self._keep_what_is_refused()
        self.renewed = self._renewed() | self.superseded
        gone = {key: one for key, one in self.findings.gone.items() if key not in self.superseded}
        self.waiting = set() if licensed is None else {key for key in gone if key not in licensed}
        self.withheld = {key: Withheld(key, _files(gone[key]), self.renewed.get(key)) for key in self.waiting}
        self.deletions = sum(_files(removal) for key, removal in gone.items() if key not in self.waiting)
        while closed := self._closed():
            self._give_up(closed)

    def _moves_away(self, key: bytes) -> None:
        """The record that stands for the path moves; further ones go all the same."""
        removal = self.findings.gone.pop(key)
        if removal.also:
            self.findings.gone[key] = removal._replace(remote=removal.also[0], also=removal.also[1:])

    def _upload_renamed(self) -> None:
        """Where no move can do it, a renamed file is uploaded, and its old copy is none that the guard counts."""
        policy = self.facts.policy
        movable: list[Pair] = []
        why = "a move keeps its content type" if policy.capabilities.move else "the remote cannot move it"
        for pair in self.pairs:
            if is_movable(pair, policy):
                movable.append(pair)
                continue
            old, new = pair.source.key, pair.local.key
            reason = f"same content as {path_of(old)}, which is gone; {why}"
            self.findings.uploads[new] = self.findings.uploads[new]._replace(reason=reason)
            removal = self.findings.gone[old]
            if not (removal.also or removal.in_the_way):
                self.findings.gone[old] = removal._replace(reason=f"uploaded as {path_of(new)} instead")
                self.superseded[old] = path_of(new)
        self.pairs = movable

    def _keep_what_is_refused(self) -> None:
        """A file renamed to where the remote cannot have it stays there under its old name."""
        inodes = {local.inode for local in self.findings.refused}
        for key, removal in list(self.findings.gone.items()) if inodes else ():
            base = removal.base
            if base is not None and base.kind == Kind.FILE and base.inode in inodes and not removal.in_the_way:
                del self.findings.gone[key]
                self.findings.stays.add(key)

    def _renewed(self) -> dict[bytes, str]:
        """For each gone file the path where the same file, changed or with another content type, is uploaded now."""
        by_inode: dict[int, str] = {}
        by_checksum: dict[str, str] = {}
        for key, upload in self.findings.uploads.items():
            by_inode[upload.local.inode] = path_of(key)
            if (read := self.facts.checksums.get(key)) is not None:
                by_checksum[read.checksum] = path_of(key)
        renewed = {}
        for key, (remote, base, *_) in self.findings.gone.items():
            if remote.kind == Kind.FILE and base is not None:
                path = by_checksum.get(base.checksum or "") or by_inode.get(base.inode)
                if path is not None:
                    renewed[key] = path
        return renewed

    def _closed(self) -> dict[bytes, bool]:
        """The places taken by something that does not go by this plan, and whether that is only held."""
        findings = self.findings
        taken = [key for key, there in findings.directories.items() if there is not None]
        taken += [key for key, one in findings.uploads.items() if one.remote and one.remote.kind == Kind.DIRECTORY]
        if not taken:
            return {}
        occupied = occupied_parents(findings.stays) | findings.stays
        held = occupied_parents(self.waiting) | self.waiting
        may_go = {key: key in findings.gone and key not in occupied for key in taken}
        return {key: may for key, may in may_go.items() if key in held or not may}

    def _give_up(self, closed: Mapping[bytes, bool]) -> None:
        """What cannot come to its place: with held deletions it is held too, else it fails; what it replaces stays."""
        findings = self.findings
        moved = {pair.local.key: pair.source.key for pair in self.pairs}
        lost: dict[bytes, bool] = {}
        for key in (*findings.uploads, *findings.directories, *moved):
            obstacle = next((one for one in (*ancestors_of(key), key) if one in closed), None)
            if obstacle is not None:
                lost[key] = closed[obstacle]
        for key in sorted(lost):
            action = "move" if key in moved else "mkdir" if key in findings.directories else "create"
            findings.uploads.pop(key, None)
            findings.directories.pop(key, None)
            if not lost[key]:
                findings.problems.append(Problem(path_of(key), action, TAKEN))
        self.pairs = [pair for pair in self.pairs if pair.local.key not in lost]
        outcome = {path_of(key): held for key, held in lost.items()}
        stays = {key: outcome[path] for key, path in self.renewed.items() if path in outcome}
        stays |= {**closed, **{moved[key]: held for key, held in lost.items() if key in moved}}
        findings.stays |= stays.keys()
        for key, held in stays.items():
            findings.gone.pop(key, None)
            if not held:
                self.withheld.pop(key, None)
            else:
                self.withheld.setdefault(key, Withheld(key, 0, None))

    def plan(self) -> Plan:
        findings = self.findings
        deletes = self._deletes()
        kept = occupied_parents(findings.stays.difference(self.withheld))
        operations: list[Operation] = [
            *(_directory_move(move) for move in self.directory_moves),
            *(Delete(path_of(record.key), reason, record, leftover=True) for record, reason in findings.leftovers),
            *(one for one in deletes if one.in_the_way and one.remote.kind == Kind.FILE),
            *(_file_move(pair) for pair in self.pairs),
            *(one for one in deletes if one.in_the_way and one.remote.kind == Kind.DIRECTORY),
            *self._make_directories(),
            *self._uploads(),
            *(one for one in deletes if not one.in_the_way),
        ]
        return Plan(
            operations=tuple(operations),
            adopted=tuple(findings.adopted),
            forgotten=tuple(findings.forgotten),
            awaiting=tuple(findings.awaiting),
            detached=tuple(findings.detached),
            drifted=tuple(findings.drifted),
            problems=tuple(findings.problems),
            skipped=tuple(findings.skipped),
            withheld=tuple(one for key, one in self.withheld.items() if key not in kept),
            extra=findings.extra,
            by_size=findings.by_size,
            kept=findings.kept,
        )

    def _make_directories(self) -> Iterable[MakeDirectory]:
        """Parents first. One into which something comes is made on the way to that; what is replaced makes nothing."""
        uploads = self.findings.uploads
        arrivals = {key for key, one in uploads.items() if one.remote is None or one.remote.kind == Kind.DIRECTORY}
        arrivals |= {pair.local.key for pair in self.pairs}
        arrivals |= {move.local.key for move in self.directory_moves}
        filled = occupied_parents(arrivals)
        wanted = {key for key in self.findings.directories if key not in filled and self._is_wanted_empty(key)}
        filled |= occupied_parents(wanted)
        for key in self.findings.directories:
            if key in filled:
                yield MakeDirectory(path_of(key), "on the way to what is in it", on_the_way=True)
            elif key in wanted:
                yield MakeDirectory(path_of(key), "new", on_the_way=False)

    def _is_wanted_empty(self, key: bytes) -> bool:
        policy = self.facts.policy
        is_wanted = policy.empty_directories and policy.filter.wants(path_of(key), directory=True)
        return is_wanted and key not in self.findings.away

    def _uploads(self) -> Iterable[Create | Replace]:
        uploads = sorted(self.findings.uploads.items(), key=_TURN[self.facts.policy.order])
        for key, (local, remote, base, reason, aside) in uploads:
            if remote is None or remote.kind == Kind.DIRECTORY:
                begun = base is not None and base.sync == Sync.CLAIMED
                yield Create(path_of(key), reason, local, begun, self.findings.beside.get(key, ()))
            else:
                yield Replace(path_of(key), reason, local, remote, base, aside, self.findings.beside.get(key, ()))

    def _deletes(self) -> list[Delete]:
        """Deepest first; a directory of which nothing stays goes in one call with everything in it."""
        gone = {key: removal for key, removal in self.findings.gone.items() if key not in self.waiting}
        keys = sorted(gone)
        occupied = occupied_parents(self.findings.stays) | occupied_parents(self.waiting)
        found: list[Delete] = []
        whole: bytes | None = None
        for key in keys:
            if whole is not None and is_below(key, whole):
                continue
            members = [key]
            if gone[key].remote.kind == Kind.DIRECTORY:
                if key in occupied:
                    continue
                whole = key
                members += keys[slice_below(keys, key)]
            found += self._delete(key, members)
        return sorted(found, key=lambda one: one.path.count("/"), reverse=True)

    def _delete(self, key: bytes, members: Sequence[bytes]) -> Iterable[Delete]:
        """One call for each record of the path. What is in the way cannot wait for what takes its place."""
        remote, _, in_the_way, reason, also = self.findings.gone[key]
        inside = [self.findings.gone[one] for one in members if one != key]
        covers = tuple(record for removal in inside for record in (removal.remote, *removal.also))
        after = () if in_the_way else tuple(self.renewed[one] for one in members if one in self.renewed)
        superseded = sum(one in self.superseded for one in members)
        yield Delete(path_of(key), reason, remote, covers, after, in_the_way, superseded=superseded)
        for record in also:
            yield Delete(path_of(key), reason, record, (), after, in_the_way)


def _files(removal: Removal) -> int:
    return sum(record.kind == Kind.FILE for record in (removal.remote, *removal.also))


def _directory_move(move: DirectoryMove) -> Move:
    reason = f"the directory was renamed; unchanged in it: {count_text(move.carried, 'file')}"
    source = path_of(move.source.key)
    return Move(path_of(move.local.key), source, reason, move.local, move.source, None, move.covers, move.carried)


def _file_move(pair: Pair) -> Move:
    source = path_of(pair.source.key)
    reason = f"same content as {source}, which is gone"
    return Move(path_of(pair.local.key), source, reason, pair.local, pair.source, pair.checksum)
