# ruff: noqa: E501, RUF001, PT017, SIM105, SIM905 - lists of fragments; random text may be accepted or refused
"""Random durations, cron expressions, JSON, settings, names of secrets and files of test cases.

Only `InvalidInput` and the refusals of settings may leave them; what they return is sensible.
"""

from __future__ import annotations

import json
import math
import tomllib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from tests.fuzz.language import mutate
from tributary_daemon import codec
from tributary_daemon.cli import values as command_values
from tributary_daemon.config import values as settings
from tributary_daemon.errors import CodecError, InvalidInput, TributaryError
from tributary_daemon.model import cron, durations
from tributary_daemon.model.retry import Retry
from tributary_daemon.spec.inputs import check_inputs, parse_cli_value
from tributary_daemon.spec.workflow import InputSpec

if TYPE_CHECKING:
    import random

NUMBERS = (
    0, 1, -1, 0.5, -0.0, 1e308, -1e308, math.inf, math.nan, 10**30, 10**400, -(10**400), 2**31, 2**63, True, None,
    "1", "", "\x00", "\ud800", "é😀", "9" * 5_000, [], {}, [1], {"a": 1},
)  # fmt: skip
TIME_WORDS = (
    *"1 0 9 90 . - + e9 ms s m h d w y 1h30m 500ms 2d 1.5h 1..5m 1e9s inf nan ٣ ３s ² none ' ' \t \n".split(" "),
    "9" * 400, "9" * 5_000, "0" * 5_000 + "1s", "1s" * 500,
)  # fmt: skip
CRON_WORDS = (
    "* */5 5/5 */0 */99 1-5 5-1 0 00 59 60 -1 , ,, - / L LW W # MON MON#2 FRIL 7 7L SUN-SAT JAN DEC 31 30 29 2 12 "
    "@hourly @daily @yearly @reboot @every ? H 1,2,3 1-10/3 9999999999 ٣ é ' ' \t"
).split(" ")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "x",
    "",
    "../etc",
    "a\x00",
    "é",
)
JSON_WORDS = (
    *"[ ] { } : , \" \\ \\u0000 \\ud800 \\udc00 \\u00 null true NaN Infinity -Infinity -0 1e999 1E-999 01 0.1 .5 // /* '".split(
        " "
    ),
    "9" * 5_000, "[" * 300, "]" * 300, '{"a":' * 300, "\x00", "\ufeff", "\ud800", "é",
)  # fmt: skip
SETTINGS_WORDS = (
    "1MiB 1KiB MiB -1 : [::1]:80 127.0.0.1:0 :99999 true on , heavy:4 %% fixed backoff delay".split()
)
SETTINGS = (
    settings.text, settings.flag, settings.whole(1, 10), settings.duration(), settings.retention, settings.names, settings.size,
    settings.size_or_none(65_536), settings.address, settings.choice("a", "b"), settings.path, settings.option_defaults,
)  # fmt: skip
ARGUMENTS = (
    command_values.duration, command_values.age, command_values.moment, command_values.since, command_values.at_once,
    command_values.rate, command_values.queues, command_values.pair,
)  # fmt: skip
NOW = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
SPECS = tuple(
    InputSpec(type=kind, options=("a", "b") if kind == "choice" else ())
    for kind in ("string", "integer", "number", "boolean", "date", "datetime", "choice", "list", "object")
)


def a_text(dice: random.Random, words: Any, sources: tuple[str, ...]) -> str:
    """Return words in a row, or a sensible text that was changed."""
    if dice.randrange(3) == 0:
        return "".join(dice.choices(words, k=dice.choice((1, 2, 3, 6))))
    return mutate(dice, dice.choice(sources), words, lines=False)


def a_value(dice: random.Random, depth: int = 4) -> Any:
    """Return a random value, of which JSON may hold anything or nothing."""
    if depth == 0 or dice.randrange(3) == 0:
        return dice.choice(
            (*NUMBERS, dice.random(), dice.randrange(-(2**70), 2**70), b"\xff", {1, 2}, object, NOW)
        )
    match dice.randrange(4):
        case 0:
            return [a_value(dice, depth - 1) for _ in range(dice.randrange(4))]
        case 1:
            return {
                dice.choice(("a", "é", "\x00", "\ud800", 1, None, 1.5, True)): a_value(dice, depth - 1)
                for _ in range(dice.randrange(4))
            }
        case 2:
            made: Any = a_value(dice, 0)
            for _ in range(dice.choice((1, 50, 198, 199, 200, 201, 5_000))):
                made = [made] if dice.randrange(2) else {"a": made}
            return made
    circle: list[Any] = [1]
    circle.append(circle)
    return dice.choice(((a_value(dice, depth - 1),), circle, [a_value(dice, depth - 1)] * 3))


def a_duration(dice: random.Random) -> Any:
    """Return something like a duration."""
    if dice.randrange(4) == 0:
        return dice.choice(
            (*NUMBERS[:15], timedelta.max, timedelta.min, timedelta(seconds=dice.random() * 1e9))
        )
    return a_text(dice, TIME_WORDS, ("500ms", "30s", "5m", "1h30m", "2d", "90", "1.5h"))


