"""The combinations of a matrix."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ITEMS: Final = 100_000
"""Items of one fan-out."""


def combinations(
    axes: Mapping[str, Sequence[Any]],
    include: Sequence[Mapping[str, Any]],
    exclude: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return every combination of the axes, the last axis fastest; without ``exclude``, then ``include``.

    Args:
        axes: name -> values; none make no combination.
        include: each completes the combinations that it does not contradict; otherwise it is one of its own.
        exclude: each leaves out what has its values; one that names nothing excludes nothing.
    """
    every = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
    made = [each for each in every if not any(_fits(rule, each) for rule in exclude)]
    originals = [dict(each) for each in made]
    for extra in include:
        matching = [place for place, each in enumerate(originals) if _agrees(extra, each)]
        for place in matching:
            made[place].update(extra)
        if not matching:
            made.append(dict(extra))
    return made


def _fits(rule: Mapping[str, Any], combination: Mapping[str, Any]) -> bool:
    return bool(rule) and all(
        name in combination and combination[name] == value for name, value in rule.items()
    )


def _agrees(extra: Mapping[str, Any], combination: Mapping[str, Any]) -> bool:
    return all(combination[name] == value for name, value in extra.items() if name in combination)
