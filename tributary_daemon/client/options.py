"""Options of a submit, checked before anything reaches the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tributary_daemon.client.correlating import checked, completed
from tributary_daemon.client.unique import Unique
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations
from tributary_daemon.model.retry import Retry
from tributary_daemon.sealing.sources import ring_of
from tributary_daemon.store.submit import Terms

if TYPE_CHECKING:
    from tributary_daemon.config import Config
    from tributary_daemon.sealing.ring import Ring

RunAfter: TypeAlias = float | str | timedelta | datetime

PRIORITIES: Final = (-32_768, 31_999)
_ATTEMPTS: Final = 32_767
_RETRY_KEYS: Final = tuple(Retry.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a client adds to all it submits.

    Attributes:
        tenant: of what is submitted; empty for none.
        sees: tenant whose work is listed and found by its id; None for all.
        defaults: options at the level ``config``.
        max_payload: bytes.
        private: prefix of the queues of ``trib run``; None for the shared ones.
        runner: worker id of ``trib run``.
        keys: with which what is submitted is sealed, and what is read is opened; None for none.
    """

    tenant: str = ""
    sees: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    max_payload: int = 1_048_576
    private: str | None = None
    runner: int | None = None
    keys: Ring | None = None

    @classmethod
    def of(cls, config: Config, tenant: str | None = None) -> Settings:
        """Return the settings that a configuration stands for; ``tenant`` wins over its own."""
        if tenant is None and config.source("tenant") != "built-in":
            tenant = config.tenant
        return cls(
            tenant=tenant or "",
            sees=tenant or None,
            defaults={key: _plain(value) for key, value in config.defaults.items() if value is not None},
            max_payload=config.max_payload,
            keys=ring_of(config),
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Retry):
        return value.to_json()
    return dict(value) if isinstance(value, Mapping) else value


def terms(
    settings: Settings,
    *,
    idempotency_key: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    run_after: RunAfter | None = None,
    max_attempts: int | None = None,
    timeout: float | str | timedelta | None = None,
    retry: Retry | Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    unique: Unique | Mapping[str, Any] | str | None = None,
    expires: RunAfter | None = None,
    cache: bool | None = None,
    correlation_id: str | None = None,
    business_id: str | None = None,
    traceparent: str | None = None,
) -> Terms:
    """Check the options of a submit and return them as the store takes them.

    Args:
        settings: of the client.
        idempotency_key: work with a known key is not recorded again.
        queue: name.
        priority: higher first, -32,768 to 31,999.
        run_after: a duration from now (seconds, timedelta, ``"5m"``) or a time (datetime, RFC 3339).
        max_attempts: executions in all, at least 1.
        timeout: of each attempt.
        retry: policy, or its fields.
        labels: of a run.
        unique: under which key it is the same as other work, and what then.
        expires: cancelled unless it has started by then: like ``run_after``, a duration or a time.
        cache: False: no step of the run takes its result from the cache, or keeps it there.
        correlation_id: of whatever the work belongs to; that of the step that submits, if omitted.
        business_id: of the thing that the work is about; likewise.
        traceparent: W3C Trace Context of the span that submits.

    Raises:
        InvalidInput: one of them is malformed; the message names it.
    """
    submit: dict[str, Any] = {}
    if queue is not None:
        submit["queue"] = queue_name(queue)
    if priority is not None:
        submit["priority"] = checked_priority(priority)
    if max_attempts is not None:
        submit["max_attempts"] = _whole("max_attempts", max_attempts, 1, _ATTEMPTS)
    if timeout is not None:
        submit["timeout"] = _timeout(timeout)
    if retry is not None:
        submit["retry"] = _retry(retry)
    if cache is not None and not isinstance(cache, bool):
        raise InvalidInput(f"cache must be true or false, not {cache!r}", hint="False runs each step")
    if cache is False:
        submit["cache"] = False
    ids = completed(checked(correlation_id, business_id, traceparent)).given()
    if ids:
        submit["correlation"] = ids
    run_at, delay = due(run_after)
    return Terms(
        key=_key(idempotency_key),
        submit=submit,
        config=settings.defaults,
        run_at=run_at,
        delay=delay,
        labels=_labels(labels),
        tenant=settings.tenant,
        private=settings.private,
        runner=settings.runner,
        special=_special(unique, expires, idempotency_key, delayed=run_after is not None),
    )


