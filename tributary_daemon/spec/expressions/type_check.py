"""What is wrong with an expression whatever the values are, as far as types tell."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.evaluator import COMPARISONS
from tributary_daemon.spec.expressions.shortening import cut
from tributary_daemon.spec.expressions.static_types import (
    BOOLEAN,
    NULL,
    NoSuchField,
    Type,
    Variant,
    constant,
    elements,
    field,
    of_kind,
    type_of,
    union,
    without_null,
)
from tributary_daemon.spec.expressions.syntax import (
    COMPUTED,
    WILDCARD,
    Calculation,
    Call,
    Chain,
    Compare,
    Index,
    Literal,
    Name,
    Node,
    Not,
    chain_of,
)
from tributary_daemon.spec.expressions.template import Expression, compile_expression
from tributary_daemon.spec.expressions.values import to_number
from tributary_daemon.spec.nearest import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTAINERS: Final = frozenset({"Array", "Object"})
_MOST_PAIRS: Final = 10_000
_LONGEST_SHOWN: Final = 80


class Finding(NamedTuple):
    """Something that is wrong with an expression whatever the values are.

    Attributes:
        position: 0-based offset in the expression.
        message: what is wrong.
        hint: what to do about it.
    """

    position: int
    message: str
    hint: str | None


def check_types(
    expression: Expression | str, schemas: Mapping[str, Any], *, strict_missing: bool = True
) -> list[Finding]:
    """Return what is wrong with an expression, by position.

    Where a schema says more than is followed here, or nothing, anything may be there and nothing is reported.
    A schema that names fields (``properties``) has no others unless it allows them with
    ``additionalProperties``: that is how models describe themselves.

    Args:
        expression: a text that cannot be read is a finding too: unknown functions, numbers of arguments.
        schemas: path, such as ``inputs`` or ``steps.fetch.result`` -> the JSON Schema of what is there, a
            document of its own for its ``$defs``. The longest path that fits is taken; a value that may be
            null (of a step that may be skipped) says so with ``anyOf``.
        strict_missing: report fields that cannot exist, except below ``??``; pass False for ``if``, where a
            missing path is null.
    """
    if isinstance(expression, str):
        try:
            expression = compile_expression(expression)
        except ExpressionError as error:
            return [Finding(error.position or 0, error.message, error.hint)]
    return _Checker(expression.source, schemas).check(expression.tree, strict=strict_missing)


class _Checker:
    def __init__(self, source: str, schemas: Mapping[str, Any]) -> None:
        self._source = source
        self._types = {
            tuple(path.lower().split(".")): functools.partial(type_of, schema, schema)
            for path, schema in schemas.items()
        }
        self._found: list[Finding] = []
        self._strict = True

    def check(self, tree: Node, *, strict: bool) -> list[Finding]:
        self._strict = strict
        self._type(tree)
        return sorted(self._found, key=lambda finding: finding.position)

    def _report(self, node: Node, message: str, hint: str | None = None) -> None:
        self._found.append(Finding(node.span[0], message, hint))

    def _text(self, node: Node) -> str:
        return cut(" ".join(self._source[slice(*node.span)].split()), _LONGEST_SHOWN)

    def _type(self, node: Node) -> Type:
        """Return the type of a node, and report what is wrong in it."""
        match node:
            case Literal(value):
                return constant(value)
            case Name() | Index():
                return self._path(node)
            case Call():
                return self._call(node)
            case Not(operand):
                self._type(operand)
                return (BOOLEAN,)
            case Compare():
                return self._comparison(node)
            case Calculation():
                for side in (node.left, node.right):
                    self._needs(side, self._type(side), ("Number",), f"`{node.operator}`")
                return (of_kind("Number"),)
            case Chain():
                return self._chain(node)

    def _chain(self, node: Chain) -> Type:
        if node.operator != "??":
            return union([self._type(operand) for operand in node.operands])
        strict, self._strict = self._strict, False
        types = [self._type(operand) for operand in node.operands]
        self._strict = strict
        return union([*map(without_null, types[:-1]), types[-1]])

    def _path(self, node: Name | Index) -> Type:
        chain = chain_of(node)
        if chain is None:
            assert isinstance(node, Index)
            return self._part(node, self._type(node.target))
        name, parts = chain
        steps: list[Index] = []
        part: Node = node
        while isinstance(part, Index):
            steps.append(part)
            part = part.target
        steps.reverse()
        count, found = self._known(name.name, parts)
        for step in steps[count:]:
            found = self._part(step, found)
        return found

    def _known(self, root: str, parts: list[Any]) -> tuple[int, Type]:
        """Return how many parts the longest path with a schema has, and the type there."""
        words = [root]
        for part in parts:
            if part is WILDCARD or part is COMPUTED:
                break
            words.append(str(part).lower())
        for count in range(len(words), 0, -1):
            found = self._types.get(tuple(words[:count]))
            if found is not None:
                return count - 1, found()
        return 0, None

    def _part(self, step: Index, target: Type) -> Type:
        """Return the type of one step of a path."""
        try:
            if step.index is None:
                return elements(target)
            if isinstance(step.index, Literal):
                return field(target, step.index.value)
        except NoSuchField as error:
            if self._strict:
                self._missing(step, target, error.known)
            return None
        self._type(step.index)
        return None

    def _missing(self, step: Index, target: Type, known: tuple[str, ...]) -> None:
        index, owner = step.index, self._text(step.target)
        at = step if index is None else index
        written = "*" if index is None else str(index.value) if isinstance(index, Literal) else ""
        if known:
            self._report(at, f"`{owner}` has no {written!r}", suggest(written, known))
            return
        assert target is not None
        hint = None
        if any(variant.filtered is not None for variant in target):
            hint = "behind `.*` an index goes into each element, not into the list"
        elif any(variant.kind == "Array" for variant in target) and not written.isdigit():
            hint = f"one element is {owner}[0], {written!r} of all elements is {owner}.*.{written}"
        self._report(at, f"`{owner}` is {_words(target)} and has no {written!r}", hint)

    def _call(self, node: Call) -> Type:
        function = node.function
        types = [self._type(argument) for argument in node.arguments]
        for number, (argument, given) in enumerate(zip(node.arguments, types, strict=True)):
            if function.takes:
                takes = function.takes[min(number, len(function.takes) - 1)]
                self._needs(argument, given, takes, function.name)
        if function.name == "case":
            for condition in range(0, len(types) - 1, 2):
                self._needs(node.arguments[condition], types[condition], ("Boolean",), "a condition of case")
            return union([*types[1::2], types[-1]])
        if function.name == "same" and _apart(types[0], types[1]):
            self._never(node, types[0], types[1], "false")
        return tuple(map(of_kind, function.gives)) if function.gives else None

    def _needs(self, node: Node, given: Type, kinds: tuple[str, ...], what: str) -> None:
        # what is null only is missing, and reported as that
        if given is None or given == (NULL,) or any(variant.kind in kinds for variant in given):
            return
        self._report(node, f"{what} needs {_either(kinds)}, `{self._text(node)}` is {_words(given)}")

    def _comparison(self, node: Compare) -> Type:
        left, right = self._type(node.left), self._type(node.right)
        operator = "==" if node.operator == "!=" else node.operator
        if left is not None and right is not None and not _holds(operator, left, right):
            self._never(node, left, right, "true" if node.operator == "!=" else "false")
        return (BOOLEAN,)

    def _never(self, node: Node, left: Type, right: Type, always: str) -> None:
        assert left is not None
        assert right is not None
        message = f"`{self._text(node)}` is always {always}: it compares {_words(left)} with {_words(right)}"
        self._report(node, message, _hint(left, right))


def _apart(left: Type, right: Type) -> bool:
    if left is None or right is None:
        return False
    return {variant.kind for variant in left}.isdisjoint({variant.kind for variant in right})


def _holds(operator: str, left: tuple[Variant, ...], right: tuple[Variant, ...]) -> bool:
    """Return whether a comparison can be true."""
    return any(_pair_holds(operator, one, other) for one in left for other in right)


def _pair_holds(operator: str, left: Variant, right: Variant) -> bool:
    if left.kind in _CONTAINERS or right.kind in _CONTAINERS:
        # by identity; in an order they are numbers that are none
        return "=" in operator and left.kind == right.kind
    if left.values is not None and right.values is not None:
        if len(left.values) * len(right.values) > _MOST_PAIRS:
            return True
        compare = COMPARISONS[operator]
        return any(compare(one, other) for one in left.values for other in right.values)
    return _may_meet(left, right) and _may_meet(right, left)


def _may_meet(given: Variant, other: Variant) -> bool:
    """Return whether one of the known values of ``given`` compares with anything of the other's kind."""
    if given.values is None:
        return True
    if other.kind == "String" and given.kind == "String":
        return True
    return any(not math.isnan(to_number(value)) for value in given.values)


