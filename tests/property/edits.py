"""Worlds by edit scripts: a synced state, then what people, other writers and crashes may have done to it since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from syncd.core.filters import Filter
from syncd.core.model import UNTRUSTED, BaselineEntry, DeleteMode, Kind, OnDrift, Status, Sync
from syncd.core.paths import key_of
from tests.property.cloud import Record, checksum_of
from tests.property.disk import parents
from tests.property.world import World

NAMES = st.sampled_from(["a", "b", "A", "x.txt", "y.txt", "x.bin", "a b"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
LONG_PATHS = st.sampled_from(
    ["a/a-name-that-is-too-long", "a/b/a-name-that-is-too-long.txt", "123456789012/123456789012/b/x.txt"]
)
CONTENTS = st.sampled_from(["", "1", "2", "33", "44"])
PICKS = st.integers(0, 15)
Edit = tuple[Any, ...]
Script = list[Edit]

LOCAL_EDITS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "write": (PATHS, CONTENTS),
    "save": (PATHS, CONTENTS),
    "edit": (PICKS, CONTENTS),
    "touch": (PICKS,),
    "remove": (PICKS,),
    "mkdir": (PATHS,),
    "rename": (PICKS, PATHS | LONG_PATHS),
    "rename_directory": (PICKS, PATHS),
    "copy": (PICKS, PATHS),
    "swap": (PICKS, PICKS),
    "change_case": (PICKS,),
    "strange": (PATHS | LONG_PATHS, st.sampled_from([Kind.SYMLINK, Kind.SPECIAL, Kind.BAD_NAME])),
    "shut": (PICKS,),
    "write_long": (LONG_PATHS, CONTENTS),
}
REMOTE_EDITS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "overwrite": (PICKS, CONTENTS),
    "delete": (PICKS,),
    "add": (PATHS, CONTENTS),
    "add_directory": (PATHS,),
    "add_pending": (PATHS,),
    "exchange_directory": (PICKS,),
    "hang": (PICKS,),
    "linger": (PATHS,),
    "repeat": (PICKS, CONTENTS | st.none(), st.booleans(), st.sampled_from([Status.COMPLETED, Status.PENDING])),
}
STATE_EDITS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "forget_all": (),
    "forget": (PICKS,),
    "forget_id": (PICKS,),
    "distrust": (PICKS,),
    "only_uploaded": (PICKS, st.booleans()),
    "crash_in_create": (PICKS, st.sampled_from(["nothing", "pending", "completed"]), st.booleans()),
    "crash_in_replace": (PICKS, CONTENTS, st.sampled_from(["nothing", "pending", "completed"]), st.booleans()),
}
RULES = [
    Filter(),
    Filter(),
    Filter(),
    Filter(exclude=["b/"]),
    Filter(exclude=["x.*"]),
    Filter(include=["*.txt"]),
    Filter(include=["a/"], exclude=["a/b"]),
]


def _edits(kinds: dict[str, tuple[st.SearchStrategy[Any], ...]]) -> st.SearchStrategy[Edit]:
    return st.one_of([st.tuples(st.just(name), *arguments) for name, arguments in kinds.items()])


LOCAL = _edits(LOCAL_EDITS)
ANY = st.one_of(LOCAL, LOCAL, _edits(REMOTE_EDITS), _edits(STATE_EDITS))
PLANTED = ["x.txt", "y.txt", "x.bin", "b/x.txt", "b/y.txt", "b/a/x.txt", "A/y.txt"]
TREES = st.lists(
    st.one_of(
        st.tuples(st.just("write"), PATHS, CONTENTS),
        st.tuples(st.just("mkdir"), PATHS),
        st.tuples(st.just("plant"), PATHS, st.sampled_from(["", "1"])),
    ),
    max_size=8,
)
MODES = st.sampled_from(DeleteMode)


@st.composite
def worlds(
    draw: st.DrawFn, edits: st.SearchStrategy[Edit] = ANY, modes: st.SearchStrategy[DeleteMode] = MODES
) -> World:
    """A world that was synced and then edited; the filters may have come after the sync."""
    world = World()
    for edit in draw(TREES):
        apply_edit(world, edit)
    world.sync()
    world.sync()
    world.changes = 0
    for edit in draw(st.lists(edits, max_size=8)):
        apply_edit(world, edit)
    world.delete = draw(modes)
    world.rules = draw(st.sampled_from(RULES))
    world.on_drift = draw(st.sampled_from([OnDrift.OVERWRITE, OnDrift.OVERWRITE, OnDrift.KEEP, OnDrift.COPY]))
    return world


def apply_edit(world: World, edit: Edit) -> None:
    name, *arguments = edit
    EDITS[name](world, *arguments)


def _pick(items: list[str], pick: int) -> str | None:
    return items[pick % len(items)] if items else None


def _local(world: World, pick: int) -> str | None:
    return _pick(sorted(world.disk.nodes), pick)


def _local_file(world: World, pick: int) -> str | None:
    return _pick(world.disk.files(), pick)


def _record(world: World, pick: int, kind: Kind | None = None) -> Record | None:
    there = [one for one in world.cloud.records.values() if one.status != Status.LEAVING]
    found = sorted((one.path, one.id) for one in there if kind in (None, one.kind))
    return world.cloud.records[found[pick % len(found)][1]] if found else None


def _edit(world: World, pick: int, content: str) -> None:
    if (path := _local_file(world, pick)) is not None:
        world.disk.write(path, content)


def _on_file(method: str) -> Callable[[World, int], None]:
    def act(world: World, pick: int) -> None:
        if (path := _local_file(world, pick)) is not None:
            getattr(world.disk, method)(path)

    return act


def _remove(world: World, pick: int) -> None:
    if (path := _local(world, pick)) is not None:
        world.disk.remove(path)


def _rename(world: World, pick: int, path: str) -> None:
    if (old := _local(world, pick)) is not None:
        world.disk.rename(old, path)


def _rename_directory(world: World, pick: int, path: str) -> None:
    directories = sorted(one for one, node in world.disk.nodes.items() if node.kind == Kind.DIRECTORY)
    if (old := _pick(directories, pick)) is not None:
        world.disk.rename(old, path)


def _plant(world: World, path: str, content: str) -> None:
    """A directory with a few files, all of the same content or each of its own."""
    for number, name in enumerate(PLANTED):
        world.disk.write(f"{path}/{name}", content or f"p{number}")


def _copy(world: World, pick: int, path: str) -> None:
    if (old := _local(world, pick)) is not None:
        world.disk.copy(old, path)


def _swap(world: World, pick: int, other: int) -> None:
    one, two = _local(world, pick), _local(world, other)
    if one is not None and two is not None:
        world.disk.swap(one, two)


def _change_case(world: World, pick: int) -> None:
    if (path := _local(world, pick)) is not None:
        world.disk.rename(path, path.rpartition("/")[0] + "/" * ("/" in path) + path.rpartition("/")[2].swapcase())


def _shut(world: World, pick: int) -> None:
    if (path := _local(world, pick)) is not None:
        world.disk.strange(path, Kind.UNREADABLE)


def _add(world: World, path: str, kind: Kind, content: str = "", status: Status = Status.COMPLETED) -> None:
    """By somebody else, where nothing is in the way."""
    if world.cloud.at(path) or any(one.kind == Kind.FILE for above in parents(path) for one in world.cloud.at(above)):
        return
    world.cloud.put(path, kind, content, ours=False, status=status)


def _overwrite(world: World, pick: int, content: str) -> None:
    if (record := _record(world, pick, Kind.FILE)) is not None and record.status == Status.COMPLETED:
        record.content, record.ours = content, False


def _delete(world: World, pick: int) -> None:
    if (record := _record(world, pick)) is not None:
        world.cloud.delete(record)


def _exchange_directory(world: World, pick: int) -> None:
    """Somebody removes a directory and makes it again, empty."""
    if (record := _record(world, pick, Kind.DIRECTORY)) is not None:
        world.cloud.delete(record)
        world.cloud.put(record.path, Kind.DIRECTORY, ours=False)


def _hang(world: World, pick: int) -> None:
    """Somebody begins to give a record new content and does not end."""
    record = _record(world, pick, Kind.FILE)
    row = world.baseline.get(key_of(record.path)) if record is not None else None
    if record is not None and (row is None or row.sync is Sync.SYNCED):
        record.status, record.ours = Status.PENDING, False


def _linger(world: World, path: str) -> None:
    if not world.cloud.at(path):
        record, _ = world.cloud.put("gone", Kind.FILE, ours=True, status=Status.LEAVING)
        record.path = path


def _repeat(world: World, pick: int, content: str | None, ours: bool, status: Status) -> None:
    """A second record of a path: this job's own has what the baseline knows, or never got any."""
    record = _record(world, pick, Kind.FILE)
    if record is None or (ours and key_of(record.path) not in world.baseline):
        return
    ours = ours and (content is None or status == Status.PENDING)
    text = record.content if content is None else content
    world.cloud.put(record.path, Kind.FILE, text, ours=ours, status=status)


