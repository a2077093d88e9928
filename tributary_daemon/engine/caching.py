"""The key of a step in the cache: known once its expressions are evaluated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon import codec
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.caching import RUN, RUN_TTL, CacheKey, digest_of
from tributary_daemon.spec.expressions import resolve
from tributary_daemon.spec.expressions.values import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.engine.lease import Lease

# another number makes all keys new: for when results mean something else
_FORM: Final = "tributary step cache 1"
# a workflow may have the name of a handler
_CHILD_FORM: Final = "tributary sub-workflow cache 1"


class Maker(NamedTuple):
    """What makes a result: its kind, name and version, and what it is given, JSON text."""

    form: str
    name: str
    version: str
    given: str


def cache_key(lease: Lease, cache: Mapping[str, Any], seen: Mapping[str, Any], version: str) -> CacheKey:
    """Return the key of a step.

    Args:
        lease: its payload is what its handler gets.
        cache: ``{"scope", "ttl", "key"}`` of a plan.
        seen: contexts of expressions.
        version: of the handler.

    Raises:
        ExpressionError: the key that the plan gives cannot be evaluated.
        InvalidInput: it is empty.
    """
    return _key(lease, cache, seen, Maker(_FORM, lease.name, version, lease.payload))


def child_key(
    lease: Lease, cache: Mapping[str, Any], seen: Mapping[str, Any], child: Mapping[str, Any]
) -> CacheKey:
    """Return the key of a step that starts a child run.

    Args:
        lease: of the step.
        cache: as for `cache_key`.
        seen: as for `cache_key`.
        child: ``{"revision", "name", "inputs"}``; the inputs as the run gets them, with what is not given.

    Raises:
        ExpressionError: as `cache_key`.
        InvalidInput: as `cache_key`.
    """
    inputs = codec.dumps(child["inputs"], what="inputs")
    return _key(lease, cache, seen, Maker(_CHILD_FORM, child["name"], child["revision"], inputs))


def _key(lease: Lease, cache: Mapping[str, Any], seen: Mapping[str, Any], maker: Maker) -> CacheKey:
    scope = cache.get("scope", RUN)
    run_id = lease.run_id if scope == RUN else None
    given = None
    if "key" in cache:
        given = _text(resolve(cache["key"], seen, strict_missing=True))
        if not given:
            raise InvalidInput(
                "the key of a cache is empty: all results would share it",
                hint="look at the expression in `cache.key`",
            )
    own = ("input", maker.version, canonical(maker.given)) if given is None else ("key", given)
    return CacheKey(
        digest_of((maker.form, scope, run_id or "", lease.tenant, maker.name, *own)),
        lease.tenant,
        maker.name,
        maker.version if given is None else None,
        scope,
        run_id,
        cache.get("ttl", RUN_TTL if scope == RUN else None),
    )


def canonical(text: str) -> str:
    """Return JSON text in the one form that all texts of the same value share."""
    return _canonical(codec.loads(text))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text(value: Any) -> str:
    # of an object or a list GitHub's expressions write only the kind
    return _canonical(value) if isinstance(value, dict | list | tuple) else to_text(value)
