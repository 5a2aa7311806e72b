"""SIGKILL between any two requests of a replacement and a deletion with a trash: nothing that was there is lost."""

from __future__ import annotations

import pytest

from tests.e2e.program import Configured
from tests.faults.test_kill import killed_when, requests_beyond

MOST = 24
"""Requests of the run that is killed, and some more."""


def contents(job: Configured) -> set[bytes]:
    """What is complete anywhere on the remote."""
    tree = job.server.call(lambda: job.server.sandbox.tree(job.kind))
    return {content for content in tree.values() if content is not None}


@pytest.mark.parametrize("first", range(1, 5))
def test_killed_between_any_two_requests(job: Configured, first: int) -> None:
    job.settings = 'trash = "/trash"\nmax_delete = "100%"'
    job.write("stays", "stays")
    for point in range(first, MOST, 4):
        job.server.turn()
        for path in ("replaced.txt", "d/gone"):
            job.write(path, f"{path} before {point}")
        job.mirrored()
        before = {f"{path} before {point}".encode() for path in ("replaced.txt", "d/gone")}
        job.write("replaced.txt", f"replaced after {point}")
        (job.source / "d/gone").unlink()
        job.server.turn(latency=0.01, completion_delay=0.03)
        killed_when(job, requests_beyond(job, point))
        assert before <= contents(job), point
        job.server.turn()
        run = job.mirrored()
        assert run.job["failed"] == []
        assert job.remote() == job.local(), point
        assert before <= contents(job), point
        with job.server.counting() as changes:
            job.mirrored()
        assert changes == {}, point
    left = [record.path for record in job.server.records(job.kind) if record.status == "pending"]
    assert [path for path in left if not path.startswith("/trash/.incoming/")] == []
