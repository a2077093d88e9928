"""Sealed values in what is read for people: each query says where its columns belong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.sealing.box import Box, origins, shown
from tributary_daemon.sealing.envelope import BROKEN, HIDDEN, NOWHERE, Field
from tributary_daemon.sealing.ring import FACTS
from tributary_daemon.store import places
from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.places import Rule, label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Row

    Found = tuple[str, Rule]
    Columns = Callable[[Row, Mapping[str, Any]], tuple[str, dict[int, Rule]]]


class Keys(Query):
    """A Query that asks for the keys of the process instead of the database."""

    __slots__ = ()


KEYS: Final = Keys("")


def ring() -> Operation[Ring | None]:
    """Return the keys of the process; None where nothing is encrypted."""
    rows = yield KEYS
    found: Ring | None = rows[0][0]
    return found


def opened_rows(asked: Query, rows: list[Row], keys: Ring | None) -> Operation[list[Row]]:
    """Return rows as they are shown: opened where the keys are at hand."""
    if not any(type(value) is Box for row in rows for value in row):
        return rows
    params: Mapping[str, Any] = dict(asked.params) if not isinstance(asked.params, (list, tuple)) else {}
    columns = _columns().get(asked.sql, _unknown)
    rules = [columns(row, params) for row in rows]
    foreign = {
        origin.run
        for row, (home, _) in zip(rows, rules, strict=True)
        for value in row
        for origin in origins(value)
        if origin.run not in (home, NOWHERE)
    }
    roots: dict[str, str] = {}
    if foreign:
        roots = yield from roots_of({*foreign, *(home for home, _ in rules)})
    return [
        tuple(
            value
            if type(value) is not Box
            else _told(shown(value, keys, places.admits(found.get(index, _refuse), roots)))
            for index, value in enumerate(row)
        )
        for row, (_, found) in zip(rows, rules, strict=True)
    ]


def _told(value: Any) -> Any:
    """Return a value with the payload that a wait for a signal asks for, where hashes stand for it."""
    if not isinstance(value, dict):
        return value
    wanted = value.get("payload")
    if isinstance(wanted, dict) and FACTS in wanted:
        told = value.get("prompt")
        rest = {name: part for name, part in value.items() if name != "prompt"}
        return {**rest, "payload": told if told in (None, HIDDEN, BROKEN) else json.loads(told)}
    return {**value, "terms": _told(value["terms"])} if "terms" in value else value


def roots_of(run_ids: set[str]) -> Operation[dict[str, str]]:
    """Read the roots of runs."""
    rows = yield Query(query("roots"), {"ids": sorted(run_ids)})
    return {row[0]: row[1] for row in rows}


def place_of(work_id: str, step: str | None) -> Operation[tuple[str, int | None]]:
    """Read whose a run or intent is, and the ordinal of a step of it; of no such work: nobody's, None."""
    rows = yield Query(query("place_of"), {"id": work_id, "step": step})
    return (rows[0][0], rows[0][1]) if rows else ("", None)


def _refuse(_origin: Any, _path: Any, _roots: Any) -> bool:
    return False


def _unknown(_row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = str(params.get("id", ""))
    return run, dict.fromkeys(range(64), places.of_run(run))


def _intent(row: Row, _params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = str(row[0])
    rules = {
        13: places.exact(run, "", Field.RESULT),
        14: places.payload(run, 0),
        16: places.exact(run, "0", Field.PROGRESS),
    }
    return run, {index: places.whose(row[18], rule) for index, rule in rules.items()}


def _run(row: Row, _params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = str(row[0])
    rules = {
        11: places.run_result(run),
        12: places.error(run),
        13: places.payload(run, 0, parent=row[20]),
    }
    return run, {index: places.whose(row[17], rule) for index, rule in rules.items()}


def _steps(row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run, ordinal = _id(params), str(row[0])
    return run, {
        6: places.result(run, row[1]),
        14: places.error(run, ordinal),
        15: places.exact(run, ordinal, Field.PROGRESS),
        19: places.of_run(run, Field.PROMPT),
    }


def _items(row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run, name = _id(params), label(params["step"], row[1])
    return run, {
        5: places.result(run, name),
        6: places.exact(run, name, Field.ITEM),
        7: places.error(run, str(row[0])),
    }


def _traces(row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = _id(params)
    return run, {1: places.exact(run, str(row[0]), Field.CONDITION)}


def _payloads(row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = _id(params)

    def rule(origin: Any, path: Any, roots: Any) -> bool:
        if origin.field in (Field.ITEM, Field.UNDO):
            return bool(origin.run == run)
        parent = (
            origin.run if roots.get(run) is not None and roots.get(run) == roots.get(origin.run) else None
        )
        return places.payload(run, row[0], parent=parent, inputs=row[0] == 1)(origin, path, roots)

    return run, {1: rule}


def _attempts(_row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = _id(params)
    return run, {2: places.error(run, str(params["ordinal"]))}


def _dead_letters(row: Row, _params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = str(row[0])
    return run, {8: places.error(run, str(row[1])), 11: _payloads((row[1],), {"id": run})[1][1]}


def _events(row: Row, _params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = str(row[0])

    def rule(origin: Any, path: Any, roots: Any) -> bool:
        return places.of_run(run)(origin, path, roots) or places.error(run)(origin, path, roots)

    return run, {6: rule}


def _logs(row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = _id(params)
    return run, {9: places.exact(run, str(row[1]), Field.LINES)}


def _history(row: Row, _params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    return row[0], {2: places.of_run(row[0], Field.HISTORY, Field.UNDO)}


def _endings(row: Row, _params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    return row[0], {4: places.result(row[0], row[6]), 5: places.error(row[0], str(row[1]))}


def _function(_row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = _id(params)
    return run, {3: _payloads((0,), params)[1][1], 4: places.exact(run, "1", Field.PROGRESS)}


def _why(row: Row, params: Mapping[str, Any]) -> tuple[str, dict[int, Rule]]:
    run = _id(params)
    return run, {12: places.error(run, str(row[0])), len(row) - 1: places.of_run(run, Field.PROMPT)}


def _schedules(payload: int) -> Columns:
    return lambda row, _params: (NOWHERE, {payload: places.schedule(row[0])})


def _id(params: Mapping[str, Any]) -> str:
    return str(params["id"])


_KNOWN: Final[dict[str, Columns]] = {
    "intent": _intent,
    "run": _run,
    "run_steps": _steps,
    "run_items": _items,
    "run_traces": _traces,
    "step_payloads": _payloads,
    "attempts": _attempts,
    "dead_letter": _dead_letters,
    "dead_letters": _dead_letters,
    "events": _events,
    "events_of_all": _events,
    "logs": _logs,
    "logs_before": _logs,
    "history": _history,
    "history_endings": _endings,
    "function_run": _function,
    "why": _why,
    "schedules": _schedules(11),
    "due_schedules": _schedules(9),
}
_BY_TEXT: Final[dict[str, Columns]] = {}


def _columns() -> Mapping[str, Columns]:
    if not _BY_TEXT:
        _BY_TEXT.update({query(name): columns for name, columns in _KNOWN.items()})
    return _BY_TEXT
