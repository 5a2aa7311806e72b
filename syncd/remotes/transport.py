"""How one job's requests reach a remote: retried, counted, limited, then sent.

Built by `account` for each job; called by the API modules. The layers are `Retrying(Observed(Limited(Wire)))`, each
with one `send`. Decides nothing about what a request means beyond its status.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from syncd.core.retry import Patience, RetryBudget, Verdict, verdict
from syncd.errors import RemoteDead, Transient, Unauthorized
from syncd.remotes.http import Answer, Failed, Refused, Request, Wire
from syncd.remotes.limits import Clock, Limiter, Sleep

T = TypeVar("T")

MAX_WORDS = 300

S3_TRANSIENT = frozenset({"RequestTimeout", "IncompleteBody", "InternalError", "SlowDown", "OperationAborted"})
"""What S3 answers with a 400 or 409 although it may pass (its error reference; IncompleteBody: a cut connection)."""


@dataclass(slots=True)
class Traffic:
    """One job's HTTP requests, uploads and retries included, and how many of them were retries. `answered` is told of
    each its operation and status (None without an answer), `retried` of each retry."""

    requests: int = 0
    retries: int = 0
    answered: Callable[[str, int | None], None] = lambda *_: None
    retried: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Pulse:
    """Whether a remote answers at all; shared by everybody who talks to it."""

    successes: int = 0
    failing_since_s: float | None = None

    def succeeded(self) -> None:
        self.successes += 1
        self.failing_since_s = None

    def failed(self, now_s: float) -> float:
        """Returns for how long nothing succeeded, in seconds."""
        if self.failing_since_s is None:
            self.failing_since_s = now_s
        return now_s - self.failing_since_s


@dataclass(slots=True)
class Attempts:
    """One operation's failures so far; given to every request that is another try of the same thing."""

    enough: int
    failures: int = 0
    throttled: int = 0
    successes_before: int = 0

    @property
    def tries(self) -> int:
        """Those that count for giving up: a throttled one says little about the operation and counts a fifth."""
        return self.failures - self.throttled + self.throttled // 5


class Credentials:
    """The API's headers. The token is read anew when it was refused: its file may have been rotated."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._read = token
        self.token = token()
        self.headers = self._headers()

    def renewed(self) -> bool:
        """Whether reading the token again gave another one."""
        before, self.token = self.token, self._read()
        self.headers = self._headers()
        return self.token != before

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}


class Layer(Protocol):
    async def send(self, request: Request[T]) -> Answer: ...


class Limited:
    """Holds one of the remote's permits for as long as the request takes. `owner`: the job whose requests these are."""

    def __init__(
        self, *, api: Wire, uploads: Wire, limiter: Limiter, credentials: Credentials, owner: Hashable
    ) -> None:
        self._api = api
        self._uploads = uploads
        self._limiter = limiter
        self._credentials = credentials
        self._owner = owner

    async def send(self, request: Request[T]) -> Answer:
        started_s = await self._limiter.acquire(self._owner)
        try:
            if request.before is not None:
                await request.before()
            if request.foreign:
                answer = await self._uploads.send(request, request.headers or {})
            else:
                headers = {**self._credentials.headers, **(request.headers or {})}
                answer = await self._api.send(request, headers)
        finally:
            self._limiter.release()
        retry_after_s = answer.retry_after_s() if answer.status >= 400 else 0.0
        self._limiter.answered(answer.status, started_s=started_s, retry_after_s=retry_after_s)
        if (left := answer.headers.get("X-RateLimit-Remaining", "")).isdecimal():
            self._limiter.told(requests_left=int(left))
        return answer


class Observed:
    """Counts what the job's report tells."""

    def __init__(self, inner: Layer, traffic: Traffic) -> None:
        self._inner = inner
        self._traffic = traffic

    async def send(self, request: Request[T]) -> Answer:
        self._traffic.requests += 1
        status: int | None = None
        try:
            answer = await self._inner.send(request)
            status = answer.status
        finally:
            self._traffic.answered(request.operation, status)
        return answer


@dataclass(frozen=True, slots=True)
class Shared:
    """What all jobs of one account have in common."""

    name: str
    patience: Patience
    limiter: Limiter
    pulse: Pulse
    budget: RetryBudget
    credentials: Credentials
    clock: Clock
    chance: Callable[[], float] = random.random