def _row(world: World, pick: int, kind: Kind | None = None) -> BaselineEntry | None:
    rows = sorted(row for row in world.baseline.values() if kind in (None, row.kind))
    return rows[pick % len(rows)] if rows else None


def _forget(world: World, pick: int) -> None:
    if (row := _row(world, pick)) is not None:
        del world.baseline[row.key]


def _change_row(world: World, row: BaselineEntry | None, **fields: Any) -> None:
    if row is not None:
        world.baseline[row.key] = row._replace(**fields)


def _only_uploaded(world: World, pick: int, complete: bool) -> None:
    row = _row(world, pick, Kind.FILE)
    if row is None or row.id not in world.cloud.records or row.sync is not Sync.SYNCED:
        return
    record = world.cloud.records[row.id]
    if record.checksum == row.checksum:
        record.status = Status.COMPLETED if complete else Status.PENDING
        _change_row(world, row, sync=Sync.UPLOADED)


def _crash_in_create(world: World, pick: int, reached: str, streamed: bool) -> None:
    path = _local_file(world, pick)
    if path is None or world.cloud.at(path) or key_of(path) in world.baseline:
        return
    if any(one.kind == Kind.FILE for above in parents(path) for one in world.cloud.at(above)):
        return
    content = world.disk.nodes[path].content
    claim = "" if streamed else checksum_of(content)
    key = key_of(path)
    world.baseline[key] = BaselineEntry(key, Kind.FILE, len(content), 0, 0, 0, None, "", Sync.CLAIMED, claim)
    if reached != "nothing":
        status = Status.PENDING if reached == "pending" else Status.COMPLETED
        _, made = world.cloud.put(path, Kind.FILE, content, ours=True, status=status)
        for directory in made:
            row = BaselineEntry(key_of(directory), Kind.DIRECTORY, 0, 0, 0, 0, None, "", Sync.SYNCED, None)
            world.baseline[row.key] = row


