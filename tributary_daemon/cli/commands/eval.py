"""``trib eval``."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import Lines, line
from tributary_daemon.cli.output import View, dump, output_option, show, unicode_on
from tributary_daemon.cli.shared import Command
from tributary_daemon.cli.values import json_value
from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.expressions import (
    ExpressionError,
    Status,
    compile_condition,
    kind_of,
    trace,
    trace_lines,
)
from tributary_daemon.spec.expressions.values import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

# `-1 < 2` is an expression, `--context` an option
_NEGATIVE: Final = re.compile(r"-(?:[\d.]|Infinity)")
_STATUS: Final = {
    "success": Status(success=True, failure=False, cancelled=False),
    "failure": Status(success=False, failure=True, cancelled=False),
    "cancelled": Status(success=False, failure=False, cancelled=True),
}


class EvalCommand(Command):
    """A command whose argument may begin with a minus before a number."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; an expression that begins with a negative number is no option."""
        place = next((index for index, word in enumerate(args) if _NEGATIVE.match(word)), None)
        if place is not None and "--" not in args[:place] and (place == 0 or args[place - 1] != "--context"):
            # options may stand behind it, an argument may not
            args = [*args[:place], *args[place + 1 :], "--", args[place]]
        return super().parse_args(ctx, args)


@click.command(
    "eval",
    cls=EvalCommand,
    epilog="""\b
The expression sees the contexts given and nothing else: no database, no clock. Put it in single quotes.
An error exits 3. With --jsonl every line {"expr": …, "contexts": {…}} is answered by one line, errors too.

\b
Examples:
  trib eval '1 + 2 * 3'
  trib eval "inputs.env == 'prod' && length(inputs.hosts) > 2" --context '{"inputs": {"env": "prod"}}'
  trib eval 'steps.fetch.result.items.*.id' --context @contexts.json -o json
  trib eval "failure() || inputs.force" --status failure --trace --context '{"inputs": {}}'
  trib eval --jsonl < expressions.jsonl""",
)
@click.argument("expression", metavar="EXPR", required=False)
@click.option(
    "--context", metavar="JSON|@FILE", help="Contexts by name, a JSON object; - for standard input."
)
@click.option(
    "--status",
    type=click.Choice(tuple(_STATUS)),
    help="What success(), failure(), always() and cancelled() answer, as in `if`.",
)
@click.option("--trace", "traced", is_flag=True, help="Show the value of every clause and reference.")
@click.option("--jsonl", is_flag=True, help="Answer one expression per line of standard input.")
@output_option
def eval_(
    *,
    expression: str | None,
    context: str | None,
    status: str | None,
    traced: bool,
    jsonl: bool,
    output: str,
) -> int:
    """Evaluate an expression, as workflows write it inside ${{ }}."""
    if jsonl:
        if expression is not None or context is not None or status is not None or traced:
            raise click.UsageError("--jsonl reads expressions and contexts from standard input, nothing else")
        return _answer_lines(sys.stdin.buffer)
    if expression is None:
        raise click.UsageError("missing argument 'EXPR'")
    contexts = {} if context is None else json_value(context, "--context")
    if not isinstance(contexts, dict):
        raise InvalidInput(
            "--context is not a JSON object of contexts by name",
            hint="""write --context '{"inputs": {"n": 1}}'""",
        )
    known = None if status is None else _STATUS[status]
    try:
        value = evaluate(expression, contexts, known)
        answer = _value(value)
        found = trace(compile_condition(expression, tuple(contexts)), contexts, known) if traced else None
    except ExpressionError as error:
        return _fail(error, expression, contexts, output)
    if found is not None:
        answer["trace"] = found.to_json()
    told = [line(dump(answer))] if found is None else [line(text) for text in trace_lines(found)]
    show(View(answer, [to_text(value)], lambda: [Lines(tuple(told))]), output)
    return failures.COMPLETED


def evaluate(expression: str, contexts: Mapping[str, Any], status: Status | None = None) -> Any:
    """Return the value of an expression, with or without ``${{ }}`` around it.

    Raises:
        ExpressionError: it cannot be read or evaluated.
    """
    return compile_condition(expression, tuple(contexts)).evaluate(contexts, status=status)


def _value(value: Any) -> dict[str, Any]:
    return {"kind": kind_of(value), "value": value}


def _failed(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message}}


def _fail(error: ExpressionError, expression: str, contexts: Mapping[str, Any], output: str) -> int:
    answer = _failed(error.kind, error.message)
    if output != "table" or not sys.stdout.isatty():
        show(View(answer, [], lambda: [Lines((line(dump(answer)),))]), output)
    hint = error.hint
    if error.unknown_context and not contexts:
        hint = f"""no contexts are given; --context '{{"{error.unknown_context}": …}}' gives it"""
    failures.say_error(error.message, hint)
    if error.position is not None and "\n" not in expression and expression.isprintable():
        before = expression.find("${{") + len("${{") if expression.lstrip().startswith("${{") else 0
        failures.say(f"  {expression}\n  {' ' * (before + error.position)}^")
    return error.exit_code


def _answer_lines(lines: BinaryIO) -> int:
    escaped = not unicode_on(sys.stdout)
    for text in lines:
        sys.stdout.write(_answer(text, escaped=escaped) + "\n")
        # whoever writes the next line may wait for this answer
        sys.stdout.flush()
    return failures.COMPLETED


def _answer(text: bytes, *, escaped: bool) -> str:
    """Return the answer to one line, as JSON."""
    try:
        asked = json.loads(text)
        if not isinstance(asked, dict) or not isinstance(asked.get("expr"), str):
            answer = _failed("input", 'a line is a JSON object with a text "expr"')
        elif not isinstance(contexts := asked.get("contexts", {}) or {}, dict):
            answer = _failed("input", '"contexts" is a JSON object: contexts by name')
        else:
            answer = _value(evaluate(asked["expr"], contexts))
        return json.dumps(answer, ensure_ascii=escaped)
    except ExpressionError as error:
        return json.dumps(_failed(error.kind, error.message), ensure_ascii=escaped)
    except RecursionError:
        return json.dumps(_failed("input", "the line is nested too deeply"))
    except ValueError as error:
        return json.dumps(_failed("input", f"the line is not JSON: {error}"), ensure_ascii=escaped)
