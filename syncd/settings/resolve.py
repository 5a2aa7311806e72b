"""From a validated configuration and the words of the command line to the specs of what is to be done.

Called by `cli`. Raises ConfigurationError. Reads each token once, so that one that is missing is said before anything
is contacted; contacts nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from pydantic import ValidationError

from syncd.core.model import DeleteMode, OnDrift, Order
from syncd.errors import ConfigurationError
from syncd.settings import tokens, values
from syncd.settings.complaints import did_you_mean, option_complaint
from syncd.settings.load import Loaded, absolute, usual_files
from syncd.settings.schema import JobSettings, RemoteSettings
from syncd.settings.specs import JobSpec, Options, RemoteSpec

API_URLS = {
    "losant": "https://api.losant.com",
    "losant-private": "https://api.losant.com",
    "privasfer": "https://privasfer.com",
}
WITHOUT_APPLICATION = frozenset({"privasfer", "sandbox"})
WITHOUT_CHECKSUMS = frozenset({"privasfer"})
CANNOT_MOVE = frozenset({"privasfer"})


def is_pair(words: Sequence[str]) -> bool:
    """Whether the words are SOURCE DESTINATION rather than names of jobs."""
    return len(words) == 2 and ":" in words[1]


def job_specs(words: Sequence[str], loaded: Loaded, options: Options, *, contacting: bool = True) -> list[JobSpec]:
    """The jobs that the words name, all of the configuration if there are none, or the one of a pair.

    Jobs on the same account have the very same RemoteSpec. Tokens are found and read only for `contacting`.
    """
    check(loaded)
    accounts = _Accounts(loaded, options, contacting=contacting)
    specs = [_pair(words, accounts)] if is_pair(words) else _named(words, loaded, accounts)
    if options.adopt_by_size:
        _refuse_adoption_by_size(specs)
    remotes = {spec.remote for spec in specs if spec.remote.kind != "sandbox"}
    if len(remotes) > 1 and (options.token_file or options.api_url):
        option = "--token-file" if options.token_file else "--api-url"
        listed = ", ".join(sorted(remote.name for remote in remotes))
        raise ConfigurationError(f"{option} is for one remote, these jobs use {listed}")
    return specs


def _refuse_adoption_by_size(specs: Sequence[JobSpec]) -> None:
    for spec in specs:
        if spec.remote.kind not in WITHOUT_CHECKSUMS:
            raise ConfigurationError(
                f"--adopt-by-size is for remotes without checksums (privasfer); {spec.name} is on one of kind "
                f"{spec.remote.kind}, where the content is compared"
            )


def destination(text: str, loaded: Loaded, options: Options) -> tuple[RemoteSpec, str]:
    """The remote and the directory that REMOTE:/dir or a URL names."""
    return _Accounts(loaded, options).at(text)


class _Accounts:
    """The remotes that destinations name, each made once: a token file that is a pipe can be read only once."""

    def __init__(self, loaded: Loaded, options: Options, *, contacting: bool = True) -> None:
        self._loaded = loaded
        self._contacting = contacting
        self.options = options
        self._made: dict[tuple[str | None, ...], RemoteSpec] = {}

    def at(self, text: str) -> tuple[RemoteSpec, str]:
        try:
            parsed = values.parse_destination(text)
        except ValueError as error:
            raise ConfigurationError(f"{text}: a destination {error}") from None
        identity = (parsed.remote, parsed.kind, parsed.application_id)
        if identity not in self._made:
            self._made[identity] = self._make(parsed)
        return self._made[identity], parsed.directory

    def _make(self, parsed: values.Destination) -> RemoteSpec:
        if parsed.remote is not None:
            return _remote(parsed.remote, self._loaded, contacting=self._contacting)
        assert parsed.kind is not None
        return _of_url(parsed.kind, parsed.application_id, self.options, contacting=self._contacting)


def check(loaded: Loaded) -> None:
    """What must hold between settings: known remotes, all they need, settle times, no two jobs in one place."""
    problems = [line for name, remote in loaded.settings.remotes.items() for line in _remote_problems(name, remote)]
    problems += [line for name, job in loaded.settings.jobs.items() for line in _job_problems(name, job, loaded)]
    if not problems:
        problems += [*_overlaps(loaded), *_trash_overlaps(loaded)]
    if problems:
        raise ConfigurationError("\n".join(problems))


def _remote_problems(name: str, remote: RemoteSettings) -> list[str]:
    if remote.kind not in WITHOUT_APPLICATION and remote.application_id is None:
        return [f"remotes.{name}.application_id: is required for kind {remote.kind}"]
    if remote.kind == "privasfer" and remote.application_id is not None:
        return [f"remotes.{name}.application_id: kind {remote.kind} has none, the token says whose account it is"]
    return []


def _job_problems(name: str, job: JobSettings, loaded: Loaded) -> list[str]:
    problems = []
    remote = values.parse_destination(job.destination).remote
    if remote is not None and remote not in loaded.settings.remotes:
        known = loaded.settings.remotes
        problems.append(f"jobs.{name}.destination = {job.destination!r}: no such remote{_known(remote, known)}")
    problems += _moving_problems(name, job, loaded)
    if values.parse_duration(job.settle) > values.parse_duration(job.settle_max):
        problems.append(f"jobs.{name}.settle_max = {job.settle_max!r}: must not be less than settle ({job.settle})")
    return problems


def _moving_problems(name: str, job: JobSettings, loaded: Loaded) -> list[str]:
    """What asks for moves on a remote that has none, and a trash that would be the whole remote."""
    parsed = values.parse_destination(job.destination)
    remote = loaded.settings.remotes.get(parsed.remote or "")
    kind = remote.kind if remote is not None else parsed.kind
    asked = {"trash": job.trash, "on_drift": job.on_drift if job.on_drift == "copy" else ""}
    problems = [
        f"jobs.{name}.{key} = {value!r}: needs a remote that can move files, which {kind} cannot"
        for key, value in asked.items()
        if value and kind in CANNOT_MOVE
    ]
    if job.trash and not values.parse_directory(job.trash):
        problems.append(f"jobs.{name}.trash = {job.trash!r}: must be a directory, not the whole remote")
    return problems


def _trash_overlaps(loaded: Loaded) -> list[str]:
    """A line for each trash that would hold a destination, or lie where another job writes or has its own."""
    jobs = loaded.settings.jobs
    places = {name: _place(job, loaded) for name, job in jobs.items()}
    trashes = {name: values.parse_directory(job.trash) for name, job in jobs.items() if job.trash}
    problems = []
    for name, trash in trashes.items():
        account, own = places[name]
        others = [other for other, place in places.items() if other != name and place[0] == account]
        said = f"jobs.{name}.trash = {jobs[name].trash!r}"
        if f"{own}/".startswith(f"{trash}/"):
            problems.append(f"{said}: must not hold the job's own destination ({jobs[name].destination})")
        problems += [
            f"{said}: overlaps the destination of jobs.{other} ({jobs[other].destination})"
            for other in others
            if _nested(trash, places[other][1])
        ]
        problems += [
            f"{said}: overlaps the trash of jobs.{other}: each needs its own"
            for other in others
            if name < other and other in trashes and _nested(trash, trashes[other])
        ]
    return problems


def _overlaps(loaded: Loaded) -> list[str]:
    """A line for each two jobs of which one would write into the other's directory."""
    places = {name: _place(job, loaded) for name, job in loaded.settings.jobs.items()}
    return [
        f"jobs.{one} and jobs.{other}: their destinations overlap "
        f"({loaded.settings.jobs[one].destination}, {loaded.settings.jobs[other].destination})"
        for one, other in combinations(places, 2)
        if places[one][0] == places[other][0] and _nested(places[one][1], places[other][1])
    ]


