"""Filters mean what git means by the same patterns; git itself is asked."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.core.filters import Filter, ignore_lines
from syncd.errors import ConfigurationError

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is the reference here")

NAMES = ["a", "b", "ab", "a.b", "#a", "!b", " a", "x\ny", "xä"]
FILES = sorted(
    {"/".join(parts) for one in NAMES for parts in ([one], ["a", one, "f"], ["b", "a", one], ["b", "b", one])}
)

segments = st.sampled_from(["a", "b", "ab", "a*", "*b", "?", "*", "**", "[ab]", "[!a]", "f", "a.b", "\\#a", "xä", "x*"])
patterns = st.builds(
    lambda anchor, parts, end: anchor + "/".join(parts) + end,
    st.sampled_from(["", "/"]),
    st.lists(segments, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
signed_patterns = st.builds(lambda sign, pattern: sign + pattern, st.sampled_from(["", "", "!"]), patterns)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for name in FILES:
        path = root / name
        path = path / "file" if any(other.startswith(name + "/") for other in FILES) else path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


def ignored_by_git(repository: Path, ignored: Iterable[str]) -> set[str]:
    (repository / ".git" / "info" / "exclude").write_text("\n".join(ignored) + "\n")
    every = _listed(repository)
    return every - _listed(repository, "--exclude-standard")


def _listed(repository: Path, *options: str) -> set[str]:
    command = ["git", "-c", "core.excludesFile=/dev/null", "ls-files", "--others", "-z", *options]
    listed = subprocess.run(command, cwd=repository, check=True, capture_output=True).stdout
    return {name.decode() for name in listed.split(b"\0") if name}


@needs_git
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exclude=st.lists(signed_patterns, min_size=1, max_size=5))
def test_excludes_what_git_ignores(repository: Path, exclude: list[str]) -> None:
    rules = Filter(exclude=exclude)
    kept = {path for path in _listed(repository) if rules.wants(path, directory=False)}
    assert kept == _listed(repository) - ignored_by_git(repository, exclude)


@needs_git
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(include=st.lists(patterns, min_size=1, max_size=3), exclude=st.lists(patterns, max_size=2))
def test_wanted_is_included_by_a_match_of_it_or_a_parent_and_not_excluded(
    repository: Path, include: list[str], exclude: list[str]
) -> None:
    rules = Filter(include, exclude)
    wanted = {path for path in _listed(repository) if rules.wants(path, directory=False)}
    assert wanted == ignored_by_git(repository, include) - ignored_by_git(repository, exclude)


@pytest.mark.parametrize(
    ("exclude", "path", "directory", "wanted"),
    [
        (["*.tmp"], "a/b.tmp", False, False),
        (["*.tmp"], "a/b.tmpx", False, True),
        (["build/"], "build", False, True),
        (["build/"], "build", True, False),
        (["build/"], "x/build/deep/down", False, False),
        (["/top"], "x/top", False, True),
        (["a/**/z"], "a/z", False, False),
        (["logs/*", "!logs/keep"], "logs/keep", False, True),
        (["logs/**", "!logs/keep"], "logs/keep", False, True),
        (["logs/", "!logs/keep"], "logs/keep", False, False),
        (["x"], "x\n", False, True),
        (["x"], "a\nb/x", False, False),
        (["caf\udce9"], "caf\udce9", False, False),
    ],
)
def test_excludes(exclude: list[str], path: str, directory: bool, wanted: bool) -> None:
    assert Filter(exclude=exclude).wants(path, directory=directory) is wanted


def test_a_negated_include_takes_out_what_a_parent_put_in() -> None:
    rules = Filter(["docs/", "!docs/drafts/"])
    assert rules.wants("docs/a", directory=False)
    assert not rules.wants("docs/drafts/a", directory=False)
    assert not rules.wants("other", directory=False)


def test_a_directory_on_the_way_to_something_included_is_neither_wanted_nor_excluded() -> None:
    rules = Filter(["docs/*.txt"], ["private/"])
    assert not rules.wants("docs", directory=True)
    assert not rules.excludes("docs", directory=True)
    assert rules.excludes("docs/private", directory=True)
    assert rules.excludes("docs/private/x.txt", directory=False)


def test_without_patterns_there_is_nothing_to_ask() -> None:
    assert not Filter().active
    assert Filter().wants("any/thing", directory=False)


@pytest.mark.parametrize("pattern", ["[z-a]", "[a", "", "  ", "/", "!", "//", "a\\", "#note#", "[[:alpha:]]", "[a--b]"])
def test_a_pattern_that_could_not_be_meant_is_named(pattern: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Filter(exclude=[pattern])
    assert repr(pattern) in str(caught.value)


def test_an_ignore_file_may_have_comments_blank_lines_and_a_byte_order_mark() -> None:
    assert ignore_lines("\ufeff*.tmp\r\n\n# all of it\n\\#x\n  \n/y ") == ["*.tmp", "\\#x", "/y "]


class TestReasons:
    FILTER = Filter(["docs/", "*.md", "!secret.md"], ["*.tmp", "build/", "!keep.tmp"])

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("docs/a", None),
            ("docs/keep.tmp", None),
            ("docs/a.tmp", ("*.tmp", "docs/a.tmp")),
            ("docs/build/deep/a", ("build/", "docs/build")),
            ("other/a", (None, "other/a")),
            ("secret.md", (None, "secret.md")),
        ],
    )
    def test_a_reason_names_what_decided(self, path: str, reason: tuple[str | None, str] | None) -> None:
        assert self.FILTER.reason(path, directory=False) == reason

    @settings(max_examples=60, deadline=None)
    @given(
        include=st.lists(signed_patterns, max_size=3),
        exclude=st.lists(signed_patterns, max_size=3),
        path=st.sampled_from(FILES),
    )
    def test_there_is_one_just_where_a_path_is_left_out(
        self, include: list[str], exclude: list[str], path: str
    ) -> None:
        try:
            rules = Filter(include, exclude)
        except ConfigurationError:
            return
        reason = rules.reason(path, directory=False)
        assert (reason is None) == rules.wants(path, directory=False)
        assert reason is None or (reason.pattern is not None) == rules.excludes(path, directory=False)
