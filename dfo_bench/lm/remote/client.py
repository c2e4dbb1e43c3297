"""The client: one service, asked over HTTP; what fails for a moment is asked again, what stays away is Unavailable."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from dfo_bench.core import Traffic
from dfo_bench.errors import InputError, Unavailable
from dfo_bench.lm.remote import wire

KEY = "DFO_BENCH_API_KEY"
"""The variable of the environment that holds the key."""

QUICK_S = 20.0
"""For how long a call is asked again here; whoever has more patience asks anew after that."""

TIMEOUT = httpx2.Timeout(10.0, read=330.0)
"""In seconds; reading lasts longer than a service computes before it says that it is busy."""

_FOR_NOW = (408, 429, 500, 502, 503, 504)
"""The statuses of what may be otherwise soon."""

_PAUSES = wait_random_exponential(multiplier=0.2, max=10.0)


class Refused(InputError):  # noqa: N818 - what the service has done
    """A call that the service refuses, and will refuse again."""

    def __init__(self, answer: httpx2.Response, message: str) -> None:
        super().__init__(message)
        self.status, self.headers = answer.status_code, answer.headers


class _Later(Exception):  # noqa: N818 - not an error yet
    """No answer for now; `after` is for how many seconds the service asks to be left alone."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class Client:
    """A service at a URL; `traffic` counts the bytes of all bodies so far."""

    def __init__(self, url: str) -> None:
        """Raise InputError where this can be no URL of a service."""
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise InputError(f"service={url!r} is no URL: {error}; write http://HOST:PORT") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InputError(f"service={url!r} is no URL of a service; write http://HOST:PORT")
        self.url, self.traffic = url.rstrip("/"), Traffic()
        self._http = _connect(self.url, os.environ.get(KEY, "").strip())

    def greet(self) -> None:
        """Raise Unavailable where this is no service of ours, or one of another version."""
        try:
            answer = self.ask("GET", "/healthz").json()
        except Refused as error:
            raise Unavailable(str(error)) from error
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or answer.get("service") != wire.SERVICE:
            raise Unavailable(f"{self.url} is no service of dfo-bench; start one with: dfo-bench serve MODEL")
        if answer.get("wire") != wire.WIRE:
            raise Unavailable(
                f"{self.url} is dfo-bench {answer.get('version')}, which speaks version {answer.get('wire')} where "
                f"this one speaks {wire.WIRE}; install the same version on both sides"
            )

    def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] = {},
        params: Mapping[str, Any] = {},
        check: Callable[[httpx2.Response], str] = lambda answer: "",
    ) -> httpx2.Response:
        """Return the answer; `check` says what is wrong with one, "" for nothing.

        Raise Refused where the service refuses, Unavailable where it gives no answer for QUICK_S.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type(_Later),
            stop=stop_after_delay(QUICK_S),
            wait=_pause,
            retry_error_callback=_end,
        ):
            with attempt:
                return self._once(method, path, content, headers, params, check)
        raise AssertionError("a call ends with an answer or an error")

    def _once(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        params: Mapping[str, Any],
        check: Callable[[httpx2.Response], str],
    ) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, content=content, headers=dict(headers), params=dict(params))
        except httpx2.RequestError as error:
            if not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                self.traffic.up += len(content or b"")
            raise _Later(f"service {self.url} does not answer: {error or type(error).__name__}") from error
        self.traffic.up += len(content or b"")
        self.traffic.down += len(answer.content)
        if answer.status_code in _FOR_NOW:
            raise _Later(f"service {self.url} says {_reason(answer)}", _after(answer))
        if wire.DIGEST in answer.headers and answer.headers[wire.DIGEST] != wire.digest(answer.content):
            raise _Later(f"service {self.url} sent an answer that was damaged on its way")
        if not answer.is_success:
            raise Refused(answer, _refusal(self.url, answer))
        if wrong := check(answer):
            raise _Later(f"service {self.url} sent {wrong}")
        return answer


@cache
def _connect(url: str, key: str) -> httpx2.Client:
    """Return the connections to a service, which all tasks of this process share."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT, follow_redirects=False)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(_PAUSES(state), error.after if isinstance(error, _Later) else 0.0)


def _end(state: RetryCallState) -> Any:
    error = state.outcome.exception() if state.outcome else None
    raise Unavailable(str(error)) from error


def _after(answer: httpx2.Response) -> float:
    """Return the seconds that the service asks for; they may also be a date, which is passed over."""
    try:
        return min(QUICK_S, float(answer.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0


def _reason(answer: httpx2.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    # OpenAI, and the engines that answer as it does, have it within an object.
    error = told["error"] if isinstance(told.get("error"), dict) else told
    return f"{answer.status_code}: {told.get('detail') or error.get('message') or answer.reason_phrase}"


def _refusal(url: str, answer: httpx2.Response) -> str:
    if answer.status_code in (401, 403):
        return (
            f"service {url} does not know the key in {KEY} ({_reason(answer)}); export {KEY}=..., the key given to you"
        )
    if answer.status_code == 404 and "detail" not in answer.text:
        return f"{url} is no service of dfo-bench ({_reason(answer)}); start one with: dfo-bench serve MODEL"
    return f"service {url} refuses, {_reason(answer)}"
