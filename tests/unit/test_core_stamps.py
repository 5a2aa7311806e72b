"""Moments in names."""

from __future__ import annotations

import pytest

from syncd.core.stamps import STALE_S, arrival_of, aside_of, is_stale, is_stamp, stamp_of, time_of

STAMP = "2026-11-24T16-05-09Z"
TIME_S = 1795536309.0


def test_a_stamp_is_utc_to_the_second_and_can_be_read_again() -> None:
    assert stamp_of(TIME_S + 0.9) == STAMP
    assert time_of(STAMP) == TIME_S


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mine",
        "2026-11-24",
        "2026-11-24T16-05-09",
        f"{STAMP} ",
        f" {STAMP}",
        f"{STAMP}x",
        "2026-11-24T16:05:09Z",
        "2026-1-24T16-05-09Z",
        "2026-13-24T16-05-09Z",
        "2026-11-24T16-05-9Z",
        "\N{ARABIC-INDIC DIGIT TWO}026-11-24T16-05-09Z",
    ],
)
def test_only_what_syncd_would_write_is_a_stamp(name: str) -> None:
    assert not is_stamp(name)


@pytest.mark.parametrize(
    ("path", "most", "aside"),
    [
        ("a/b.txt", 99, f"a/b.theirs-{STAMP}.txt"),
        ("archive.tar.gz", 99, f"archive.tar.theirs-{STAMP}.gz"),
        ("plain", 99, f"plain.theirs-{STAMP}"),
        (".hidden", 99, f".hidden.theirs-{STAMP}"),
        ("d/longer than that.txt", 36, f"d/long.theirs-{STAMP}.txt"),
    ],
)
def test_names_of_what_is_moved_aside(path: str, most: int, aside: str) -> None:
    assert aside_of(path, STAMP, max_name_chars=most) == aside
    assert len(aside.rpartition("/")[2]) <= most


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.txt", f"{STAMP}-0f.txt"),
        ("plain", f"{STAMP}-0f"),
        ("a.b/plain", f"{STAMP}-0f"),
        ("x." + "y" * 17, f"{STAMP}-0f"),
    ],
)
def test_new_content_keeps_its_extension_on_the_way(path: str, name: str) -> None:
    assert arrival_of(path, STAMP, "0f") == name


@pytest.mark.parametrize(
    ("name", "age_s", "stale"),
    [
        (f"{STAMP}-0f.txt", STALE_S + 1, True),
        (f"{STAMP}-0f.txt", STALE_S - 1, False),
        (f"{STAMP}-0f.txt", -STALE_S, False),
        (f"{STAMP}0f.txt", STALE_S + 1, False),
        (STAMP, STALE_S + 1, False),
        ("mine.txt", STALE_S + 1, False),
    ],
)
def test_what_never_came_to_its_place_is_told_by_its_name(name: str, age_s: float, stale: bool) -> None:
    assert is_stale(name, now_s=TIME_S + age_s) is stale