def _special(
    unique: Unique | Mapping[str, Any] | str | None,
    expires: RunAfter | None,
    key: str | None,
    *,
    delayed: bool,
) -> dict[str, Any]:
    special: dict[str, Any] = {}
    if unique is not None:
        made = Unique.of(unique)
        if key is not None:
            raise InvalidInput(
                "a submit has an idempotency key or is unique, not both",
                hint="a unique key with a period is the nearer to an idempotency key",
            )
        if made.on_conflict == "debounce" and not delayed:
            raise InvalidInput("debounce needs the time for which it waits", hint="give run_after (--in 30s)")
        special["unique"] = made.to_json()
    at, seconds = due(expires)
    if at is not None:
        special["expires_at"] = at.isoformat()
    if seconds is not None:
        if seconds <= 0:
            raise InvalidInput("what expires at once never starts", hint="give a duration longer than 0")
        special["expires_in"] = seconds
    return special


def due(run_after: RunAfter | None) -> tuple[datetime | None, float | None]:
    """Return ``run_after`` as a time or as seconds from now; (None, None) when it is not given.

    Raises:
        InvalidInput: neither a time with a zone nor a duration.
    """
    match run_after:
        case None:
            return None, None
        case datetime():
            return _aware(run_after, str(run_after)), None
        case str():
            at = _time(run_after)
            return (at, None) if at is not None else (None, durations.seconds(run_after))
        case _:
            return None, durations.seconds(run_after)


def before(now: datetime, seconds: float) -> datetime:
    """Return the time so many seconds before another; the first there is, where that lies before all."""
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _time(text: str) -> datetime | None:
    stripped = text.strip()
    if "-" not in stripped:
        # whole seconds ("90") and dates in the basic format ("20300101") would look alike
        return None
    try:
        at = datetime.fromisoformat(stripped)
    except ValueError:
        return None
    return _aware(at, stripped)


def _aware(at: datetime, shown: str) -> datetime:
    if at.utcoffset() is None:
        raise InvalidInput(f"the time {shown} has no time zone", hint="write 2030-01-31T08:00:00Z, or +01:00")
    return at


def queue_name(name: object) -> str:
    """Return the name of a queue.

    Raises:
        InvalidInput: it is no text, or holds a character with another meaning.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput(f"{name!r} is not a queue's name", hint="queues are named like `default`")
    if any(part in name for part in ":,~") or name != name.strip():
        raise InvalidInput(
            f"queue {name!r} holds a character with another meaning", hint="leave out : , ~ and spaces around"
        )
    return name


def checked_priority(value: object) -> int:
    """Return a priority.

    Raises:
        InvalidInput: it is no whole number, or out of range.
    """
    return _whole("priority", value, *PRIORITIES)


def _whole(what: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{what} must be a whole number, not {value!r}", hint=f"{low:,} to {high:,}")
    if not low <= value <= high:
        raise InvalidInput(f"{what} {value} is out of range", hint=f"{low:,} to {high:,}")
    return value


def _timeout(value: float | str | timedelta) -> float:
    result = durations.seconds(value)
    if result <= 0:
        raise InvalidInput("a timeout must be longer than 0", hint="leave it out for no timeout")
    return result


def _retry(value: Retry | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, Retry):
        # all of it: what equals the policy of steps still differs from that of intents
        return _fields(value, _RETRY_KEYS)
    unknown = [key for key in value if key not in _RETRY_KEYS]
    if unknown:
        raise InvalidInput(f"unknown key {unknown[0]!r} in retry", hint=f"known: {', '.join(_RETRY_KEYS)}")
    return _fields(Retry(**value), value)


def _fields(policy: Retry, names: Iterable[str]) -> dict[str, Any]:
    plain = {name: getattr(policy, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _key(key: object) -> str | None:
    if key is None:
        return None
    if not isinstance(key, str) or not key:
        raise InvalidInput(f"{key!r} is not an idempotency key", hint="use a text of 1 to 300 characters")
    return key


def _labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    for name, value in (labels or {}).items():
        if not isinstance(name, str) or not name or not isinstance(value, str):
            raise InvalidInput(f"label {name!r} must be text with a text value, not {value!r}")
    return dict(labels or {})
