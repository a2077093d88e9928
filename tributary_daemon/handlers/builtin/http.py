"""`trib.http.v1`: one HTTP request.

By the standard library: one request per attempt in a thread of its own needs no pool and no further package.
Retries are the step's: what may heal (5xx, 408, 425, 429, a broken connection) fails the attempt, with the
server's Retry-After if it gives one; what will not (any other unexpected status) ends the step.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tributary_daemon.errors import Abort, RetryAfter
from tributary_daemon.handlers.declare import handler

if TYPE_CHECKING:
    from tributary_daemon.handlers.step import Step

MAX_BODY: Final = 1_000_000
LONGEST_WAIT: Final = 86_400.0
_MAY_HEAL: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_OK: Final = range(200, 300)
_EXCERPT: Final = 300
_WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PRIVATE: Final = ("Authorization", "Cookie", "Proxy-authorization")


class HttpError(RuntimeError):
    """A request failed in a way that may heal."""


class Request(BaseModel):
    """Payload of `trib.http.v1`.

    Attributes:
        url: ``http`` or ``https``.
        method: in capitals.
        headers: sent as they are; without an ``Idempotency-Key``, writing methods get the step's token.
        json_value: sent as JSON; written ``json`` in payloads.
        body: sent as UTF-8 text; not beside ``json``.
        expected: the statuses that are a success; 200 to 299 when empty.
        timeout: seconds without an answer before the attempt fails.
    """

    model_config = ConfigDict(extra="forbid")

    url: str = Field(pattern=r"^https?://[^\s]+$")
    method: str = Field(default="GET", pattern="^[A-Z]+$")
    headers: dict[str, str] = Field(default_factory=dict)
    json_value: Any = Field(default=None, alias="json")
    body: str | None = None
    expected: list[int] = Field(default_factory=list)
    timeout: float = Field(default=30.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _one_body(self) -> Request:
        if self.has_json and self.body is not None:
            raise ValueError("give json or body, not both")
        return self

    @property
    def has_json(self) -> bool:
        """Whether a JSON value is to be sent, null included."""
        return "json_value" in self.model_fields_set


@handler("trib.http.v1", description="sends one HTTP request")
def send(args: Request, step: Step) -> dict[str, Any]:
    """Send the request; see the module for what is tried again.

    Returns:
        ``status``, ``headers`` (names in lower case) and ``json`` when the answer is JSON, else ``body``.
    """
    request = _prepare(args, step)
    try:
        with _open(request, args.timeout) as answer:
            data = answer.read(MAX_BODY + 1)
            status, headers = answer.status, {name.lower(): value for name, value in answer.headers.items()}
            charset = answer.headers.get_content_charset() or "utf-8"
    except urllib.error.URLError as error:
        # the reason is told; fifty lines of the standard library's insides would bury it
        raise HttpError(f"{args.method} {_plain(args.url)}: {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise HttpError(f"{args.method} {_plain(args.url)}: {error or type(error).__name__}") from None
    text = _decode(data[:MAX_BODY], charset)
    if not (status in args.expected if args.expected else status in _OK):
        raise _unexpected(args, status, headers, text)
    if len(data) > MAX_BODY:
        raise Abort(f"{args.method} {_plain(args.url)}: the answer is larger than {MAX_BODY:,} bytes")
    if "json" in headers.get("content-type", "") and text.strip():
        try:
            return {"status": status, "headers": headers, "json": json.loads(text)}
        except ValueError as error:
            raise HttpError(
                f"{args.method} {_plain(args.url)}: the answer is not valid JSON: {error}"
            ) from error
    return {"status": status, "headers": headers, "body": text}


def _prepare(args: Request, step: Step) -> urllib.request.Request:
    headers = dict(args.headers)
    given = {name.lower() for name in headers}
    data: bytes | None = None
    if args.has_json:
        data = json.dumps(args.json_value).encode()
        if "content-type" not in given:
            headers["Content-Type"] = "application/json"
    elif args.body is not None:
        data = args.body.encode()
        if "content-type" not in given:
            headers["Content-Type"] = "text/plain; charset=utf-8"
    if args.method in _WRITING and "idempotency-key" not in given:
        headers["Idempotency-Key"] = step.idempotency_token
    if "user-agent" not in given:
        headers["User-Agent"] = "tributary"
    try:
        return urllib.request.Request(args.url, data=data, headers=headers, method=args.method)  # noqa: S310 - http(s) only
    except ValueError as error:
        raise Abort(f"{_plain(args.url)} is not a URL: {error}") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but takes credentials to no other host."""

    def redirect_request(  # noqa: PLR0917 - as the standard library calls it
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and _origin(following.full_url) != _origin(req.full_url):
            for name in _PRIVATE:
                following.remove_header(name)
        return following


def _open(request: urllib.request.Request, timeout: float) -> Any:
    # not urlopen, which also reads files and ftp
    opener = urllib.request.OpenerDirector()
    for part in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(part)
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as answer:
        return answer


def _unexpected(args: Request, status: int, headers: dict[str, str], text: str) -> Exception:
    reason = http.client.responses.get(status, "")
    message = f"{args.method} {_plain(args.url)} answered {status} {reason}".rstrip()
    if text.strip():
        message += f": {' '.join(text[:_EXCERPT].split())}"
    if status < _SERVER_ERROR and status not in _MAY_HEAL:
        return Abort(message)
    delay = _retry_after(headers.get("retry-after"))
    return HttpError(message) if delay is None else RetryAfter(delay, message)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None when it is missing or unreadable."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value), LONGEST_WAIT)
    try:
        due = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if due.tzinfo is None:
        due = due.replace(tzinfo=UTC)
    return min(max(0.0, (due - datetime.now(UTC)).total_seconds()), LONGEST_WAIT)


def _decode(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _plain(url: str) -> str:
    """Return a URL without what may be secret in it: login, query, fragment."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
