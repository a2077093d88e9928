"""Merge keys of YAML: `<<: *defaults` takes over the pairs of other mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, kind

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems

MERGE_KEY: Final = "<<"


def merge(node: Mapping, problems: Problems) -> None:
    """Replace the merge key of a mapping by what it takes over, at its place; a quoted `<<` is a key as any.

    The mapping's own keys win, then the earlier of several mappings.
    """
    written, value = node.pairs[MERGE_KEY]
    if not written.plain:
        return
    own = node.pairs.keys() - {MERGE_KEY}
    taken: dict[str, tuple[Scalar, Node]] = {}
    for source in value.items if isinstance(value, Sequence) else [value]:
        if isinstance(source, Scalar) and source.value is None:
            continue
        if not isinstance(source, Mapping):
            problems.error(
                codes.MERGE,
                f"`<<` takes over mappings, not {kind(source)}",
                source,
                hint="write `<<: *name` with `&name` at a mapping above, or `<<: [*one, *two]`",
            )
            continue
        for key, pair in source.pairs.items():
            if key not in own:
                taken.setdefault(key, pair)
    merged: dict[str, tuple[Scalar, Node]] = {}
    for key, pair in node.pairs.items():
        if key == MERGE_KEY:
            merged.update(taken)
        else:
            merged[key] = pair
    node.pairs = merged