def _place(job: JobSettings, loaded: Loaded) -> tuple[tuple[str | None, ...], str]:
    """The account and the directory that a job writes to."""
    parsed = values.parse_destination(job.destination)
    if parsed.remote is None:
        assert parsed.kind is not None
        return (parsed.kind, API_URLS.get(parsed.kind), parsed.application_id), parsed.directory
    remote = loaded.settings.remotes[parsed.remote]
    if remote.kind == "sandbox":
        return ("sandbox", None, None), parsed.directory
    return (remote.kind, remote.api_url or API_URLS.get(remote.kind), remote.application_id), parsed.directory


def _nested(one: str, other: str) -> bool:
    return not one or not other or f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _named(words: Sequence[str], loaded: Loaded, accounts: _Accounts) -> list[JobSpec]:
    jobs = loaded.settings.jobs
    if destinations := [word for word in words if ":" in word]:
        raise ConfigurationError(f"{destinations[0]}: a destination is the second of two words, SOURCE DESTINATION")
    for word in words:
        if word not in jobs:
            raise ConfigurationError(f"{word}: neither a command nor a job{_known(word, jobs)}")
    if not jobs:
        looked = str(loaded.file) if loaded.file else ", ".join(map(str, usual_files()))
        raise ConfigurationError(f"there is no job to run (looked in {looked}); `syncd init` writes a configuration")
    return [_job(name, loaded, accounts) for name in jobs if name in words or not words]


