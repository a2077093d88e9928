"""A trace as lines of text, for `trib why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.spec.expressions.shortening import MARK, cut

if TYPE_CHECKING:
    from tributary_daemon.spec.expressions.traces import Clause, Trace

_WIDEST_VALUE: Final = 12
_LONGEST_SUMMARY: Final = 200


def trace_lines(trace: Trace) -> list[str]:
    """Return why a condition held or not.

    The first line puts the values into the condition: ``false && …``, where ``…`` was not evaluated. Below
    it stand the clauses, each with its value, and what it reads.
    """
    clauses = trace.clauses
    told: list[str] = []
    if clauses and clauses[0].operator is not None:
        told.append(cut(_summary(clauses, 0, nested=False)[0], _LONGEST_SUMMARY))
        clauses = clauses[1:]
    width = min(_WIDEST_VALUE, max((len(_value(clause)) for clause in clauses), default=0))
    for clause in clauses:
        indent = "  " * (clause.depth if told else 0)
        value = _value(clause).ljust(width)
        ending = "  (not evaluated)" if clause.holds is None else ""
        told.append(f"{indent}{value}  {clause.text}{ending}")
        told.extend(f"{indent}{' ' * width}    {path} is {read}" for path, read in clause.references)
    if trace.omitted:
        told.append(f"{trace.omitted} more clauses are not shown")
    return told


def _value(clause: Clause) -> str:
    return MARK if clause.value is None else clause.value


def _summary(clauses: tuple[Clause, ...], start: int, *, nested: bool) -> tuple[str, int]:
    """Return the condition from the clause at ``start``, and the index of the first clause behind it."""
    clause = clauses[start]
    if clause.operator is None or clause.holds is None:
        word = MARK if clause.holds is None else str(clause.holds).lower()
        return word, start + 1
    parts: list[str] = []
    place = start + 1
    while place < len(clauses) and clauses[place].depth > clause.depth:
        part, place = _summary(clauses, place, nested=True)
        parts.append(part)
    if clause.operator == "!":
        return f"!{parts[0] if parts else MARK}", place
    text = f" {clause.operator} ".join(parts)
    return f"({text})" if nested else text, place
