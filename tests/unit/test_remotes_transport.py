"""What is tried again, for how long, and what it costs: in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from syncd.core.retry import Patience, RetryBudget
from syncd.errors import RemoteDead, Transient, Unauthorized
from syncd.remotes.http import Answer, Failed, Refused, Request
from syncd.remotes.limits import Limiter
from syncd.remotes.transport import Attempts, Credentials, Observed, Pulse, Retrying, Shared, Traffic

T = TypeVar("T")

SECRET = "the-token"


class World:
    """A remote that answers what a script says, and a clock that only sleeping moves."""

    def __init__(self, script: Callable[[float], Answer | Exception], *, chance: Callable[[], float]) -> None:
        self.now_s = 1000.0
        self.script = script
        self.asked_at: list[float] = []
        self.slept: list[float] = []
        self.traffic = Traffic()
        limiter = Limiter(max_connections=4, requests_per_second=0, window_s=60, clock=self.clock, sleep=self.sleep)
        self.shared = Shared(
            name="prod",
            patience=Patience(),
            limiter=limiter,
            pulse=Pulse(),
            budget=RetryBudget(cap_s=15.0),
            credentials=Credentials(lambda: SECRET),
            clock=self.clock,
            chance=chance,
        )
        self.transport = Retrying(Observed(self, self.traffic), self.shared, traffic=self.traffic, sleep=self.sleep)

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    async def send(self, request: Request[T]) -> Answer:
        assert request.method == "GET"
        self.asked_at.append(self.now_s - 1000.0)
        answer = self.script(self.now_s - 1000.0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def always(*answers: Answer | Exception) -> Callable[[float], Answer | Exception]:
    """The answers in turn, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def said(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, CIMultiDictProxy(CIMultiDict(named)), body, "Reason")


def asking(*, repeatable: bool = True, foreign: bool = False, operation: str = "record") -> Request[bytes]:
    return Request(operation, "GET", URL("https://api.test/x"), _understand, repeatable=repeatable, foreign=foreign)


def _understand(answer: Answer) -> bytes:
    if answer.body != b"ok":
        raise ValueError("not ok")
    return answer.body


def world(*answers: Answer | Exception, chance: float = 0.5) -> World:
    return World(always(*answers), chance=lambda: chance)


@pytest.mark.parametrize(
    "failure",
    [
        said(500),
        said(502, b"<html>"),
        said(408),
        said(429),
        said(503),
        said(200, b"<html>It works"),
        said(200, b""),
        Failed("reset", uncertain=True),
        Failed("refused", uncertain=False),
    ],
)
async def test_what_may_pass_is_tried_again(failure: Answer | Exception) -> None:
    made = world(failure, failure, failure, said(200))

    assert await made.transport.send(asking()) == b"ok"

    assert made.traffic == Traffic(requests=4, retries=3)
    assert made.slept == [0.125, 0.25, 0.5]


@pytest.mark.parametrize("status", [302, 400, 404, 405, 409, 410, 411, 413, 422])
async def test_what_will_not_pass_is_not(status: int) -> None:
    made = world(said(status, b'{"type": "Validation", "message": "no such thing"}'))

    with pytest.raises(Refused, match=rf"^{status} Validation: no such thing$"):
        await made.transport.send(asking())

    assert made.traffic == Traffic(requests=1, retries=0)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_say_so_without_the_token(status: int) -> None:
    body = f'{{"type": "Auth", "message": "bad token {SECRET}\\u001b[2J"}}'.encode()

    with pytest.raises(Unauthorized, match="remote prod refused the token") as refused:
        await world(said(status, body)).transport.send(asking())

    assert SECRET not in str(refused.value)
    assert "\x1b" not in str(refused.value)


async def test_an_upload_host_that_refuses_says_nothing_of_the_token() -> None:
    xml = b"<?xml?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"

    with pytest.raises(Refused, match=r"^403 AccessDenied: Request has expired$"):
        await world(said(403, xml)).transport.send(asking(foreign=True))


@pytest.mark.parametrize(
    ("operation", "body"), [("list", b"{}"), ("record", b'{"type":"NotFound","message":"Application was not found"}')]
)
async def test_no_such_application(operation: str, body: bytes) -> None:
    with pytest.raises(Unauthorized, match="prod has no such application"):
        await world(said(404, body)).transport.send(asking(operation=operation))