def try_duration(value: Any) -> str:
    """Read a duration; return how it ended."""
    if isinstance(value, str):
        try:
            read = durations.seconds(value)
        except InvalidInput:
            return "refused"
        assert math.isfinite(read)
        assert 0 <= read <= durations.MAX_SECONDS
        durations.text(read)
        Retry(delay=value, max_delay=value)
        return "read"
    if value is None or isinstance(value, bool):
        return "skipped"
    try:
        read = durations.seconds(value)
    except InvalidInput:
        return "refused"
    assert math.isfinite(read)
    return "read"


def a_cron(dice: random.Random) -> tuple[str, str]:
    """Return something like a cron expression, and a zone."""
    if dice.randrange(2):
        text = " ".join(dice.choices(CRON_WORDS, k=dice.choice((4, 5, 5, 5, 6, 6, 7))))
    else:
        text = a_text(
            dice, CRON_WORDS, ("*/5 * * * *", "15 2 * * MON-FRI", "0 0 29 2 *", "0 0 12 L * MON#2", "@daily")
        )
    return text, dice.choice(ZONES)


def try_cron(given: tuple[str, str]) -> str:
    """Read a cron expression and compute its next slots; return how it ended."""
    try:
        read = cron.parse(*given)
    except InvalidInput as error:
        assert error.message
        return "refused"
    slots = read.upcoming(NOW, 5)
    assert slots == sorted(set(slots))
    assert all(slot > NOW for slot in slots)
    return "read"


def try_value(value: Any) -> str:
    """Store a value as JSON, and read it; return how it ended."""
    try:
        text = codec.dumps(value)
    except CodecError as error:
        assert len(str(error)) < 10_000, "a refusal that floods the log"
        return "refused"
    assert "\x00" not in text
    assert len(text.encode()) <= codec.MAX_BYTES
    codec.loads(text)
    return "stored"


def a_json(dice: random.Random) -> str:
    """Return something like a JSON text."""
    return a_text(dice, JSON_WORDS, ('{"a": [1, 2.5, null, true, "x"]}', "[]", '"\\u00e9"', "1e5", "-12"))


def try_json(text: str) -> str:
    """Read a JSON text as payload and as an argument; return how it ended."""
    ended = "refused"
    try:
        value = codec.loads(text)
        ended = "read"
        try_value(value)
    except CodecError:
        pass
    for source in (text, f" {text}"):
        if source.startswith("@") or source == "-":
            continue
        try:
            command_values.json_value(source, "--payload")
        except (InvalidInput, click.BadParameter):
            pass
    for spec in SPECS:
        try:
            check_inputs({"n": spec}, {"n": parse_cli_value(spec, text)})
        except InvalidInput:
            pass
    return ended


def a_setting(dice: random.Random) -> Any:
    """Return something like the value of a setting."""
    if dice.randrange(4) == 0:
        return dice.choice(NUMBERS)
    return a_text(
        dice, (*SETTINGS_WORDS, *TIME_WORDS), ("1MiB", "30d", "127.0.0.1:8080", "default,heavy:4", "true")
    )


def try_setting(value: Any) -> str:
    """Read a setting as each kind that there is; return how it ended."""
    ended = "refused"
    for read in SETTINGS:
        try:
            read(value)
        except settings.Refused:
            continue
        ended = "read"
    return ended


def a_table(dice: random.Random) -> str:
    """Return something like a trib.toml."""
    source = 'concurrency = 20\n[defaults]\nqueue = "b"\npriority = 0\ntimeout = "10m"\nretry = { backoff = "fixed", delay = 1 }\n'
    return mutate(
        dice,
        source,
        [*map(str, NUMBERS[:14]), '"x"', "[1]", "{}", "retry = 1", "nan", "inf", "9" * 400],
        lines=True,
    )


def try_table(text: str) -> str:
    """Read `[defaults]` of a configuration; return how it ended."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return "no TOML"
    try:
        json.dumps(settings.option_defaults(table.get("defaults", table)), default=dict)
    except settings.Refused:
        return "refused"
    return "read"


def an_argument(dice: random.Random) -> str:
    """Return something like the value of an option."""
    return a_text(
        dice,
        (*SETTINGS_WORDS, *TIME_WORDS),
        ("5m", "100/s", "2026-12-24T18:00:00Z", "a=b", "0001-01-01T00:00:00+14:00"),
    )


def try_argument(text: str) -> str:
    """Read the value of an option as each kind that there is; return how it ended."""
    ended = "refused"
    for read in ARGUMENTS:
        try:
            read(text)
        except (click.ClickException, TributaryError):
            continue
        ended = "read"
    return ended


KINDS = (
    ("duration", a_duration, try_duration),
    ("cron", a_cron, try_cron),
    ("value", a_value, try_value),
    ("json", a_json, try_json),
    ("setting", a_setting, try_setting),
    ("table", a_table, try_table),
    ("argument", an_argument, try_argument),
)
