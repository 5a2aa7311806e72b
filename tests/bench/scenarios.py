"""The scenarios: what is run beside what, and the limits that the project set itself.

Called by `__main__`. Ours and the floor's runs alternate, each cold one against a fresh sandbox with an empty state, so
that whatever else the machine does strikes both. What is shown are medians; a ratio is that of the turns' ratios, which
a machine that is busy for a while moves less.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import statistics
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.processes import APPLICATION_ID, TOKEN, BenchError, Sample, measure, python, sandbox
from tests.bench.trees import make_file, make_tree

MIB = 1024 * 1024
WORKERS = 16
LATENCY_S = 0.02
DESTINATION = "bench"


class Row(NamedTuple):
    """One line of the table. `limit` is None for what is shown for information."""

    scenario: str
    what: str
    ours: str
    floor: str
    measured: str
    limit: str


@dataclass(frozen=True, slots=True)
class Bench:
    """Where to work, how much of the full size to do, and how often."""

    work: Path
    scale: float
    repeat: int

    def count(self, full: int) -> int:
        return max(1, round(full * self.scale))

    @contextlib.contextmanager
    def source(self) -> Iterator[Path]:
        path = self.work / "source"
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def server(self, *, latency_s: float = 0.0) -> Iterator[str]:
        with sandbox(self.work / "server", latency_s=latency_s) as url:
            yield url

    def alternate(self, *runs: Callable[[], Sample]) -> list[list[Sample]]:
        """The samples of each run, made in turns."""
        turns = [[run() for run in runs] for _ in range(self.repeat)]
        return [list(samples) for samples in zip(*turns, strict=True)]

    def mirror(self, source: Path, url: str, **expected: int) -> tuple[Sample, dict[str, Any]]:
        """One `syncd --once` and its job's report, which must say what is expected. The state is kept between calls."""
        token = self.work / "token"
        token.write_text(TOKEN)
        destination = f"losant://{APPLICATION_ID}/{DESTINATION}"
        options = ["--api-url", url, "--token-file", token, "--state-dir", self.work / "state", "--workers", WORKERS]
        command = python("-m", "syncd", "--once", source, destination, *map(str, options), "--json", "--no-progress")
        sample = measure(command)
        report: dict[str, Any] = json.loads(sample.output)["jobs"][0]
        if any(report[name] != value for name, value in expected.items()):
            raise BenchError(f"expected {expected}, but the report says {report}")
        return sample, report

    def forget(self) -> None:
        """The next mirror begins with no state."""
        shutil.rmtree(self.work / "state", ignore_errors=True)

    def cold(self, source: Path, files: int, *, latency_s: float = 0.0) -> tuple[Sample, dict[str, Any]]:
        self.forget()
        with self.server(latency_s=latency_s) as url:
            return self.mirror(source, url, created=files, retries=0)

    def other(self, module: str, source: Path, files: int, *, latency_s: float = 0.0) -> Sample:
        """One run of a program of this package against a fresh sandbox."""
        with self.server(latency_s=latency_s) as url:
            return self.beside(module, source, files, url)

    def beside(self, module: str, source: Path, files: int, url: str, *options: str) -> Sample:
        sample = measure(python("-m", f"tests.bench.{module}", source, url, APPLICATION_ID, TOKEN, *options))
        if set(sample.output.split()) != {str(files)}:
            raise BenchError(f"{module} saw {sample.output!r} instead of {files} files")
        return sample


def cold(bench: Bench) -> Iterator[Row]:
    """5,000 files of 4 KiB to an empty destination, no latency."""
    files = bench.count(5000)
    with bench.source() as source:
        make_tree(source, files=files, directories=bench.count(50), size_bytes=4096)
        ours, floor = bench.alternate(
            lambda: bench.cold(source, files)[0], lambda: bench.other("floor_create", source, files)
        )
    yield from _times("cold", ours, floor, limit=1.3)
    yield _peak("cold", ours)