def _pair(words: Sequence[str], accounts: _Accounts) -> JobSpec:
    """A job of its own, with the options and otherwise the defaults."""
    text, target = words
    options = accounts.options
    remote, directory = accounts.at(target)
    if not text:
        raise ConfigurationError("the source is an empty word")
    source = absolute(Path(text))
    name = source.resolve().name or str(source)
    given = {
        "source": str(source),
        "destination": target,
        "include": list(options.include),
        "exclude": list(options.exclude),
        "delete": options.delete,
        "max_delete": options.max_delete,
        "workers": options.workers,
    }
    try:
        job = JobSettings.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("\n".join(option_complaint(dict(details)) for details in error.errors())) from None
    return _spec(name, job, source, remote, directory, options=options, named=False)


def _job(name: str, loaded: Loaded, accounts: _Accounts) -> JobSpec:
    job = loaded.settings.jobs[name]
    remote, directory = accounts.at(job.destination)
    source = loaded.path(job.source, "jobs", name, "source")
    return _spec(name, job, source, remote, directory, options=accounts.options, named=True)


def _spec(
    name: str,
    job: JobSettings,
    source: Path,
    remote: RemoteSpec,
    directory: str,
    *,
    options: Options,
    named: bool,
) -> JobSpec:
    return JobSpec(
        name=name,
        named=named,
        source=source,
        remote=remote,
        directory=directory,
        include=tuple(job.include),
        exclude=tuple(job.exclude),
        delete=DeleteMode(job.delete),
        max_delete=values.parse_max_delete(job.max_delete),
        workers=job.workers,
        follow_symlinks=job.symlinks == "follow",
        empty_directories=job.empty_directories,
        drain_s=values.parse_duration(job.drain),
        verify_checksums=options.checksum,
        accept_source=options.accept_source,
        adopt_by_size=options.adopt_by_size,
        settle_s=values.parse_duration(job.settle),
        settle_max_s=values.parse_duration(job.settle_max),
        rescan_s=values.parse_duration(job.rescan),
        flush=job.on_stop == "flush",
        on_drift=OnDrift(job.on_drift),
        trash=values.parse_directory(job.trash),
        trash_keep_s=values.parse_duration(job.trash_keep),
        bandwidth=values.parse_bandwidth(job.bandwidth),
        order=Order(job.order),
    )


def _remote(name: str, loaded: Loaded, *, contacting: bool) -> RemoteSpec:
    """A configured remote, its token found and read once."""
    remote = loaded.settings.remotes.get(name)
    if remote is None:
        raise ConfigurationError(f"{name}: no such remote{_known(name, loaded.settings.remotes)}")
    token = None
    if remote.kind != "sandbox" and contacting:
        token = tokens.tokens_of(loaded).get(name)
        if token is None:
            raise ConfigurationError(
                f"remotes.{name}: has no token: set $SYNCD_TOKEN, or remotes.{name}.token_file, or give --token-file"
            )
        token.read()
    sandbox = remote.kind == "sandbox"
    return RemoteSpec(
        name=name,
        kind=remote.kind,
        application_id=None if sandbox else remote.application_id,
        api_url=None if sandbox else remote.api_url or API_URLS[remote.kind],
        token=token.read if token else None,
        requests_per_second=remote.requests_per_second,
        max_connections=remote.max_connections,
    )


def _of_url(kind: str, application_id: str | None, options: Options, *, contacting: bool) -> RemoteSpec:
    """The account of a destination URL: everything but its token and address has its default."""
    token, api_url = None, None
    if kind != "sandbox":
        token = _token_of_url(kind, application_id, options) if contacting else None
        api_url = _api_url(options) or API_URLS[kind]
    return RemoteSpec(
        name=kind,
        kind=kind,
        application_id=application_id,
        api_url=api_url,
        token=token.read if token else None,
        requests_per_second=0,
        max_connections=32,
    )


def _token_of_url(kind: str, application_id: str | None, options: Options) -> tokens.Token:
    token = tokens.of_file(Path(options.token_file)) if options.token_file else tokens.from_environment()
    if token is None:
        raise ConfigurationError(
            f"{kind}://{application_id or ''}: has no token: set $SYNCD_TOKEN or give --token-file"
        )
    token.read()
    return token


def _api_url(options: Options) -> str | None:
    try:
        return values.check_api_url(options.api_url) if options.api_url else None
    except ValueError as error:
        raise ConfigurationError(f"--api-url = {options.api_url!r}: {error}") from None


def _known(word: str, known: Iterable[str]) -> str:
    names = list(known)
    listed = f" (known: {', '.join(names)})" if names else " (none is configured)"
    return did_you_mean(word, names) or listed
