"""From words and configuration to specs: which jobs, where their tokens are, and what is refused before any contact."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from syncd.core.bandwidth import Timetable
from syncd.core.model import DeleteMode, MaxDelete, OnDrift, Order
from syncd.errors import ConfigurationError
from syncd.settings import JobSpec, Options, RemoteSpec, destination, job_specs, load
from syncd.settings.resolve import check
from tests.settings_support import MINIMAL, Write, bare_environment, writer

APP = "575ec8687ae143cd83dc4a97"
TWO = f"""
[remotes.one]
kind = "losant"
application_id = "{APP}"
[remotes.two]
kind = "losant-private"
application_id = "{APP}"
[jobs.a]
source = "/a"
destination = "one:/a"
[jobs.b]
source = "/b"
destination = "two:/b"
"""


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_environment(tmp_path, monkeypatch)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


def specs(options: Options, *words: str) -> list[JobSpec]:
    return job_specs(words, load(options), options)


def refusal(options: Options, *words: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        specs(options, *words)
    return str(caught.value)


def token_of(spec: JobSpec | RemoteSpec) -> str:
    remote = spec.remote if isinstance(spec, JobSpec) else spec
    assert remote.token is not None
    return remote.token()


class TestJobs:
    def test_all_or_those_named_in_the_order_of_the_file(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        options = write(TWO)
        monkeypatch.setenv("SYNCD_REMOTES__ONE__TOKEN", "t-one")
        monkeypatch.setenv("SYNCD_REMOTES__TWO__TOKEN", "t-two")
        assert [spec.name for spec in specs(options)] == ["a", "b"]
        assert [spec.name for spec in specs(options, "b", "a", "b")] == ["a", "b"]
        assert [token_of(spec) for spec in specs(options, "b")] == ["t-two"]

    def test_come_to_their_specs(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "t0")
        more = 'include = ["*.a"]\nsymlinks = "follow"\nempty_directories = false\ndrain = "2m"\nmax_delete = 9\n'
        more += 'on_drift = "keep"\ntrash = "/old/assets/"\ntrash_keep = "1d"\n'
        (spec,) = specs(write(MINIMAL + more, checksum=True, accept_source=True, delete="never"))
        remote = spec.remote
        assert (remote.name, remote.kind, remote.application_id) == ("prod", "losant", APP)
        assert (remote.api_url, remote.requests_per_second, remote.max_connections) == ("https://api.losant.com", 0, 32)
        assert spec == JobSpec(
            name="assets",
            named=True,
            source=Path("/srv/assets"),
            remote=remote,
            directory="assets",
            include=("*.a",),
            exclude=(),
            delete=DeleteMode.NEVER,
            max_delete=MaxDelete(count=9, percent=None),
            workers=16,
            follow_symlinks=True,
            empty_directories=False,
            drain_s=120.0,
            verify_checksums=True,
            accept_source=True,
            adopt_by_size=False,
            settle_s=0.5,
            settle_max_s=300.0,
            rescan_s=3600.0,
            flush=False,
            on_drift=OnDrift.KEEP,
            trash="old/assets",
            trash_keep_s=86400.0,
            bandwidth=Timetable(),
            order=Order.SMALL_FIRST,
        )

    def test_a_source_is_relative_to_its_file_and_keeps_its_symlinks(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "t0")
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "current").symlink_to(tmp_path)
        options = write(MINIMAL.replace("/srv/assets", "current"))
        assert specs(options)[0].source == tmp_path / "conf" / "current"
        monkeypatch.setenv("SYNCD_JOBS__ASSETS__SOURCE", "here")
        assert specs(options)[0].source == Path.cwd() / "here"
        monkeypatch.setenv("SYNCD_JOBS__ASSETS__SOURCE", "~/there")
        assert specs(options)[0].source == tmp_path / "home" / "there"

    def test_an_unknown_word_is_told_the_known_jobs(self, write: Write) -> None:
        assert refusal(write(TWO), "zzz") == "zzz: neither a command nor a job (known: a, b)"
        assert refusal(write(MINIMAL), "asets") == "asets: neither a command nor a job (did you mean assets?)"
        assert "SOURCE DESTINATION" in refusal(write(MINIMAL), "assets", "x", "prod:/y")

    def test_none_at_all_says_where_it_looked(self) -> None:
        assert "looked in syncd.toml, " in refusal(Options())


class TestPairs:
    def test_of_a_url_need_no_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", " t1\n")
        options = Options(delete="mirror", max_delete="100%", workers=2, exclude=("*.o",))
        (spec,) = specs(options, "src", f"losant-private://{APP}/x/y/")
        assert (spec.name, spec.named, spec.source, spec.directory) == ("src", False, Path.cwd() / "src", "x/y")
        assert (spec.delete, spec.max_delete, spec.workers) == (DeleteMode.MIRROR, MaxDelete(None, 100.0), 2)
        assert (spec.include, spec.exclude) == ((), ("*.o",))
        assert (spec.remote.kind, spec.remote.application_id, token_of(spec)) == ("losant-private", APP, "t1")

    def test_of_the_sandbox_need_no_token(self) -> None:
        (spec,) = specs(Options(), ".", "sandbox:/")
        assert (spec.name, spec.directory) == ("work", "")
        assert (spec.remote.kind, spec.remote.token, spec.remote.api_url) == ("sandbox", None, None)

    def test_of_a_configured_remote_have_its_account_and_not_its_jobs_options(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "t2")
        options = write(MINIMAL + "workers = 3\n")
        (spec,) = specs(options, "src", "prod:/other")
        assert (spec.remote.name, spec.directory, spec.workers, token_of(spec)) == ("prod", "other", 16, "t2")
        assert "no such remote (did you mean prod?)" in refusal(options, "src", "prd:/x")

    def test_with_a_bad_option_are_told_the_option(self) -> None:
        assert refusal(Options(max_delete="x"), "src", "sandbox:/").startswith("--max-delete 'x': must be a number")
        assert refusal(Options(include=("",)), "src", "sandbox:/") == "--include '': must not be empty"

    def test_take_the_address_of_the_option(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "t")
        (spec,) = specs(Options(api_url="http://127.0.0.1:9/"), "src", f"losant://{APP}/x")
        assert spec.remote.api_url == "http://127.0.0.1:9"
        assert "--api-url" in refusal(Options(api_url="nowhere"), "src", f"losant://{APP}/x")


class TestTokens:
    @pytest.fixture
    def places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Every place but the configuration's own holds a token that names it."""
        monkeypatch.setenv("SYNCD_TOKEN", "from-SYNCD_TOKEN")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "prod.token").write_text("from-credentials\n")
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "token").write_text("from-token_file\n")
        return tmp_path

    def test_the_nearest_wins(self, write: Write, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        options = write(MINIMAL)
        assert token_of(specs(options)[0]) == "from-credentials"
        (places / "credentials" / "prod.token").unlink()
        assert token_of(specs(options)[0]) == "from-SYNCD_TOKEN"
        with_file = MINIMAL.replace('kind = "losant"', 'kind = "losant"\ntoken_file = "token"')
        assert token_of(specs(write(with_file))[0]) == "from-token_file"
        monkeypatch.setenv("SYNCD_REMOTES__PROD__TOKEN", "from-variable")
        assert token_of(specs(write(with_file))[0]) == "from-variable"
        (places / "work" / "given").write_text("from-option")
        assert token_of(specs(write(with_file, token_file="given"))[0]) == "from-option"

    def test_two_in_one_place_are_refused(self, write: Write) -> None:
        text = MINIMAL.replace('kind = "losant"', 'kind = "losant"\ntoken_file = "token"\ntoken = "x"')
        assert "give one" in refusal(write(text))

    def test_a_token_that_could_be_meant_for_two_is_refused(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "hush")
        assert refusal(write(TWO)) == "$SYNCD_TOKEN could be meant for any of the remotes without a token: one, two"
        (spec,) = specs(write(TWO), "src", f"losant://{APP}/x")
        assert token_of(spec) == "hush"

    def test_a_file_is_read_again_at_each_use(self, write: Write, places: Path) -> None:
        text = MINIMAL.replace('kind = "losant"', 'kind = "losant"\ntoken_file = "token"')
        (spec,) = specs(write(text))
        (places / "conf" / "token").write_text("rotated")
        assert token_of(spec) == "rotated"
        (places / "conf" / "token").unlink()
        with pytest.raises(ConfigurationError, match=r"token cannot be read: No such file"):
            token_of(spec)

    def test_jobs_on_one_account_share_it(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "t")
        more = '[jobs.b]\nsource = "/b"\ndestination = "prod:/b"\n'
        (one, other) = specs(write(MINIMAL + more))
        assert one.remote is other.remote

    def test_a_pipe_is_read_once_and_kept(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writing = threading.Thread(target=pipe.write_text, args=["from-pipe\n"])
        writing.start()
        (spec,) = specs(Options(token_file=str(pipe)), "src", f"losant://{APP}/x")
        writing.join()
        assert [token_of(spec), token_of(spec)] == ["from-pipe", "from-pipe"]

    @pytest.mark.parametrize("text", ["", " \n", "two words", "two\nlines", "ümlaut", "nul\0"])
    def test_what_is_no_token_is_refused_before_any_contact_and_not_repeated(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "token"
        file.write_text(text)
        said = refusal(Options(token_file=str(file)), "src", f"losant://{APP}/x")
        assert str(file) in said
        assert not text.strip() or text not in said

    def test_none_is_said_with_the_ways_to_give_one(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "remotes.prod.token_file" in refusal(write(MINIMAL))
        monkeypatch.setenv("SYNCD_TOKEN", "")
        assert "$SYNCD_TOKEN" in refusal(Options(), "src", f"losant://{APP}/x")

    def test_an_option_is_not_sent_to_two_remotes(self, write: Write, places: Path) -> None:
        (places / "work" / "given").write_text("t")
        assert "--token-file is for one remote" in refusal(write(TWO, token_file="given"))
        assert [spec.name for spec in specs(write(TWO, token_file="given"), "b")] == ["b"]


class TestWhatContradicts:
    @pytest.mark.parametrize(
        ("one", "other", "overlap"),
        [
            ("one:/a", "one:/a", True),
            ("one:/a", "one:/a/b", True),
            ("one:/", "one:/b", True),
            ("one:/a/b", "one:/a", True),
            ("one:/a", "one:/ab", False),
            ("one:/a", "two:/a", False),
            ("one:/a", f"losant://{APP}/a/", True),
            ("sandbox:/x", "sandbox:/x/y", True),
        ],
    )
    def test_overlapping_destinations(self, write: Write, one: str, other: str, overlap: bool) -> None:
        text = TWO.replace('"one:/a"', f'"{one}"').replace('"two:/b"', f'"{other}"')
        loaded = load(write(text))
        if not overlap:
            check(loaded)
            return
        with pytest.raises(ConfigurationError, match=r"jobs\.a and jobs\.b: their destinations overlap"):
            check(loaded)

    def test_everything_is_said_at_once(self, write: Write) -> None:
        text = TWO.replace(f'application_id = "{APP}"', "").replace("two:/b", "tow:/b") + 'settle = "6m"\n'
        assert refusal(write(text)).splitlines() == [
            "remotes.one.application_id: is required for kind losant",
            "remotes.two.application_id: is required for kind losant-private",
            "jobs.b.destination = 'tow:/b': no such remote (did you mean two?)",
            "jobs.b.settle_max = '5m': must not be less than settle (6m)",
        ]

    @pytest.mark.parametrize(
        ("trash", "wrong"),
        [
            ("/.trash", None),
            ("/assets/.trash", None),
            ("/assets-old", None),
            ("/", "must be a directory, not the whole remote"),
            ("/assets", "must not hold the job's own destination"),
            ("/assets/", "must not hold the job's own destination"),
            ("/other", "overlaps the destination of jobs.other"),
            ("/other/x", "overlaps the destination of jobs.other"),
            ("/theirs", "overlaps the trash of jobs.other"),
            ("/theirs/deep", "overlaps the trash of jobs.other"),
        ],
    )
    def test_where_a_trash_may_be(self, write: Write, trash: str, wrong: str | None) -> None:
        other = '[jobs.other]\nsource = "/srv/other"\ndestination = "prod:/other"\ntrash = "/theirs"\n'
        loaded = load(write(f'{MINIMAL}trash = "{trash}"\n{other}'))
        if wrong is None:
            check(loaded)
            return
        with pytest.raises(ConfigurationError, match=rf"^jobs\.assets\.trash = '{trash}': {wrong}"):
            check(loaded)

    @pytest.mark.parametrize("line", ['trash = "/.trash"', 'on_drift = "copy"'])
    def test_what_needs_moves_is_refused_where_there_are_none(self, write: Write, line: str) -> None:
        options = write(MINIMAL.replace('kind = "losant"', 'kind = "privasfer"') + line)
        assert "needs a remote that can move files, which privasfer cannot" in refusal(options)

    def test_privasfer_has_no_applications(self, write: Write) -> None:
        options = write(MINIMAL.replace('kind = "losant"', 'kind = "privasfer"'))
        assert refusal(options).startswith("remotes.prod.application_id: kind privasfer has none")

    def test_adopting_by_size_is_for_remotes_without_checksums(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNCD_TOKEN", "t")
        options = write(MINIMAL, adopt_by_size=True)
        assert refusal(options).startswith("--adopt-by-size is for remotes without checksums (privasfer); assets is on")
        (spec,) = specs(options, "/srv", "privasfer:///x")
        assert (spec.adopt_by_size, spec.remote.api_url) == (True, "https://privasfer.com")
        assert (spec.remote.application_id, spec.directory) == (None, "x")


def test_a_listing_has_the_account_of_its_destination(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_TOKEN", "t")
    options = write(MINIMAL)
    remote, directory = destination("prod:/a//b/", load(options), options)
    assert (remote.name, directory, token_of(remote)) == ("prod", "a/b", "t")
    with pytest.raises(ConfigurationError, match="a destination must be"):
        destination("prod", load(options), options)
