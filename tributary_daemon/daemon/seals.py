"""Encryption at the edges of a process: payloads are opened when claimed, outcomes sealed when they leave."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.engine.failures import unreadable
from tributary_daemon.errors import EncryptionError
from tributary_daemon.model.states import Kind
from tributary_daemon.sealing.box import moved
from tributary_daemon.sealing.envelope import RESERVED, VALUE_HEAD, Field, Origin, split
from tributary_daemon.sealing.ring import missing
from tributary_daemon.store import places
from tributary_daemon.store.finishes import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import Outcome, Part
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection
# as the database writes it
_HEAD: Final = len(f'{VALUE_HEAD}: "')
_END: Final = -len('"}')
_OURS: Final = ("no_key", "not_authentic")
_AGGREGATE: Final = {"aggregate": True}
_PARENT: Final = """
    select r.parent_run_id::text from tributary.runs r where r.shard = %s::smallint and r.run_id = %s::uuid
"""


def open_payload(held: Held, keys: Ring | None, connection: Connection) -> Outcome | None:
    """Open the payload of what was claimed; return its outcome where that cannot be."""
    if not held.payload.startswith(VALUE_HEAD):
        return None
    if keys is not None:
        # nearly all is what was submitted for just this step
        origin = Origin(held.tenant, held.run_id, str(held.ordinal), Field.PAYLOAD)
        text = keys.open_at(held.payload, origin, start=_HEAD, end=_END)
        if text is not None:
            held.payload = text
            return None
    try:
        token = held.payload[_HEAD:_END]
        if keys is None:
            raise missing(split(token).key)
        found = keys.open(token)
        parent = None
        if found.origin.field is Field.CHILD:
            row = connection.execute(_PARENT, (held.shard, held.run_id)).fetchone()
            parent = None if row is None else row[0]
        rule = places.payload(
            held.run_id,
            held.ordinal,
            places.label(held.step_id, held.item_key),
            parent=parent,
            inputs=held.durable,
        )
        if not places.admits(rule, tenant=held.tenant)(found.origin, ()):
            raise moved(found.origin)
    except EncryptionError as error:
        return unreadable(error, held)
    held.payload = found.text
    return None


def seal_progress(held: Held, details: str, keys: Ring | None) -> str:
    """Return the details of a heartbeat as they are stored."""
    if keys is None or details == "null":
        return details
    return keys.seal(details, _origin(held, str(held.ordinal), Field.PROGRESS))


def seal_result(held: Held, text: str, keys: Ring) -> str:
    """Return a result as it is stored."""
    # that of a closing step is the run's
    step = places.label(held.step_id, held.item_key) if held.kind == Kind.STEP else ""
    return keys.seal(text, Origin(held.tenant, held.run_id, step, Field.RESULT))


def seal_ended(held: Held, item: Ended, keys: Ring) -> Ended:
    """Return an outcome as it is stored: what is the user's is sealed, what SQL works with stays."""
    if keys.key_for(held.tenant) is None:
        return item
    result, error = item.result, item.error
    if result is not None and (seal := _SEALED.get(item.outcome)) is not None:
        result = seal(held, result, keys)
    if error is not None:
        error = _error(held, error, keys)
    part = None if item.part is None else seal_part(held, item.part, keys)
    # _replace takes as long as encrypting
    return Ended(*item[:5], result, error, *item[7:-1], part)


def seal_part(held: Held, part: Part, keys: Ring | None) -> Part:
    """Return what is added to a history as it is stored."""
    if keys is None or keys.key_for(held.tenant) is None:
        return part
    events = json.loads(part.events)
    for event in events:
        for name in ("result", "error"):
            if event["type"] == "did" and event.get(name) is not None:
                event[name] = keys.seal_value(event[name], _origin(held, "", Field.HISTORY))
        if event["type"] == "undo":
            event["payload"] = keys.seal_value(event["payload"], _origin(held, event["id"], Field.UNDO))
    status = part.status
    if status is not None:
        status = keys.seal(status, _origin(held, str(held.ordinal), Field.PROGRESS))
    return type(part)(part.number, json.dumps(events), status, part.left)


def _origin(held: Held, step: str, field: Field) -> Origin:
    return Origin(held.tenant, held.run_id, step, field)


def _trace(held: Held, text: str, keys: Ring) -> str:
    return keys.seal(text, _origin(held, str(held.ordinal), Field.CONDITION))


def _items(held: Held, text: str, keys: Ring) -> str:
    fan = json.loads(text)
    for item in fan["items"]:
        if item["payload"] != _AGGREGATE:
            name = places.label(held.step_id, item["key"])
            item["payload"] = keys.seal_value(item["payload"], _origin(held, name, Field.ITEM))
    return json.dumps(fan)


def _child(held: Held, text: str, keys: Ring) -> str:
    child = json.loads(text)
    child["inputs"] = keys.seal_value(child["inputs"], _origin(held, str(held.ordinal), Field.CHILD))
    return json.dumps(child)


def _wait(held: Held, text: str, keys: Ring) -> str:
    return json.dumps(_terms(held, json.loads(text), keys))


def _terms(held: Held, terms: dict[str, Any], keys: Ring) -> dict[str, Any]:
    sealed = dict(terms)
    if RESERVED in json.dumps(terms):
        # a wait that a workflow function has asked for, and that begins once more
        return sealed
    if sealed.get("prompt") is not None:
        sealed["prompt"] = keys.seal_text(sealed["prompt"], _origin(held, "", Field.PROMPT))
    if sealed.get("payload") is not None:
        # SQL compares hashes; the prompt of a signal's wait, which has none, keeps what they stand for
        sealed["prompt"] = keys.seal_text(json.dumps(terms["payload"]), _origin(held, "", Field.PROMPT))
        sealed["payload"] = keys.facts(terms["payload"], held.tenant, held.run_id, all_keys=False)
    return sealed


def _asks(held: Held, text: str, keys: Ring) -> str:
    terms = json.loads(text)
    for ask in terms["asks"]:
        if ask.get("payload") is not None:
            origin = _origin(held, str(ask["ordinal"]), Field.PAYLOAD)
            ask["payload"] = keys.seal_value(ask["payload"], origin)
        if ask.get("terms") is not None:
            ask["terms"] = _terms(held, ask["terms"], keys)
    return json.dumps(terms)


def _anew(held: Held, text: str, keys: Ring) -> str:
    terms = json.loads(text)
    terms["inputs"] = keys.seal_value(terms["inputs"], _origin(held, "0", Field.PAYLOAD))
    return json.dumps(terms)


def _error(held: Held, text: str, keys: Ring) -> str:
    error = json.loads(text)
    if error["reason"] in _OURS:
        # of what could not be read it holds nothing, and who has not the key is to see why
        return text
    for name in ("message", "traceback"):
        if error.get(name):
            error[name] = keys.seal_text(error[name], _origin(held, str(held.ordinal), Field.ERROR))
    return json.dumps(error)


# options that were decided stay readable: SQL acts on them
_SEALED: Final[dict[str, Callable[[Held, str, Ring], str]]] = {
    "completed": seal_result,
    "cached": seal_result,
    "skipped": _trace,
    "expanded": _items,
    "started": _child,
    "waits": _wait,
    "suspended": _asks,
    "continued": _anew,
}
