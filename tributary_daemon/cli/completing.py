"""What a shell is offered; imported only while it asks."""

from __future__ import annotations

from click.shell_completion import CompletionItem as item  # noqa: N813 - called like a function

__all__ = ["item"]
