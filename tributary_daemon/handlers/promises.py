"""Results as JSON where they keep the promise of their type, without giving up the interpreter.

pydantic-core takes `warnings="error"` for a bool first, and lets go of the interpreter four times while it
notes that it is none. With other threads waiting each of them is a change of threads, and together they are a
tenth and more of what a process of small steps does. `warnings=True` costs nothing, and a filter of Python's
turns the warning into an exception. Filters belong to the whole process, and anybody may change them: ours is
looked for before and after, and whatever is doubtful is left to the slow way, whose word counts.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import SchemaSerializer, core_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

# of this module alone: nobody else's warnings become errors, nor those of the slow way
_HERE: Final = re.escape(__name__) + r"\Z"


class Watch:
    """The filter that makes exceptions of warnings raised in this module."""

    def __init__(self) -> None:
        self._filter: object = None
        self._works = True

    def stands(self) -> bool:
        """Whether the filter is the first one, so that no other decides."""
        filters: Sequence[object] = warnings.filters
        return bool(filters) and filters[0] is self._filter

    def put_up(self) -> None:
        """Make the filter the first one; never again if a promise that is broken to try it goes unnoticed."""
        if not self._works:
            return
        warnings.filterwarnings("error", category=UserWarning, module=_HERE)
        first: Any = _first_filter()
        # another thread's may have come before it
        self._filter = first if first is not None and first[3] == re.compile(_HERE) else None
        if self._filter is not None and _goes_unnoticed():
            self._works = not self.stands()
            self._filter = None


_WATCH: Final = Watch()


def kept(serializer: SchemaSerializer, value: Any, watch: Watch = _WATCH) -> bytes | None:
    """Return a value as JSON; None where it may hold what its type does not allow.

    Raises:
        PydanticSerializationError: it cannot be written.
    """
    if not watch.stands():
        watch.put_up()
        return None
    try:
        data = serializer.to_json(value, warnings=True)
    except UserWarning:
        return None
    return data if watch.stands() else None


def _first_filter() -> object:
    filters: Sequence[object] = warnings.filters
    return filters[0] if filters else None


def _goes_unnoticed() -> bool:
    try:
        SchemaSerializer(core_schema.int_schema()).to_json("not a number", warnings=True)
    except UserWarning:
        return False
    return True
