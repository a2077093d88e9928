"""Logs by structlog: JSON lines in a daemon, readable lines on a terminal; secrets never.

Every line that is written while a handler runs carries ``run_id``, ``step`` and ``attempt``. The loggers of
libraries (`logging`) and Python's warnings go the same way.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import structlog

from tributary_daemon import events
from tributary_daemon.errors import ConfigError
from tributary_daemon.model.masking import BOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from structlog.typing import Processor

Format = Literal["json", "console", "auto"]
LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_MASK: Final = "***"
_SECRET_KEY: Final = re.compile(
    r"passw(or)?d|secret|token|authorization|api_?key|private_?key|cookie", re.IGNORECASE
)
_SECRET_TEXT: Final = (
    # a password may itself hold an unescaped @ or /, so for databases all up to the last @ of the word
    (re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^\s:/@]*):\S*@", re.IGNORECASE), rf"\1:{_MASK}@"),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]*@", re.IGNORECASE), rf"\1:{_MASK}@"),
    (re.compile(r"(\bpassword\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE), rf"\1{_MASK}"),
    (
        re.compile(r"(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[^\s'\",]+", re.IGNORECASE),
        rf"\1{_MASK}",
    ),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{_MASK}"),
)
_DEEPEST: Final = 20
_FIRST: Final = ("timestamp", "level", "event")

_detach: list[Callable[[], None]] = []


def configure(format: Format | str = "auto", level: str = "info", stream: TextIO | None = None) -> None:  # noqa: A002 - named as the setting
    """Set up the logs of this process; a later call replaces an earlier one.

    Args:
        format: ``json``, ``console``, or ``auto``: console when ``stream`` is a terminal.
        level: least level to log: debug, info, warning, error, critical.
        stream: where to; standard error if omitted.

    Raises:
        ConfigError: no such format or level.
    """
    if format not in ("json", "console", "auto"):
        raise ConfigError(f"unknown log format {format!r}", hint="use json, console or auto")
    if level.lower() not in LEVELS:
        raise ConfigError(f"unknown log level {level!r}", hint=f"use one of: {', '.join(LEVELS)}")
    out = stream if stream is not None else sys.stderr
    terminal = out.isatty()
    colors = terminal and not os.environ.get("NO_COLOR")
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _stamp,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask,
    ]
    renderer: Processor
    if format == "json" or (format == "auto" and not terminal):
        renderer = structlog.processors.JSONRenderer(serializer=_line)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=32, exception_formatter=structlog.dev.plain_traceback
        )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*chain, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _route_libraries(out, number, chain, renderer)
    _subscribe(number)


def mask(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what looks like a secret, in a structlog line: values of telling keys, passwords in URLs.

    Those that the attempt is known to hold go too, whatever they look like.
    """
    for key in list(line):
        line[key] = _masked(key, line[key], 0)
    if (secrets := BOUND.get()) is not None:
        for key in list(line):
            line[key] = secrets.value(line[key])
    return line


def mask_text(text: str) -> str:
    """Return ``text`` without the passwords and tokens that can be recognised in it."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _masked(key: str, value: Any, level: int) -> Any:
    if value is not None and _SECRET_KEY.search(key):
        return _MASK
    match value:
        case str():
            return mask_text(value) if ":" in value or "=" in value or " " in value else value
        case dict() if level < _DEEPEST:
            return {name: _masked(str(name), part, level + 1) for name, part in value.items()}
        case list() | tuple() if level < _DEEPEST:
            return [_masked("", part, level + 1) for part in value]
        case None | bool() | int() | float():
            return value
        case _:
            return mask_text(str(value))


def _stamp(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the time first: RFC 3339, UTC, microseconds."""
    time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"timestamp": time, **line}


def _line(line: Mapping[str, Any], **_options: Any) -> str:
    """Return a line of JSON, time, level and message first; what JSON does not know becomes its text."""
    first = {name: line[name] for name in _FIRST if name in line}
    return json.dumps({**first, **line}, default=str, skipkeys=True)


def _route_libraries(out: TextIO, level: int, chain: list[Processor], renderer: Processor) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *chain],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in [
        item for item in root.handlers if isinstance(item.formatter, structlog.stdlib.ProcessorFormatter)
    ]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(level, logging.INFO))
    logging.captureWarnings(capture=True)


def _subscribe(level: int) -> None:
    while _detach:
        _detach.pop()()

    def write(event: events.Event) -> None:
        number = logging.getLevelNamesMapping()[event.level.upper()]
        if number >= level:
            words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(event).__name__).lower()
            facts = {item.name: getattr(event, item.name) for item in fields(event)}
            facts = {name: value for name, value in facts.items() if value is not None}
            if "traceback" in facts:
                # the key under which structlog prints a traceback as such
                facts["exception"] = facts.pop("traceback")
            structlog.get_logger().log(number, words, **facts)

    _detach.append(events.attach(write))