def latency(bench: Bench) -> Iterator[Row]:
    """The same with 20 ms for every request, against what 16 at once can do at best."""
    files = bench.count(5000)
    ideal_s = 0.0
    with bench.source() as source:
        make_tree(source, files=files, directories=bench.count(50), size_bytes=4096)

        def mirror() -> Sample:
            nonlocal ideal_s
            sample, report = bench.cold(source, files, latency_s=LATENCY_S)
            ideal_s = report["requests"] * LATENCY_S / WORKERS
            return sample

        ours, floor = bench.alternate(mirror, lambda: bench.other("floor_create", source, files, latency_s=LATENCY_S))
    wall_s = _median(ours, "wall_s")
    against_ideal = f"{wall_s / ideal_s:.2f}"
    yield Row("latency", "wall", f"{wall_s:.2f} s", f"{ideal_s:.2f} s, ideally", against_ideal, "<= 1.15")
    yield from _times("latency", ours, floor)


def noop(bench: Bench) -> Iterator[Row]:
    """100,000 files in 2,000 directories, already the same on both sides."""
    files = bench.count(100_000)
    with bench.source() as source:
        make_tree(source, files=files, directories=bench.count(2000), size_bytes=64)
        measure(python("-m", "tests.bench.plant", source, bench.work / "server", DESTINATION))
        bench.forget()
        with bench.server() as url:
            adopting, _ = bench.mirror(source, url, unchanged=files, created=0)
            ours, floor, typed = bench.alternate(
                lambda: bench.mirror(source, url, unchanged=files, created=0)[0],
                lambda: bench.beside("floor_noop", source, files, url),
                lambda: bench.beside("floor_noop", source, files, url, "--typed"),
            )
    yield from _times("noop", ours, floor, limit=1.5)
    yield from _times("noop, typed pages", ours, typed)
    yield _peak("noop", ours, limit="<= 150 MiB")
    yield from _times("adopt", [adopting], floor)
    yield _peak("adopt", [adopting])


def big(bench: Bench) -> Iterator[Row]:
    """One file of 2 GiB beside one of 1 MiB (memory) and beside curl (throughput).

    Curl is measured from its start to its end, with the record and its form made before; syncd's throughput is that of
    the run, by its report: looking, the record, the upload, and seeing it complete, but not the start of Python, which
    is in its wall time.
    """
    seconds: list[float] = []

    def mirror() -> Sample:
        sample, report = bench.cold(large.parent, 1)
        seconds.append(report["seconds"])
        return sample

    with bench.source() as source:
        large, small = source / "large" / "large.bin", source / "small" / "small.bin"
        make_file(large, size_bytes=max(MIB, bench.count(2048) * MIB))
        make_file(small, size_bytes=MIB)
        ours, floor = bench.alternate(mirror, lambda: _curl(bench, large))
        tiny = [bench.cold(small.parent, 1)[0] for _ in range(bench.repeat)]
        size_mib = large.stat().st_size / MIB
    above = _median(ours, "peak_bytes") - _median(tiny, "peak_bytes")
    rates = [f"{size_mib / taken_s:.0f} MiB/s" for taken_s in (statistics.median(seconds), _median(floor, "wall_s"))]
    ratio = statistics.median(other.wall_s / run_s for run_s, other in zip(seconds, floor, strict=True))
    yield Row("big", "throughput", rates[0], rates[1], f"{ratio:.2f}", ">= 0.8")
    yield from _times("big", ours, floor)
    peaks = [f"{_median(samples, 'peak_bytes') / MIB:.1f} MiB" for samples in (ours, tiny)]
    yield Row("big", "peak, and that for 1 MiB", peaks[0], peaks[1], f"{above / MIB:+.1f} MiB", "<= 40 MiB")


