"""Submitting what is encrypted: its id comes first, since its values are sealed for it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final, Protocol

from tributary_daemon.errors import NotPossible
from tributary_daemon.sealing.envelope import Field, Origin
from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.sealing.ring import Key, Ring
    from tributary_daemon.store.db import Row

    Special = Mapping[str, Any]
    """What few submits have; as `store.submit.Terms` has it."""
    Send = Callable[[str, Special], Operation[list[Row]]]
    """Records an intent of that payload with that."""

_TRIES: Final = 5


class Asked(Protocol):
    """The terms of a submit; `store.submit.Terms` says what each is."""

    @property
    def key(self) -> str | None: ...
    @property
    def tenant(self) -> str: ...
    @property
    def special(self) -> Mapping[str, Any]: ...


def place(tenant: str, key: str | None) -> Operation[tuple[str, str]]:
    """Return a new id, on the shard of the key if there is one, and the tenant that the work will have."""
    rows = yield Query(query("place_to_seal"), {"tenant": tenant, "key": key})
    return rows[0][0], rows[0][1]


def intent(name: str, payload: str, asked: Asked, keys: Ring, send: Send) -> Operation[list[Row]]:
    """Record one intent, sealed for its id; one that takes the place of another for the id of that one.

    Raises:
        NotPossible: what it was to replace has changed again and again.
    """
    special = _known_by(asked.special, payload, keys.key_for(asked.tenant))
    unique = special.get("unique")
    found = asked.key if unique is None else f"{name}\x1f{unique['key']}"
    for _ in range(_TRIES):
        own, tenant = yield from place(asked.tenant, found)
        made = {**special, "id": own}
        rows = yield from send(_sealed(keys, payload, tenant, own), made)
        if rows[0][1] is None and rows[0][0] is not None:
            holder = str(rows[0][0])
            rows = yield from send(_sealed(keys, payload, tenant, holder), {**made, "holder": holder})
        if rows[0][1] is not None:
            return rows
    raise NotPossible("what was to be replaced starts again and again", hint="submit it once more")


def run(
    inputs: str, payloads: str | None, plan: Mapping[str, Any] | None, asked: Asked, keys: Ring
) -> Operation[tuple[str, str | None, dict[str, Any]]]:
    """Return inputs and payloads of a run, sealed for the id that comes with them, and its special terms.

    Args:
        inputs: JSON text of an object.
        payloads: JSON text of an object step id -> payload.
        plan: of the workflow, where there are payloads.
        asked: of the submit.
        keys: of the process.
    """
    own, tenant = yield from place(asked.tenant, asked.key)
    special = _known_by(asked.special, inputs, keys.key_for(tenant))
    if payloads is not None:
        ordinals = {step["id"]: step["ordinal"] for step in (plan or {"steps": ()})["steps"]}
        payloads = json.dumps(
            {
                step: keys.seal_value(value, Origin(tenant, own, str(ordinals.get(step, 0)), Field.PAYLOAD))
                for step, value in json.loads(payloads).items()
            }
        )
    return _sealed(keys, inputs, tenant, own), payloads, {**special, "id": own}


def _sealed(keys: Ring, payload: str, tenant: str, run_id: str) -> str:
    return keys.seal(payload, Origin(tenant, run_id, "0", Field.PAYLOAD))


def _known_by(special: Special, payload: str, key: Key | None) -> dict[str, Any]:
    """Return terms in which a keyed hash stands for the payload by which work is unique."""
    unique: Mapping[str, Any] | None = special.get("unique")
    if key is None or unique is None or unique.get("by") is None:
        return dict(special)
    text = json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":"))
    digest = hmac.new(key.secret, b"tributary unique\x01" + text.encode(), hashlib.sha256).hexdigest()
    rest = {name: value for name, value in unique.items() if name != "by"}
    return {**special, "unique": {**rest, "key": f"payload:{digest}"}}
