"""Why a condition holds or not, clause by clause: evaluated, stored, shown."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.evaluator import compile_node
from tributary_daemon.spec.expressions.masking import MASK, masked, secrets_of
from tributary_daemon.spec.expressions.scope import Scope, Status
from tributary_daemon.spec.expressions.shortening import MARK, cut, shown
from tributary_daemon.spec.expressions.syntax import Chain, Node, Not, Span, chain_of, children, paths
from tributary_daemon.spec.expressions.values import truthy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tributary_daemon.spec.expressions.template import Expression

MAX_BYTES: Final = 4_096
_LONGEST: Final = 200
_MOST_CLAUSES: Final = 200
_MOST_REFERENCES: Final = 20
# longest texts and values, tried one after the other until a trace is small enough
_LIMITS: Final = (_LONGEST, 80, 40)


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a condition.

    Attributes:
        depth: 0 for the whole condition; the parts of a clause follow it, one deeper.
        text: its source.
        operator: ``&&``, ``||`` or ``!`` when it has parts, else None.
        value: as shown, at most 200 characters; None when it was not evaluated.
        holds: whether the value counts as true; None when it was not evaluated.
        references: what it reads, and the value of each as shown; of clauses without parts.
    """

    depth: int
    text: str
    operator: str | None
    value: str | None
    holds: bool | None
    references: tuple[tuple[str, str], ...] = ()

    def to_json(self, limit: int = _LONGEST) -> dict[str, Any]:
        """Return it as JSON, its texts cut to ``limit``."""
        found: dict[str, Any] = {"depth": self.depth, "text": cut(self.text, limit)}
        if self.operator is not None:
            found["operator"] = self.operator
        if self.value is not None:
            found |= {"value": cut(self.value, limit), "holds": self.holds}
        if self.references:
            found["references"] = {
                cut(path, limit): cut(value, limit) for path, value in self.references[:_MOST_REFERENCES]
            }
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Clause:
        """Rebuild what `to_json` has made."""
        return cls(
            found["depth"],
            found["text"],
            found.get("operator"),
            found.get("value"),
            found.get("holds"),
            tuple(found.get("references", {}).items()),
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """What a condition led to, and why. No secret is in it.

    Attributes:
        source: the condition.
        holds: whether it holds.
        value: Boolean, number or null as it is; a text cut and masked; an array or object as shown.
        clauses: the whole condition, then its parts, as they stand in the text.
        omitted: clauses left out because there are too many.
    """

    source: str
    holds: bool
    value: Any
    clauses: tuple[Clause, ...]
    omitted: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON of at most 4 KiB: values are cut first, then the last clauses left out."""
        for limit in _LIMITS:
            clauses = [clause.to_json(limit) for clause in self.clauses]
            found = self._document(limit, clauses, self.omitted)
            if _size(found) <= MAX_BYTES:
                return found
        room = MAX_BYTES - _size(self._document(_LIMITS[-1], [], len(self.clauses) + self.omitted))
        kept = 0
        for clause in clauses:
            room -= _size(clause) + 1
            if room < 0:
                break
            kept += 1
        return self._document(_LIMITS[-1], clauses[:kept], self.omitted + len(clauses) - kept)

    def _document(self, limit: int, clauses: list[dict[str, Any]], omitted: int) -> dict[str, Any]:
        value = cut(self.value, limit) if isinstance(self.value, str) else self.value
        found = {
            "source": cut(self.source, 2 * limit),
            "holds": self.holds,
            "value": value,
            "clauses": clauses,
        }
        return found | {"omitted": omitted} if omitted else found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Trace:
        """Rebuild what `to_json` has made."""
        return cls(
            found["source"],
            found["holds"],
            found["value"],
            tuple(map(Clause.from_json, found["clauses"])),
            found.get("omitted", 0),
        )


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def trace(expression: Expression, contexts: Mapping[str, Any], status: Status | None = None) -> Trace:
    """Evaluate a condition and return the value of every clause of it.

    Costs several times an evaluation, so it is for conditions whose answer somebody will ask about.

    Args:
        expression: the condition.
        contexts: as of `Expression.evaluate`.
        status: what status functions answer.

    Raises:
        ExpressionError: as evaluating the condition does.
    """
    folded = {name.lower(): value for name, value in contexts.items()}
    tracer = _Tracer(
        expression.source,
        Scope(folded, strict=False, status=status),
        Scope(folded, strict=False, status=status),
        secrets_of(folded),
    )
    try:
        value = tracer.visit(expression.tree, 0)
    except ExpressionError as error:
        raise ExpressionError(error.kind, masked(error.message, tracer.secrets), hint=error.hint) from None
    return Trace(
        tracer.text((0, len(expression.source)), 2 * _LONGEST),
        truthy(value),
        tracer.plain(expression.tree, value),
        tuple(tracer.clauses),
        tracer.omitted,
    )


@dataclass(slots=True)
class _Tracer:
    """Goes through a condition.

    Attributes:
        source: its text.
        scope: of the evaluation itself.
        looking: of reading what is shown beside it, so that a trace succeeds where an evaluation does.
        secrets: what is masked.
        clauses: what is noted so far.
        omitted: clauses past the bound.
    """

    source: str
    scope: Scope
    looking: Scope
    secrets: Sequence[str]
    clauses: list[Clause] = field(default_factory=list)
    omitted: int = 0

    def visit(self, node: Node, depth: int) -> Any:
        """Evaluate a node, and note it and its parts."""
        place = self._note(node, depth)
        if isinstance(node, Not):
            value: Any = not truthy(self.visit(node.operand, depth + 1))
        elif isinstance(node, Chain) and node.operator != "??":
            value = self._chain(node, depth)
        else:
            value = compile_node(node)(self.scope)
        if place is not None:
            self._settle(place, node, value)
        return value

    def _chain(self, node: Chain, depth: int) -> Any:
        decided, value = False, None
        for operand in node.operands:
            if decided:
                self._note(operand, depth + 1)
            else:
                value = self.visit(operand, depth + 1)
                decided = truthy(value) is (node.operator == "||")
        return value

    def _note(self, node: Node, depth: int) -> int | None:
        if len(self.clauses) >= _MOST_CLAUSES:
            self.omitted += 1
            return None
        self.clauses.append(Clause(depth, self.text(node.span), _operator(node), None, None))
        return len(self.clauses) - 1

    def text(self, span: Span, limit: int = _LONGEST) -> str:
        """Return the source of a span on one line."""
        return cut(masked(" ".join(self.source[slice(*span)].split()), self.secrets), limit)

    def _settle(self, place: int, node: Node, value: Any) -> None:
        noted = self.clauses[place]
        # the value of a mere reference is that of the clause
        read = () if noted.operator or chain_of(node) else tuple(self._references(node))
        text = MASK if self._secret(node, value) else shown(value, self.secrets, _LONGEST)
        self.clauses[place] = Clause(noted.depth, noted.text, noted.operator, text, truthy(value), read)

    def _secret(self, node: Node, value: Any) -> bool:
        """Return whether a value may be a secret, or be made of one."""
        if value is None or isinstance(value, bool) or not self.secrets:
            return False
        return any(path.root == "secrets" for path in paths(node))

    def _references(self, node: Node) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        waiting = [node]
        while waiting and len(seen) < _MOST_REFERENCES:
            part = waiting.pop()
            chain = chain_of(part)
            if chain is None:
                waiting.extend(reversed(children(part)))
                continue
            text = self.text(part.span)
            if text not in seen:
                seen.add(text)
                yield text, self._read(part)

    def _read(self, node: Node) -> str:
        try:
            value = compile_node(node)(self.looking)
        except ExpressionError:
            # it stands in a part that was not evaluated, or nothing more may be looked at
            return MARK
        return MASK if self._secret(node, value) else shown(value, self.secrets, _LONGEST)

    def plain(self, node: Node, value: Any) -> Any:
        """Return a value that is true where ``value`` is, small, and without secrets."""
        if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isnan(value)):
            return None if isinstance(value, float) else value
        if self._secret(node, value):
            return MASK if truthy(value) else None
        if isinstance(value, str):
            return cut(masked(value, self.secrets), _LONGEST)
        if isinstance(value, (int, float)) and math.isfinite(value) and str(value) not in self.secrets:
            return value
        return shown(value, self.secrets, _LONGEST)


def _operator(node: Node) -> str | None:
    if isinstance(node, Not):
        return "!"
    return node.operator if isinstance(node, Chain) and node.operator != "??" else None
