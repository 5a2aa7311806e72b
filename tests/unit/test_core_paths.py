"""Keys: one order for every tree, whatever its names begin with."""

from __future__ import annotations

import pytest

from syncd.core.paths import ancestors_of, is_below, join, key_of, name_of, parent_of, path_of, slice_below


def test_a_directory_comes_right_before_what_is_in_it() -> None:
    paths = ["a", "a/b", "a/z", "a b", "a-b", "a.txt", "a0", "é", "é/x"]
    assert sorted(set(paths), key=key_of) == paths


@pytest.mark.parametrize("path", ["", "a", "a/b/c", "ä/日本", "new\nline", "\x01", "bad\udcff/x"])
def test_a_key_gives_its_path_back(path: str) -> None:
    assert path_of(key_of(path)) == path


def test_parts() -> None:
    key = key_of("a/b/c")
    assert parent_of(key) == key_of("a/b")
    assert name_of(key) == b"c"
    assert parent_of(key_of("a")) == b""
    assert parent_of(b"") == b""
    assert join(b"", b"a") == b"a"
    assert join(key_of("a/b"), b"c") == key
    assert ancestors_of(key) == [b"a", key_of("a/b")]
    assert ancestors_of(b"a") == []


def test_below_is_by_component() -> None:
    assert is_below(key_of("a/b"), b"a")
    assert not is_below(b"a", b"a")
    assert not is_below(b"ab", b"a")
    assert is_below(b"a", b"")
    assert not is_below(b"", b"")


def test_the_slice_of_a_directory_is_what_is_in_it() -> None:
    keys = sorted(key_of(path) for path in ["a", "a/b", "a/b/c", "a\x01b", "a b", "ab", "b"])
    assert keys[slice_below(keys, b"a")] == [key_of("a/b"), key_of("a/b/c")]
    assert keys[slice_below(keys, b"b")] == []