def _crash_in_replace(world: World, pick: int, content: str, reached: str, streamed: bool) -> None:
    row = _row(world, pick, Kind.FILE)
    if row is None or row.id not in world.cloud.records or row.claim is not None:
        return
    record = world.cloud.records[row.id]
    if record.status != Status.COMPLETED:
        return
    claim = "" if streamed else checksum_of(content)
    _change_row(world, row, sync=Sync.CLAIMED, claim=claim)
    if reached == "pending":
        record.status = Status.PENDING
    elif reached == "completed":
        record.content, record.status, record.ours = content, Status.COMPLETED, True


EDITS: dict[str, Callable[..., None]] = {
    "write": lambda world, path, content: world.disk.write(path, content),
    "write_long": lambda world, path, content: world.disk.write(path, content),
    "save": lambda world, path, content: world.disk.save(path, content),
    "mkdir": lambda world, path: world.disk.mkdir(path),
    "strange": lambda world, path, kind: world.disk.strange(path, kind),
    "edit": _edit,
    "touch": _on_file("touch"),
    "remove": _remove,
    "rename": _rename,
    "rename_directory": _rename_directory,
    "plant": _plant,
    "copy": _copy,
    "swap": _swap,
    "change_case": _change_case,
    "shut": _shut,
    "overwrite": _overwrite,
    "delete": _delete,
    "add": lambda world, path, content: _add(world, path, Kind.FILE, content),
    "add_directory": lambda world, path: _add(world, path, Kind.DIRECTORY),
    "add_pending": lambda world, path: _add(world, path, Kind.FILE, status=Status.PENDING),
    "exchange_directory": _exchange_directory,
    "hang": _hang,
    "linger": _linger,
    "repeat": _repeat,
    "forget_all": lambda world: world.baseline.clear(),
    "forget": _forget,
    "forget_id": lambda world, pick: _change_row(world, _row(world, pick, Kind.DIRECTORY), id=""),
    "distrust": lambda world, pick: _change_row(world, _row(world, pick, Kind.FILE), mtime_ns=UNTRUSTED),
    "only_uploaded": _only_uploaded,
    "crash_in_create": _crash_in_create,
    "crash_in_replace": _crash_in_replace,
}
