"""The one error of the expression language."""

from __future__ import annotations

from tributary_daemon.errors import InvalidInput


class ExpressionError(InvalidInput):
    """An expression cannot be read, or cannot be evaluated.

    Args:
        kind: ``lexing``, ``parsing``, ``evaluation`` or ``missing`` (a path that leads nowhere).
        message: what is wrong.
        position: 0-based offset into the expression, None when it has none.
        hint: what to write instead.
        unknown_context: the word that names no context, when that is the fault.
        unknown_function: the word that names no function, when that is the fault.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        position: int | None = None,
        hint: str | None = None,
        unknown_context: str | None = None,
        unknown_function: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.position = position
        self.unknown_context = unknown_context
        self.unknown_function = unknown_function
