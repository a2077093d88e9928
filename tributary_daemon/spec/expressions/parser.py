"""Tokens -> syntax tree, by operator precedence; depth is bounded by construction."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.functions import FUNCTIONS, Function
from tributary_daemon.spec.expressions.lexer import CONSTANTS, MAX_LENGTH, Kind, Lexer, Token
from tributary_daemon.spec.expressions.syntax import (
    MAX_DEPTH,
    Call,
    Chain,
    Compare,
    Index,
    Literal,
    Name,
    Node,
    Not,
    Path,
    check_depth,
)
from tributary_daemon.spec.nearest import suggest

if TYPE_CHECKING:
    from collections.abc import Collection

_POWER: Final = {"??": 1, "||": 2, "&&": 3, "==": 4, "!=": 4, "<": 5, "<=": 5, ">": 5, ">=": 5}
_PATH = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)((?:\.[A-Za-z_][A-Za-z0-9_-]*)*)\s*")
_NOT_POWER: Final = 6
_CHAINED: Final = ("??", "||", "&&")
# parentheses make no node, so the bound on nodes alone would let them nest without end
_MAX_NESTING: Final = 100


def parse(source: str, names: Collection[str]) -> Node:
    """Read one expression; an empty one is null.

    Args:
        source: the text between ``${{`` and ``}}``.
        names: the contexts that exist, in lower case.

    Raises:
        ExpressionError: kind ``lexing`` or ``parsing``.
    """
    path = read_path(source, names)
    return _Parser(source, names).parse() if path is None else tree_of(path)


def read_path(source: str, names: Collection[str]) -> Path | None:
    """Read ``context.name.name``, as most expressions are, without the lexer; None for anything else."""
    found = _PATH.fullmatch(source) if len(source) <= MAX_LENGTH else None
    if found is None or found.group(1).lower() not in names:
        return None
    root, words = found.group(1), found.group(2).split(".")[1:]
    if root in CONSTANTS or len(words) >= MAX_DEPTH:
        return None
    return Path(root.lower(), tuple(words), found.start(1))


def tree_of(path: Path) -> Node:
    """Return the syntax tree of what `read_path` has read."""
    node: Node = Name(path.root, path.position)
    for word in path.parts:
        node = Index(node, Literal(word))
    return node


class _Parser:
    def __init__(self, source: str, names: Collection[str]) -> None:
        self._lexer = Lexer(source)
        self._names = names
        self._before = Token(Kind.END, "", 0)
        self._token = self._lexer.next()
        self._nesting = 0

    def parse(self) -> Node:
        if self._token.kind is Kind.END:
            return Literal(None)
        node, _ = self._expression(0)
        self._expect_end()
        return node

    def _advance(self) -> Token:
        self._before = self._token
        self._token = self._lexer.next()
        return self._before

    def _at(self, mark: str) -> bool:
        return self._token.kind is Kind.MARK and self._token.text == mark

    def _expect(self, mark: str) -> None:
        if not self._at(mark):
            raise self._unexpected()
        self._advance()

    def _expect_end(self) -> None:
        if self._token.kind is not Kind.END:
            raise self._unexpected()

    def _unexpected(self) -> ExpressionError:
        token = self._token
        if token.kind is not Kind.END:
            return self._lexer.unexpected(token.text, token.position, "parsing")
        before = self._before
        return ExpressionError(
            "parsing",
            f"Unexpected end of expression: '{before.text}'. {self._lexer.place(before.position)}",
            position=before.position,
        )

    def _expression(self, power: int) -> tuple[Node, int]:
        """Return the expression whose operators bind tighter than ``power``, and its depth."""
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            check_depth(self._nesting)
        left, depth = self._postfix(*self._operand())
        while self._token.kind is Kind.OPERATOR and _POWER.get(self._token.text, 0) > power:
            operator = self._advance().text
            right, right_depth = self._expression(_POWER[operator])
            left, depth = _combine(operator, left, depth, right, right_depth)
        self._nesting -= 1
        return left, depth

    def _operand(self) -> tuple[Node, int]:
        token = self._token
        match token.kind:
            case Kind.LITERAL:
                self._advance()
                return Literal(token.value), 1
            case Kind.NAME:
                if token.text.lower() not in self._names:
                    raise self._unrecognized("named-value", token, self._names)
                self._advance()
                return Name(token.text.lower(), token.position), 1
            case Kind.FUNCTION:
                return self._call()
            case Kind.OPERATOR if token.text == "!":
                self._advance()
                operand, depth = self._expression(_NOT_POWER)
                return Not(operand), check_depth(depth + 1)
            case Kind.MARK if token.text == "(":
                self._advance()
                node, depth = self._expression(0)
                self._expect(")")
                return node, depth
        raise self._unexpected()

    def _postfix(self, node: Node, depth: int) -> tuple[Node, int]:
        while self._at(".") or self._at("["):
            if isinstance(node, Literal) and self._before.text != ")":
                raise self._unexpected()
            index: Node | None
            if self._advance().text == ".":
                index, index_depth = self._property()
            else:
                index, index_depth = self._bracket()
            node, depth = Index(node, index), check_depth(max(depth, index_depth) + 1)
        return node, depth

    def _property(self) -> tuple[Node | None, int]:
        if self._at("*"):
            self._advance()
            return None, 1
        if self._token.kind is not Kind.PROPERTY:
            raise self._unexpected()
        return Literal(self._advance().text), 1

    def _bracket(self) -> tuple[Node | None, int]:
        if self._at("*"):
            self._advance()
            self._expect("]")
            return None, 1
        index = self._expression(0)
        self._expect("]")
        return index

    def _call(self) -> tuple[Node, int]:
        token = self._advance()
        function = FUNCTIONS.get(token.text.lower())
        if function is None:
            raise self._unrecognized("function", token, [each.name for each in FUNCTIONS.values()])
        self._expect("(")
        arguments: list[Node] = []
        depth = 0
        while not self._at(")"):
            if arguments:
                self._expect(",")
            argument, argument_depth = self._expression(0)
            arguments.append(argument)
            depth = max(depth, argument_depth)
        self._advance()
        self._check_arguments(function, len(arguments), token)
        return Call(function, tuple(arguments)), check_depth(depth + 1)

    def _check_arguments(self, function: Function, count: int, token: Token) -> None:
        if count < function.least:
            fault = "Too few parameters supplied"
        elif count > function.most:
            fault = "Too many parameters supplied"
        elif function.odd and count % 2 == 0:
            fault = "Even number of parameters supplied, requires an odd number of parameters"
        else:
            return
        raise ExpressionError(
            "parsing",
            f"{fault}: '{token.text}'. {self._lexer.place(token.position)}",
            position=token.position,
        )

    def _unrecognized(self, what: str, token: Token, known: Collection[str]) -> ExpressionError:
        return ExpressionError(
            "parsing",
            f"Unrecognized {what}: '{token.text}'. {self._lexer.place(token.position)}",
            position=token.position,
            hint=suggest(token.text, sorted(known)),
            unknown_context=token.text if token.kind is Kind.NAME else None,
            unknown_function=token.text if token.kind is Kind.FUNCTION else None,
        )


def _combine(operator: str, left: Node, depth: int, right: Node, right_depth: int) -> tuple[Node, int]:
    if operator not in _CHAINED:
        return Compare(operator, left, right), check_depth(max(depth, right_depth) + 1)
    if isinstance(left, Chain) and left.operator == operator:
        return Chain(operator, (*left.operands, right)), check_depth(max(depth, right_depth + 1))
    return Chain(operator, (left, right)), check_depth(max(depth, right_depth) + 1)
