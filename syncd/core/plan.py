"""The plan: everything that takes the destination from what it holds to what the source holds, and why.

`decide` is the one way to it; `engine` executes exactly what it returns, `syncd plan` prints it. Planning again after a
plan was executed gives an empty one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from syncd.core.classify import Policy, classify, must_be_compared, occupied_parents
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
    Problem,
    RemoteEntry,
    Replace,
    Skip,
)
from syncd.core.moves import DirectoryMove, Pair, move_directories, nominees, pair_files
from syncd.core.paths import ancestors_of, is_below, path_of, slice_below


@dataclass(frozen=True, slots=True)
class Plan:
    """`operations` in execution order; what else the run has to record, wait for and say.

    `held` counts the files whose deletion the guard holds, `held_because` says why. `extra`: files of the destination
    that are left alone because they are not this job's.
    """

    operations: tuple[Operation, ...] = ()
    adopted: tuple[BaselineEntry, ...] = ()
    forgotten: tuple[bytes, ...] = ()
    awaiting: tuple[Difference, ...] = ()
    drifted: tuple[Drift, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: tuple[Skip, ...] = ()
    held: int = 0
    held_because: str | None = None
    extra: int = 0

    @property
    def directory_moves(self) -> tuple[Move, ...]:
        """Executed before all else; what follows is planned anew then, because the remote gives new ids."""
        return tuple(one for one in self.operations if isinstance(one, Move) and one.local.kind == Kind.DIRECTORY)


def to_be_read(differences: Sequence[Difference], policy: Policy) -> list[LocalEntry]:
    """The local files whose checksum `decide` needs and the baseline cannot tell."""
    wanted = {one.key: one.local for one in differences if one.local is not None and must_be_compared(one)}
    if policy.moves:
        wanted |= {entry.key: entry for entry in nominees(differences)}
    return [wanted[key] for key in sorted(wanted)]


def decide(
    differences: Sequence[Difference],
    checksums: Mapping[bytes, Fingerprint],
    policy: Policy,
    guard: Guard,
) -> Plan:
    """The plan for these differences. `checksums` holds what `to_be_read` asked for, as far as it could be read."""
    draft = _Draft(differences, checksums, policy, hold=False)
    because = guard.held(draft.deletions)
    if because is not None:
        draft = _Draft(differences, checksums, policy, hold=True)
    return draft.plan(because)


class _Draft:
    """One way to plan: with the deletions, or with all of them held."""

    def __init__(
        self,
        differences: Sequence[Difference],
        checksums: Mapping[bytes, Fingerprint],
        policy: Policy,
        *,
        hold: bool,
    ) -> None:
        self.policy = policy
        self.hold = hold
        self.directory_moves: tuple[DirectoryMove, ...] = ()
        rest = list(differences)
        if policy.moves and policy.capabilities.move_directory:
            self.directory_moves, rest = move_directories(rest, checksums, whole_only=hold)
        self.findings = classify(rest, checksums, policy)
        self.pairs = self._pairs(rest, checksums)
        for pair in self.pairs:
            self.findings.gone.pop(pair.gone.key)
            self.findings.uploads.pop(pair.new.key)
        self.blocked = self._blocked()
        self.deletions = self._count_deletions()

    def _pairs(self, rest: Sequence[Difference], checksums: Mapping[bytes, Fingerprint]) -> list[Pair]:
        """Files to move: allowed to go, wanted there, and of the same content type at both names."""
        if not self.policy.moves:
            return []
        kept = []
        for pair in pair_files(rest, checksums):
            old, new = pair.gone.key, pair.new.key
            if old not in self.findings.gone or new not in self.findings.uploads or is_below(new, old):
                continue
            if self.policy.content_type(path_of(old)) == self.policy.content_type(path_of(new)):
                kept.append(pair)
        return kept

    def _blocked(self) -> set[bytes]:
        """Paths whose place is taken by something that may not go (or, with `hold`, does not go now)."""
        occupied = occupied_parents(self.findings.stays)
        blocked = set()
        for key in self._in_the_way():
            if key not in self.findings.gone or key in occupied or self.hold:
                blocked.add(key)
        return blocked

    def _in_the_way(self) -> Iterable[bytes]:
        """Paths where the remote has a file in the place of a directory, or the reverse."""
        findings = self.findings
        for key, (difference, _) in findings.uploads.items():
            if difference.remote is not None and difference.remote.kind == Kind.DIRECTORY:
                yield key
        for key, difference in findings.directories.items():
            if difference.remote is not None:
                yield key

    def _count_deletions(self) -> int:
        """In files; an old copy whose new one is uploaded at another path by this plan is a deletion too."""
        return sum(
            difference.remote is not None and difference.remote.kind == Kind.FILE
            for difference, _ in self.findings.gone.values()
        )

    def plan(self, because: str | None) -> Plan:
        findings = self.findings
        self._report_blocked(because)
        deletes = [] if self.hold else self._deletes()
        uploads = [*self._uploads()]
        operations: list[Operation] = [
            *(self._directory_move(move) for move in self.directory_moves),
            *(Delete(path_of(record.key), reason, record, leftover=True) for record, reason in findings.leftovers),
            *(one for one in deletes if one.in_the_way),
            *self._file_moves(),
            *self._make_directories(),
            *uploads,
            *(one for one in deletes if not one.in_the_way),
        ]
        return Plan(
            operations=tuple(operations),
            adopted=tuple(findings.adopted),
            forgotten=tuple(findings.forgotten),
            awaiting=tuple(findings.awaiting),
            drifted=tuple(findings.drifted),
            problems=tuple(findings.problems),
            skipped=tuple(findings.skipped),
            held=self.deletions if because is not None else 0,
            held_because=because,
            extra=findings.extra,
        )

    def _report_blocked(self, because: str | None) -> None:
        """What cannot come because something is in its place: with held deletions that is held too, else it fails."""
        for key in self._place_taken():
            upload = self.findings.uploads.pop(key, None)
            self.findings.directories.pop(key, None)
            if upload is not None and because is None:
                error = "something that this job may not delete is in its place on the destination"
                self.findings.problems.append(Problem(path_of(key), "create", error))
        self.pairs = [pair for pair in self.pairs if not self._is_blocked(pair.new.key)]

    def _place_taken(self) -> list[bytes]:
        keys = [*self.findings.uploads, *self.findings.directories]
        return sorted({key for key in keys if self._is_blocked(key)})

    def _is_blocked(self, key: bytes) -> bool:
        return bool(self.blocked) and (key in self.blocked or any(one in self.blocked for one in ancestors_of(key)))

    def _directory_move(self, move: DirectoryMove) -> Move:
        local, remote = move.new.local, move.gone.remote
        assert local is not None
        assert remote is not None
        reason = f"the directory was renamed; {move.carried} files in it are the same"
        source = path_of(move.gone.key)
        return Move(path_of(local.key), source, reason, local, remote, None, move.covers, move.carried)

    def _file_moves(self) -> Iterable[Move]:
        for pair in self.pairs:
            local, remote, base = pair.new.local, pair.gone.remote, pair.gone.base
            assert local is not None
            assert remote is not None
            assert base is not None
            source = path_of(pair.gone.key)
            reason = f"same content as {source}, which is gone"
            yield Move(path_of(local.key), source, reason, local, remote, base.checksum, (), 1)

    def _make_directories(self) -> Iterable[MakeDirectory]:
        """Parents first. One that holds something is made on the way to it."""
        arrivals = {*self.findings.uploads, *(pair.new.key for pair in self.pairs)}
        arrivals |= {move.new.key for move in self.directory_moves}
        filled = occupied_parents(arrivals)
        wanted = {key for key in self.findings.directories if key not in filled and self._is_wanted_empty(key)}
        filled |= occupied_parents(wanted)
        moved = {move.new.key for move in self.directory_moves}
        for key in self.findings.directories:
            if key in filled and key not in moved:
                yield MakeDirectory(path_of(key), "on the way to what is in it", on_the_way=True)
            elif key in wanted:
                yield MakeDirectory(path_of(key), "new", on_the_way=False)

    def _is_wanted_empty(self, key: bytes) -> bool:
        return self.policy.empty_directories and self.policy.filter.wants(path_of(key), directory=True)

    def _uploads(self) -> Iterable[Create | Replace]:
        for key, (difference, reason) in self.findings.uploads.items():
            local, remote = difference.local, difference.remote
            assert local is not None
            if remote is None or remote.kind == Kind.DIRECTORY:
                yield Create(path_of(key), reason, local)
            else:
                yield Replace(path_of(key), reason, local, remote, difference.base)

    def _deletes(self) -> list[Delete]:
        """Deepest first; a directory of which nothing stays goes in one call with everything in it."""
        gone = self.findings.gone
        keys = sorted(gone)
        occupied = occupied_parents(self.findings.stays)
        renewed = self._renewed_by_inode()
        found: list[Delete] = []
        whole: bytes | None = None
        for key in keys:
            difference, reason = gone[key]
            record = difference.remote
            if record is None or key in self.blocked or (whole is not None and is_below(key, whole)):
                continue
            members = [key]
            if record.kind == Kind.DIRECTORY:
                if key in occupied:
                    continue
                whole = key
                members = keys[slice_below(keys, key)]
            covers = tuple(gone[one][0].remote for one in members if one != key)
            after = tuple(renewed[one] for one in members if one in renewed)
            in_the_way = difference.local is not None
            found.append(Delete(path_of(key), reason, record, _present(covers), after, in_the_way))
        return sorted(found, key=lambda one: one.path.count("/"), reverse=True)

    def _renewed_by_inode(self) -> dict[bytes, str]:
        """For each gone file the path where the same file, changed or of another type, is uploaded now."""
        uploaded = {
            difference.local.inode: path_of(key)
            for key, (difference, _) in self.findings.uploads.items()
            if difference.local is not None
        }
        return {
            key: uploaded[difference.base.inode]
            for key, (difference, _) in self.findings.gone.items()
            if difference.base is not None and difference.base.kind == Kind.FILE and difference.base.inode in uploaded
        }


def _present(records: Iterable[RemoteEntry | None]) -> tuple[RemoteEntry, ...]:
    return tuple(record for record in records if record is not None)