async def test_a_request_that_may_have_happened_is_not_repeated_by_itself() -> None:
    made = world(Failed("reset", uncertain=True))
    with pytest.raises(Failed):
        await made.transport.send(asking(repeatable=False))
    assert made.traffic.requests == 1

    made = world(said(429), said(503), Failed("refused", uncertain=False), said(500))
    with pytest.raises(Failed, match="500"):
        await made.transport.send(asking(repeatable=False))
    assert made.traffic.requests == 4


async def test_an_operation_is_given_up_only_while_others_succeed() -> None:
    made = world(said(500))

    def succeed_elsewhere(_: float) -> Answer:
        made.shared.pulse.succeeded()
        return said(500)

    made.script = succeed_elsewhere
    with pytest.raises(Transient, match=r"^given up after 6 tries; last: 500 Reason$") as error:
        await made.transport.send(asking())
    assert not isinstance(error.value, RemoteDead)
    assert made.traffic == Traffic(requests=6, retries=5)


async def test_a_throttled_operation_is_not_given_up_for_it() -> None:
    made = world(said(429))

    def succeed_elsewhere(_: float) -> Answer:
        made.shared.pulse.succeeded()
        return said(429) if len(made.asked_at) < 25 else said(200)

    made.script = succeed_elsewhere
    assert await made.transport.send(asking()) == b"ok"


@pytest.mark.parametrize("seed", range(5))
async def test_a_remote_with_no_success_for_two_minutes_is_dead(seed: int) -> None:
    made = World(always(said(500)), chance=random.Random(seed).random)

    with pytest.raises(RemoteDead, match="remote prod: no request succeeded for 120 s; last: 500 Reason"):
        await made.transport.send(asking())

    assert 120 <= made.now_s - 1000 <= 135 + 1
    assert made.traffic.requests < 60


async def test_an_old_success_does_not_make_a_remote_dead_at_its_first_failure() -> None:
    made = world(said(200), said(500), said(200))
    await made.transport.send(asking())
    made.now_s += 3600
    assert await made.transport.send(asking()) == b"ok"


async def test_retry_after_is_obeyed() -> None:
    made = world(said(503, Retry_After="7"), said(500, Retry_After="3"), said(200))
    await made.transport.send(asking())
    assert made.slept == [7.0, 3.0]


async def test_a_retry_after_beyond_patience_ends_it_at_once() -> None:
    made = world(said(503, Retry_After="600"))
    with pytest.raises(RemoteDead, match="remote prod asks to be left alone for 600 s"):
        await made.transport.send(asking())
    assert made.slept == []


async def test_an_outage_is_not_hammered() -> None:
    """An hour of 500s, an operation after the other: each is bounded, and so is their sum."""
    made = World(always(said(500)), chance=random.Random(1).random)
    operations = 0
    while made.now_s < 1000 + 3600:
        operations += 1
        with pytest.raises(RemoteDead):
            await made.transport.send(asking())
        made.now_s += 5.0
    assert made.traffic.requests <= 3600


async def test_the_tries_of_one_operation_add_up_over_its_requests() -> None:
    made = world(said(500))
    attempts = Attempts(2)
    made.shared.pulse.successes = 5
    with pytest.raises(Failed):
        await made.transport.send(asking(repeatable=False), attempts)
    await made.transport.pause(attempts, Failed("first", uncertain=True))
    made.shared.pulse.succeeded()
    with pytest.raises(Transient, match="given up after 2 tries"):
        await made.transport.pause(attempts, Failed("second", uncertain=True))


@pytest.mark.parametrize("body", [b"", b"null", b"[1]", b'{"type": 5}', b"<Error><Code>", b"\xff\xfe", b"{" * 90_000])
async def test_bodies_that_are_no_error(body: bytes) -> None:
    with pytest.raises(Refused, match=r"^400 Reason$"):
        await world(said(400, body)).transport.send(asking())


async def test_a_long_message_is_cut() -> None:
    body = b'{"type": "T", "message": "%s"}' % (b"m" * 100_000)
    with pytest.raises(Refused) as refused:
        await world(said(400, body)).transport.send(asking())
    assert len(str(refused.value)) < 400
