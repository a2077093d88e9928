"""What breaks YAML's grammar, in words that help."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.nodes import Place

if TYPE_CHECKING:
    import yaml

    from tributary_daemon.spec.problems import Problems

_CONDITION = re.compile(r"(?:^|[\s{,])if:\s+(!)")
_QUOTED_CONDITION = re.compile(r"(?:^|[\s{,])if:\s+(['\"])")
SEARCHED: Final = 1_000
"""Characters of a line that are looked at for a trap."""


def syntax_error(error: yaml.MarkedYAMLError, problems: Problems) -> None:
    """Report what breaks YAML's grammar; well-known traps get a message of their own."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        problems.error(codes.SYNTAX, f"not YAML: {error}", Place(0, 0, 0, 1))
        return
    place = Place(mark.line, mark.column, mark.line, mark.column + 1)
    line = problems.line(mark.line)
    if not line and mark.line > 0:
        # the end of the text: point behind the last thing that was written
        number = next((n for n in range(mark.line - 1, 0, -1) if problems.line(n).strip()), 0)
        end = len(problems.line(number).rstrip())
        place = Place(number, end, number, end + 1)
    opening = line.rfind("${{", 0, mark.column + 3)
    if opening >= 0 and line[mark.column : mark.column + 2] == "{{":
        end = line.find("}}", opening)
        end = len(line) if end < 0 else end + 2
        problems.error(
            codes.UNQUOTED_EXPRESSION,
            "`${{ }}` inside `{ }` or `[ ]` must be quoted, YAML reads its braces as its own",
            Place(mark.line, opening, mark.line, end),
            hint=f'write "{line[opening:end]}"',
        )
        return
    condition = _CONDITION.search(line[:SEARCHED])
    if condition:
        negation(mark.line, condition.start(1), problems)
        return
    quoted = _QUOTED_CONDITION.search(line[:SEARCHED])
    if quoted and mark.column > quoted.start(1):
        text = line[quoted.start(1) : quoted.start(1) + SEARCHED].rstrip()
        problems.error(
            codes.SYNTAX,
            "a value that begins with a quote ends with it, so YAML cannot read the rest of this condition",
            Place(mark.line, quoted.start(1), mark.line, quoted.start(1) + len(text)),
            hint=f"write the whole condition in quotes: if: {json.dumps(text, ensure_ascii=False)}",
        )
        return
    context = f" {error.context}" if error.context else ""
    hint = None
    if "\t" in line[: mark.column + 1]:
        hint = "YAML is indented with spaces, not tabs"
    elif "mapping values are not allowed" in (error.problem or ""):
        hint = "quote a text that holds `: `, or look for wrong indentation"
    problems.error(codes.SYNTAX, f"not YAML:{context} {error.problem or ''}".rstrip(), place, hint=hint)


def negation(line: int, column: int, problems: Problems) -> None:
    """Report `if: !x`, which YAML takes for a tag."""
    text = problems.line(line)[column : column + SEARCHED].rstrip(" }],")
    problems.error(
        codes.TAG,
        "an unquoted `!` starts a tag in YAML, not a negation",
        Place(line, column, line, column + len(text)),
        hint=f"quote the condition: if: {json.dumps(text, ensure_ascii=False)}",
    )


def unreadable_character(error: yaml.reader.ReaderError, text: str, problems: Problems) -> None:
    """Report a character that YAML forbids."""
    # the C reader counts bytes, the Python one characters: look for the character itself
    code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
    offset = max(text.find(chr(code)), 0)
    line = text.count("\n", 0, offset)
    column = offset - (text.rfind("\n", 0, offset) + 1)
    problems.error(
        codes.SYNTAX,
        f"the character U+{code:04X} is not allowed in YAML",
        Place(line, column, line, column + 1),
        hint="remove it, or write it as an escape inside double quotes",
    )