class Retrying:
    """Tries again what may pass, politely, and translates what will not into the taxonomy of `errors`."""

    def __init__(self, inner: Layer, shared: Shared, *, traffic: Traffic, sleep: Sleep) -> None:
        self._inner = inner
        self._shared = shared
        self._traffic = traffic
        self._sleep = sleep

    async def send(self, request: Request[T], attempts: Attempts | None = None) -> T:
        """Returns the decoded answer.

        Raises Refused (a 4xx for this request), Unauthorized, RemoteDead, and Transient when it is given up. A
        request that is not repeatable and may have taken effect raises its `Failed` at once: the caller looks first,
        then calls `pause` with it and sends again.
        """
        attempts = attempts or Attempts(self._shared.patience.enough_tries)
        while True:
            self._refuse_long_pause()
            try:
                return await self._once(request)
            except Failed as failure:
                if failure.uncertain and not request.repeatable:
                    raise
                await self.pause(attempts, failure)

    async def pause(self, attempts: Attempts, failure: Failed) -> None:
        """Wait until it may be tried again. Raises RemoteDead or Transient when it may not."""
        shared = self._shared
        now_s = shared.clock()
        attempts.failures += 1
        attempts.throttled += failure.throttled
        if attempts.failures == 1:
            attempts.successes_before = shared.pulse.successes
        decided = verdict(
            shared.patience,
            tries=attempts.tries,
            enough_tries=attempts.enough,
            others_succeeded=shared.pulse.successes > attempts.successes_before,
            failing_for_s=shared.pulse.failed(now_s),
            retry_after_s=failure.retry_after_s,
        )
        if decided is Verdict.DEAD:
            raise self._dead(failure) from failure
        if decided is Verdict.GIVE_UP:
            raise Transient(f"given up after {attempts.failures} tries; last: {failure}") from failure
        backoff_s = shared.patience.backoff_s(attempts.failures, shared.chance())
        await self._sleep(max(backoff_s, failure.retry_after_s, shared.budget.spend_s(now_s)))
        self._traffic.retries += 1
        self._traffic.retried()

    async def _once(self, request: Request[T]) -> T:
        shared = self._shared
        shared.budget.earn()
        answer = await self._inner.send(request)
        if answer.status == 401 and not request.foreign and shared.credentials.renewed():
            answer = await self._inner.send(request)
        if not 200 <= answer.status < 300:
            error = self._error(request, answer)
            if not isinstance(error, Failed):
                shared.pulse.succeeded()
            raise error
        try:
            value = request.decode(answer)
        except ValueError as error:
            message = (
                f"{request.url.host} answered {answer.status} a {request.operation} with what it cannot be: {error}"
            )
            raise Failed(message, uncertain=True) from error
        shared.pulse.succeeded()
        return value

    def _error(self, request: Request[T], answer: Answer) -> Exception:
        refused = explained(answer, secret=self._shared.credentials.token)
        passing = request.foreign and answer.status in (400, 409) and refused.code in S3_TRANSIENT
        if answer.status in (408, 429) or answer.status >= 500 or passing:
            retry_after_s = answer.retry_after_s()
            throttled = answer.status == 429 or (answer.status == 503 and bool(retry_after_s or request.foreign))
            uncertain = answer.status not in (429, 503)
            return Failed(str(refused), uncertain=uncertain, retry_after_s=retry_after_s, throttled=throttled)
        if request.foreign:
            return refused
        name = self._shared.name
        if answer.status in (401, 403):
            return Unauthorized(f"remote {name} refused the token ({refused}): check the token and its scopes")
        if answer.status == 404 and (request.operation == "list" or refused.said.lower().startswith("application")):
            return Unauthorized(f"remote {name} has no such application ({refused}): check application_id")
        return refused

    def _dead(self, failure: Failed) -> RemoteDead:
        name, patience = self._shared.name, self._shared.patience
        if failure.retry_after_s > patience.dead_after_s:
            return RemoteDead(f"remote {name} asks to be left alone for {failure.retry_after_s:.0f} s; {failure}")
        return RemoteDead(f"remote {name}: no request succeeded for {patience.dead_after_s:.0f} s; last: {failure}")

    def _refuse_long_pause(self) -> None:
        paused_s = self._shared.limiter.paused_s()
        if paused_s > self._shared.patience.dead_after_s:
            raise RemoteDead(f"remote {self._shared.name} asks to be left alone for {paused_s:.0f} s")


class _ErrorBody(msgspec.Struct):
    """`errors`: what is wrong with which field, where the API validates as Laravel does."""

    type: str = ""
    message: str = ""
    errors: dict[str, list[str]] = {}


def explained(answer: Answer, *, secret: str) -> Refused:
    """What a refusal says, as JSON (the API), XML (S3), or anything else (a proxy in between), without the token."""
    code, message = "", ""
    text = answer.body[:20_000]
    if text.lstrip()[:1] == b"{":
        try:
            body = msgspec.json.decode(answer.body, type=_ErrorBody)
        except ValueError:
            body = _ErrorBody()
        complaints = [one for field in body.errors.values() for one in field]
        code, message = body.type, " ".join(complaints) or body.message
    elif b"<Error>" in text:
        code, message = _between(text, b"Code"), _between(text, b"Message")
    return Refused(answer.status, _clean(code, secret) or _clean(answer.reason, secret), _clean(message, secret))


def _between(text: bytes, tag: bytes) -> str:
    found = re.search(b"<" + tag + b">(.*?)</" + tag + b">", text, re.DOTALL)
    return found[1].decode("utf-8", "replace") if found else ""


def _clean(text: str, secret: str) -> str:
    """One line of bounded length that cannot steer a terminal or give the token away."""
    if secret:
        text = text.replace(secret, "***")
    return "".join(c if c.isprintable() else " " for c in text[:MAX_WORDS]).strip()
