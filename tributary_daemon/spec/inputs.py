"""Values given to a run, against the declared inputs: all faults at once."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.kinds import parse_time
from tributary_daemon.spec.nearest import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.spec.workflow import InputSpec

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DIGITS = 300
"""Of an integer, at most: about as many as the range of a float has."""
_INTEGER = re.compile(rf"[+-]?\d{{1,{_DIGITS}}}", re.ASCII)
_SPACE = " \t\r\n"
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_SHOWN: Final = 60


def check_inputs(spec_inputs: Mapping[str, InputSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a run: given values, defaults, and null for what was left out.

    Args:
        spec_inputs: the declared inputs.
        given: name -> JSON value.

    Raises:
        InvalidInput: names every fault, one a line.
    """
    return _check(spec_inputs, given, "input", "the workflow takes none", "give inputs with -i name=value")


def check_answer(form: Mapping[str, InputSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a step that asks for one: given values, defaults, and null for what was left out.

    Args:
        form: the declared fields.
        given: name -> JSON value.

    Raises:
        InvalidInput: names every fault, one a line.
    """
    return _check(form, given, "field", "the step asks for none", "give fields with -i name=value")


def _check(
    spec_inputs: Mapping[str, InputSpec], given: Mapping[str, Any], word: str, none: str, how: str
) -> dict[str, Any]:
    faults: list[str] = []
    for name in given:
        if name not in spec_inputs:
            hint = suggest(name, list(spec_inputs), what=f"{word}s") if spec_inputs else none
            faults.append(f"unknown {word} {name!r}; {hint}")
    values: dict[str, Any] = {}
    for name, spec in spec_inputs.items():
        if name in given and not (given[name] is None and not spec.required):
            values[name] = _normal(spec, given[name])
            faults.extend(f"{word} {name!r} {fault}" for fault in check_value(spec, values[name]))
        elif spec.has_default:
            values[name] = spec.default
        elif spec.required:
            faults.append(f"{word} {name!r} is required ({spec.type})")
        else:
            values[name] = None
    if faults:
        raise InvalidInput("\n".join(faults), hint=how if spec_inputs else None)
    return values


def _normal(spec: InputSpec, value: Any) -> Any:
    # producers in languages without integers send 3.0
    if spec.type == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if spec.items is not None and isinstance(value, list):
        return [_normal(spec.items, item) for item in value]
    return value


def check_value(spec: InputSpec, value: Any) -> list[str]:
    """Return what is wrong with a value, each as the end of a sentence: ``must be …``; empty when right."""
    match spec.type:
        case "string":
            return _check_text(spec, value)
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int):
                return [_must_be("an integer", value)]
            if abs(value) >= 10**_DIGITS:
                return [_must_be(f"an integer of at most {_DIGITS} digits", value)]
            return _check_bounds(spec, value, "")
        case "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
                return [_must_be("a number", value)]
            return _check_bounds(spec, value, "")
        case "boolean":
            return [] if isinstance(value, bool) else [_must_be("true or false", value)]
        case "date":
            return _check_date(spec, value)
        case "datetime":
            return _check_time(spec, value)
        case "choice":
            options = ", ".join(_show(option) for option in spec.options)
            matches = any(value == option and type(value) is type(option) for option in spec.options)
            return [] if matches else [_must_be(f"one of {options}", value)]
        case "list":
            return _check_list(spec, value)
        case _:
            return [] if isinstance(value, dict) else [_must_be("an object", value)]


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _must_be(wanted: str, value: Any) -> str:
    return f"must be {wanted}, not {_show(value)}"


def _show(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _check_text(spec: InputSpec, value: Any) -> list[str]:
    if not isinstance(value, str):
        return [_must_be("a string", value)]
    if "\0" in value or _has_surrogate(value):
        return ["holds a character that cannot be stored (NUL or a lone surrogate)"]
    faults = _check_bounds(spec, len(value), " characters")
    if spec.pattern is not None and not re.search(spec.pattern, value):
        faults.append(f"must match {spec.pattern}, {_show(value)} does not")
    return faults


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_bounds(spec: InputSpec, size: Any, unit: str) -> list[str]:
    faults = []
    if spec.min is not None and size < spec.min:
        faults.append(f"must be at least {spec.min}{unit}, not {size}")
    if spec.max is not None and size > spec.max:
        faults.append(f"must be at most {spec.max}{unit}, not {size}")
    return faults


def _check_date(spec: InputSpec, value: Any) -> list[str]:
    if not isinstance(value, str) or not _DATE.fullmatch(value) or not is_date(value):
        return [_must_be("a date like 2026-03-01", value)]
    return _check_bounds(spec, value, "")


def is_date(text: str) -> bool:
    """Return whether ``text`` is a day of the calendar, ``YYYY-MM-DD``."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return bool(_DATE.fullmatch(text))


def _check_time(spec: InputSpec, value: Any) -> list[str]:
    moment = parse_time(value) if isinstance(value, str) else None
    if moment is None:
        return [_must_be("a time with its zone like 2026-03-01T06:00:00Z", value)]
    faults = []
    if isinstance(spec.min, str) and moment < (parse_time(spec.min) or ""):
        faults.append(f"must not be before {spec.min}")
    if isinstance(spec.max, str) and moment > (parse_time(spec.max) or moment):
        faults.append(f"must not be after {spec.max}")
    return faults


def _check_list(spec: InputSpec, value: Any) -> list[str]:
    if not isinstance(value, list):
        return [_must_be("a list", value)]
    faults = _check_bounds(spec, len(value), " items")
    if spec.items is not None:
        faults.extend(
            f"item {number}: {fault}"
            for number, item in enumerate(value)
            for fault in check_value(spec.items, item)
        )
    return faults


def parse_cli_value(spec: InputSpec | None, text: str) -> Any:
    """Return the value that ``-i name=text`` means.

    Text that does not fit the type is returned as it is, so that ``check_inputs`` reports it with the rest.

    Args:
        spec: the declared input; None for an undeclared one or an intent, whose text is read as JSON when
            it is a number, boolean, null, object or list.
        text: what stands behind ``=``.
    """
    if spec is None:
        value = _json_or_text(text)
        return text if isinstance(value, str) else value
    match spec.type:
        case "integer":
            # not by strip() alone, which takes more for space than int() does
            return int(text) if _INTEGER.fullmatch(text.strip(_SPACE)) else text
        case "number":
            value = _json_or_text(text.strip())
            return value if isinstance(value, (int, float)) and not isinstance(value, bool) else text
        case "boolean":
            return _boolean(text)
        case "choice":
            return next((option for option in spec.options if _spelled(option) == text), text)
        case "list":
            if text.lstrip().startswith("["):
                return _json_or_text(text)
            items = [item.strip() for item in text.split(",")] if text.strip() else []
            return [parse_cli_value(spec.items, item) if spec.items else item for item in items]
        case "object":
            return _json_or_text(text)
        case _:
            return text


def _boolean(text: str) -> bool | str:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else text


def _spelled(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
