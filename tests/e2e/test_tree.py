"""Whatever a directory may hold: odd names, links, loops, pipes, sockets, what cannot be read, what is very deep."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

from tests.e2e.program import Pair

ODD_NAMES = [
    " leading and trailing ",
    "new\nline",
    "escape\x1b[31mred",
    "carriage\rreturn",
    "right\u202eto\u202cleft",
    "caf\u00e9",
    "cafe\u0301",
    "Case",
    "case",
    "CASE",
    "quote\"s and 'those'",
    "back\\slash",
    "per%20cent%",
    "a+b&c=d?e#f",
    "*star*[x]{y}",
    "-dash",
    "...",
    "~tilde~",
    "emoji \U0001f600",
    "\u00a0",
    "con",
    "nul.txt",
    "x" * 255,
    "\u00fc" * 127,
    "\x01\x7f",
    "a:b;c|d<e>f",
]


def test_odd_names_are_mirrored_and_stay(pair: Pair) -> None:
    for number, name in enumerate(ODD_NAMES):
        pair.write(name, f"file {number}")
        pair.write(f"in/{name}/{name}", f"deeper {number}")
    run = pair.mirrored()
    assert run.counts()["created"] == 2 * len(ODD_NAMES)
    assert "\x1b[31m" not in run.err
    pair.assert_equal()
    pair.assert_idle()
    for name in ODD_NAMES:
        (pair.source / name).rename(pair.source / f"{name[:100]}-moved{len(name)}")
    again = pair.mirrored()
    assert again.counts()["moved"] + again.counts().get("created", 0) == len(ODD_NAMES)
    pair.assert_equal()
    shutil.rmtree(pair.source / "in")
    pair.mirrored("--max-delete", "100%")
    pair.assert_equal()


def test_odd_names_for_people_do_not_steer_the_terminal(pair: Pair) -> None:
    for name in ODD_NAMES:
        pair.write(name, name)
    words = [pair.source, pair.destination, *pair.where]
    plan = pair.program.run("plan", *words)
    run = pair.program.run("--once", *words, "-v", "--log-format", "console")
    listed = pair.program.run("ls", *words[1:])
    for text in (plan.out, plan.err, run.out, run.err, listed.out):
        assert not {"\x1b", "\r", "\x01", "\x7f", "\u202e"} & set(text)
    assert len(listed.out.splitlines()) == len(ODD_NAMES) + 1
    assert len(plan.out.splitlines()) == len(ODD_NAMES) + 1


def test_a_name_that_is_no_utf8_fails_alone(pair: Pair) -> None:
    bad = os.fsdecode(b"caf\xe9")
    pair.write("good", "good")
    pair.write(f"{bad}/inside", "x")
    pair.write(os.fsdecode(b"in/\xff"), "x")
    run = pair.mirrored(code=1)
    assert set(run.failed()) == {"caf\\xe9", "in/\\xff"}
    assert set(pair.remote()) >= {"good"}
    assert pair.mirrored(code=1).counts().get("deleted", 0) == 0


def test_200_levels(pair: Pair) -> None:
    deep = "/".join(["d"] * 200)
    pair.write(f"{deep}/file", "at the bottom")
    assert pair.mirrored().counts() == {"created": 1, "directories": 200}
    pair.assert_equal()
    pair.assert_idle()
    shutil.rmtree(pair.source / "d")
    pair.mirrored()
    assert pair.remote() == {}


def test_paths_beyond_the_limit_fail_before_any_request(pair: Pair) -> None:
    long = "/".join(["d" * 100] * 11)
    pair.write(f"{long}/file", "x")
    pair.write("short", "x")
    run = pair.mirrored(code=1)
    assert all("characters" in error for error in run.failed().values())
    assert f"{long}/file" in run.failed()
    assert pair.remote()["short"] == b"x"
    assert pair.server.counts()["form"] == 1


def test_symlinks_are_skipped_and_counted(pair: Pair) -> None:
    pair.write("real/file", "x")
    links = {"loop": ".", "up": "..", "etc": "/etc", "broken": "nowhere", "file": "real/file", "self": "self"}
    for name, target in links.items():
        (pair.source / name).symlink_to(target)
    run = pair.mirrored()
    assert {skip["path"] for skip in run.job["skipped"]} == set(links)
    assert {skip["reason"] for skip in run.job["skipped"]} == {"symlink"}
    assert pair.remote() == {"real": None, "real/file": b"x"}


def test_symlinks_followed_stay_within_the_source(pair: Pair) -> None:
    pair.write("real/file", "x")
    links = {"loop": ".", "up": "..", "etc": "/etc", "broken": "nowhere", "copy": "real/file", "twin": "real"}
    for name, target in links.items():
        (pair.source / name).symlink_to(target)
    configuration = pair.program.home / "syncd.toml"
    configuration.write_text(
        f"""
        state_dir = "{pair.state}"
        [remotes.prod]
        kind = "losant"
        application_id = "5a9db0c5e1f4a20007c0ffee"
        api_url = "{pair.server.url}"
        [jobs.assets]
        source = "{pair.source}"
        destination = "prod:/dir"
        symlinks = "follow"
        """
    )
    run = pair.program.run("--once", "--json")
    assert run.code == 0, run
    assert {skip["path"] for skip in run.job["skipped"]} == {"loop", "up", "etc", "broken"}
    assert pair.remote() == {"copy": b"x", "real": None, "real/file": b"x", "twin": None, "twin/file": b"x"}


def test_a_source_of_links_only_is_said_loudly(pair: Pair) -> None:
    (pair.source / "config.yaml").symlink_to("..data/config.yaml")
    run = pair.mirrored()
    assert "everything in the source was skipped" in run.err


def test_a_file_that_became_a_link_is_not_deleted(pair: Pair) -> None:
    file = pair.write("config", "x")
    pair.write("other", "y")
    pair.mirrored()
    file.unlink()
    file.symlink_to("other")
    run = pair.mirrored()
    assert run.counts() == {"unchanged": 1}
    assert pair.remote()["config"] == b"x"


def test_pipes_sockets_and_devices_do_not_block(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(pair.source / "pipe")
    monkeypatch.chdir(pair.source)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        if os.geteuid() == 0:
            os.mknod(pair.source / "device", 0o20600, os.makedev(1, 5))
        pair.write("file", "x")
        run = pair.mirrored()
    assert {skip["path"] for skip in run.job["skipped"]} >= {"pipe", "socket"}
    assert pair.remote() == {"file": b"x"}


def test_sizes(pair: Pair) -> None:
    pair.write("empty", b"")
    for size in (1, 60 * 1024 - 1, 60 * 1024, 60 * 1024 + 1, 2**20, 2**20 + 1):
        pair.write(f"{size}", os.urandom(size))
    with (pair.source / "sparse").open("wb") as sparse:
        sparse.truncate(64 * 2**20)
    assert pair.mirrored().counts() == {"created": 8}
    pair.assert_equal()
    pair.assert_idle()


def test_images_with_their_type_and_dimensions(pair: Pair) -> None:
    pixel = bytes.fromhex("89504e470d0a1a0a0000000d494844520000000200000003080600000097ad14e70000000049454e44ae426082")
    pair.write("pixel.png", pixel)
    pair.write("torn.png", pixel[:12])
    pair.write("text.txt", "text")
    pair.mirrored()
    assert pair.record("pixel.png").dimensions == {"width": 2, "height": 3}
    assert pair.record("pixel.png").content_type == "image/png"
    assert pair.record("text.txt").content_type == "text/plain"
    pair.assert_equal()


def test_hard_links_are_files_of_their_own(pair: Pair) -> None:
    file = pair.write("a", "same")
    os.link(file, pair.source / "b")
    assert pair.mirrored().counts() == {"created": 2}
    file.write_text("other")
    assert pair.mirrored().counts() == {"replaced": 2}
    (pair.source / "b").rename(pair.source / "c")
    assert pair.mirrored().counts() == {"moved": 1, "unchanged": 1}
    pair.assert_equal()


def test_more_files_in_one_directory_than_on_a_page(pair: Pair) -> None:
    """And more than one page of the listing."""
    for number in range(1200):
        pair.write(f"many/{number}", f"{number}")
    assert pair.mirrored("--workers", "32").counts() == {"created": 1200, "directories": 1}
    pair.assert_idle()


def test_what_cannot_be_read_stays_on_the_destination(pair: Pair, ordinary: tuple[str, ...]) -> None:
    pair.write("dir/inside", "x")
    pair.write("file", "before")
    pair.write("other", "y")
    assert pair.once(prefix=ordinary).code == 0
    pair.assert_equal()
    (pair.source / "dir").chmod(0o000)
    pair.write("file", "after").chmod(0o000)
    pair.write("other", "changed")
    run = pair.once(prefix=ordinary)
    assert run.code == 1, run
    assert set(run.failed()) == {"dir", "file"}
    assert run.counts().get("deleted", 0) == 0
    assert pair.remote() == {"dir": None, "dir/inside": b"x", "file": b"before", "other": b"changed"}
    (pair.source / "dir").chmod(0o755)
    (pair.source / "file").chmod(0o644)
    assert pair.once(prefix=ordinary).counts() == {"replaced": 1, "unchanged": 2}
    pair.assert_equal()


def test_7_the_source_itself_cannot_be_read(pair: Pair, ordinary: tuple[str, ...]) -> None:
    pair.write("file", "x")
    assert pair.once(prefix=ordinary).code == 0
    for mode in (0o000, 0o444, 0o111):
        pair.source.chmod(mode)
        run = pair.once(prefix=ordinary)
        assert run.code == 7, (oct(mode), run)
        assert f"the source {str(pair.source)!r} cannot be read" in run.err
        assert pair.remote() == {"file": b"x"}
    pair.source.chmod(0o755)
    assert pair.once(prefix=ordinary).counts() == {"unchanged": 1}


def test_an_unreadable_ignore_file_stops_the_run(pair: Pair, ordinary: tuple[str, ...]) -> None:
    """Taken for empty, it would publish what it leaves out."""
    pair.write("secret.key", "x")
    pair.write(".syncdignore", "*.key").chmod(0o000)
    assert pair.once(prefix=ordinary).code == 7
    assert pair.remote() == {}