def peers(bench: Bench) -> Iterator[Row]:
    """200 files with the vendor's Python client, for information: without latency and with it."""
    files = bench.count(200)
    with bench.source() as source:
        make_tree(source, files=files, directories=bench.count(4), size_bytes=4096)
        for name, latency_s in (("losant-rest", 0.0), ("losant-rest, 20 ms", LATENCY_S)):
            ours = bench.cold(source, files, latency_s=latency_s)[0]
            peer = bench.other("peer_losant_rest", source, files, latency_s=latency_s)
            yield from _times(name, [ours], [peer])


def daemon(bench: Bench) -> Iterator[Row]:
    """A change's way, idle and beside an upload of 1 GiB; 100,000 files idle; 3,000 changes in one directory; the
    rename of one of 10,000 files."""
    from tests.bench.daemon import Sizes, measure_daemon, median_ms, worst_ms  # it loads what children must not inherit

    sizes = Sizes(
        bench.count(200),
        bench.count(1024) * MIB,
        bench.count(20),
        bench.count(100_000),
        bench.count(300),
        bench.count(3000),
        bench.count(10_000),
    )
    seen = asyncio.run(measure_daemon(bench.work / "daemon", sizes))
    for what, times_s in (("a change, idle", seen.alone_s), ("a change, uploading", seen.beside_s)):
        yield Row("daemon", f"{what}: median", median_ms(times_s), "", f"of {len(times_s)}", "<= 60 ms")
        yield Row("daemon", f"{what}: worst", worst_ms(times_s), "", f"of {len(times_s)}", "<= 300 ms")
    yield Row("daemon", "idle: cpu", "", "", f"{seen.cpu_share:.2%}", "< 1.5 %")
    yield Row("daemon", "idle: memory", "", "", f"{seen.peak_bytes / MIB:.0f} MiB", "< 120 MiB")
    yield Row("daemon", f"{sizes.many} changes in one directory", f"{seen.listings} listings", "", "", "<= 20")
    yield Row("daemon", f"rename of {sizes.renamed} files", f"{seen.moves} changing requests", "", "", "1")


SCENARIOS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "cold": cold,
    "latency": latency,
    "noop": noop,
    "big": big,
    "peers": peers,
    "daemon": daemon,
}


def _curl(bench: Bench, path: Path) -> Sample:
    """Only the upload is measured: the record and its form are made before."""
    with bench.server() as url:
        upload = _created(url, path)
        fields = [f"{name}={value}" for name, value in upload["fields"].items() if name != "bucket"]
        forms = [word for field in fields for word in ("--form-string", field)]
        return measure(["curl", "--silent", "--show-error", "--fail", *forms, "-F", f"file=@{path}", upload["url"]])


def _created(url: str, path: Path) -> Any:
    wanted = {"name": path.name, "type": "file", "fileSize": path.stat().st_size}
    request = urllib.request.Request(
        f"{url}/applications/{APPLICATION_ID}/files",
        data=json.dumps(wanted).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.load(answer)["upload"]


def _times(scenario: str, ours: list[Sample], floor: list[Sample], *, limit: float | None = None) -> Iterator[Row]:
    for what, name in (("wall", "wall_s"), ("cpu", "cpu_s")):
        spent = [f"{_median(samples, name):.2f} s" for samples in (ours, floor)]
        wanted = "" if limit is None else f"<= {limit}"
        yield Row(scenario, what, spent[0], spent[1], f"{_ratio(ours, floor, name):.2f}", wanted)


def _ratio(ours: list[Sample], floor: list[Sample], name: str) -> float:
    """The median of what each turn's two runs give."""
    turns = zip(ours, floor, strict=False)
    return float(statistics.median(getattr(one, name) / getattr(other, name) for one, other in turns))


def _peak(scenario: str, samples: list[Sample], *, limit: str = "") -> Row:
    return Row(scenario, "peak memory", "", "", f"{_median(samples, 'peak_bytes') / MIB:.1f} MiB", limit)


def _median(samples: list[Sample], name: str) -> float:
    return float(statistics.median(getattr(sample, name) for sample in samples))