def _hint(left: tuple[Variant, ...], right: tuple[Variant, ...]) -> str | None:
    kinds = [{variant.kind for variant in side if variant.kind != "Null"} for side in (left, right)]
    if any(kind & _CONTAINERS for kind in kinds):
        return "length(x) counts elements; same(a, b) compares arrays and objects by what is in them"
    for one, other in ((left, right), (right, left)):
        words = _texts(one)
        if len(one) == len(words) == 1:
            if BOOLEAN in other and words[0].lower() in {"true", "false"}:
                return f"write {words[0].lower()} without quotes"
            known = _texts(other)
            return suggest(words[0], known) if known else None
    return None


def _texts(given: tuple[Variant, ...]) -> list[str]:
    """Return the texts that a value may be."""
    return [value for variant in given for value in variant.values or () if isinstance(value, str) and value]


def _words(given: tuple[Variant, ...]) -> str:
    return cut(_either(tuple(dict.fromkeys(map(_word, given)))), 2 * _LONGEST_SHOWN)


def _word(variant: Variant) -> str:
    if variant.kind in {"Null", "Boolean"} and (variant.values is None or len(variant.values) != 1):
        return variant.kind
    if variant.values is None:
        return variant.kind
    return " or ".join(_constant(value) for value in variant.values)


def _constant(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)
