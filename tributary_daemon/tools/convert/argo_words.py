"""The small languages inside of Argo's files: `{{references}}`, `when`, `depends`, durations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.tools.convert.draft import Note
from tributary_daemon.tools.convert.source import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REFERENCE = re.compile(r"\{\{=?\s*(.*?)\s*\}\}", re.DOTALL)
_TOKEN = re.compile(r"\s*(&&|\|\||==|!=|>=|<=|=~|[<>()!]|'[^']*'|\"[^\"]*\"|[^\s&|=!<>()]+)")
_TASK = re.compile(r"([A-Za-z0-9_-]+)(?:\.([A-Za-z]+))?")
_STATES: Final = {
    "Succeeded": "steps.{0}.state == 'completed'",
    "Failed": "steps.{0}.state == 'discarded'",
    "Errored": "steps.{0}.state == 'discarded'",
    "Skipped": "steps.{0}.state == 'skipped'",
    "Omitted": "steps.{0}.state == 'skipped'",
    "Daemoned": "steps.{0}.state == 'running'",
}
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "ms": 0.001}


def expression(reference: str, ids: Mapping[str, str]) -> str | None:
    """Return what a reference such as ``inputs.parameters.day`` is called here; None when nothing is.

    Args:
        reference: without its braces.
        ids: task -> id of its step.
    """
    parts = reference.split(".")
    match parts:
        case ["item", *rest]:
            return ".".join(["item", *rest])
        case ["inputs" | "workflow", "parameters", name]:
            return f"inputs.{name}"
        case ["workflow", "name"]:
            return "run.name"
        case ["workflow", "uid"]:
            return "run.id"
        case ["workflow", "status"]:
            return "run.state"
        case ["tasks" | "steps", task, "outputs", "result"]:
            return f"steps.{ids.get(task, task)}.result.result"
        case ["tasks" | "steps", task, "outputs", "parameters", name]:
            return f"steps.{ids.get(task, task)}.result.{name}"
        case ["tasks" | "steps", task, "status"]:
            return f"steps.{ids.get(task, task)}.state"
    return None


def condition(when: str, refer: Callable[[str], str]) -> str | None:
    """Return a ``when`` as an expression; None when it is of a kind that has no counterpart.

    Args:
        when: e.g. ``{{steps.flip.outputs.result}} == heads``.
        refer: returns the expression of a reference.
    """
    holes: list[str] = []

    def hole(found: re.Match[str]) -> str:
        holes.append(refer(found[1]))
        return f" hole{len(holes) - 1} "

    # a reference in quotes is still the reference
    filled = REFERENCE.sub(hole, re.sub(r"""(['"])(\{\{[^{}]*\}\})\1""", r"\2", when))
    made: list[str] = []
    for piece in _TOKEN.findall(filled):
        if piece == "=~":
            return None
        number = re.fullmatch(r"hole(\d+)", piece)
        if number:
            made.append(holes[int(number[1])])
        elif piece in {"&&", "||", "==", "!=", ">=", "<=", "<", ">", "(", ")", "!"} or re.fullmatch(
            r"-?\d+(\.\d+)?|true|false", piece
        ):
            made.append(piece)
        else:
            word = piece[1:-1] if piece[0] in "'\"" and len(piece) > 1 else piece
            made.append(f"""'{word.replace("'", "''")}'""")
    return " ".join(made).replace("( ", "(").replace(" )", ")").replace("! ", "!") or None


def depends(source: str, ids: Mapping[str, str]) -> tuple[list[str], str | None]:
    """Return the needs of a ``depends``, and a condition where needs alone do not say it."""
    needs: dict[str, None] = {}
    made: list[str] = []
    plain = True
    for piece in re.findall(r"&&|\|\||[()!]|[A-Za-z0-9_.-]+", source):
        if piece in ("&&", "||", "(", ")", "!"):
            plain = plain and piece in ("&&", "(", ")")
            made.append(piece)
            continue
        found = _TASK.fullmatch(piece)
        task, state = (found[1], found[2]) if found else (piece, None)
        step = ids.get(task, task)
        needs[step] = None
        plain = plain and state is None
        good = f"(steps.{step}.state == 'completed' || steps.{step}.state == 'skipped')"
        term = _STATES[state].format(step) if state in _STATES else good
        made.append(f"({term})" if made[-1:] == ["!"] and state in _STATES else term)
    if plain:
        return list(needs), None
    shown = " ".join(made).replace("( ", "(").replace(" )", ")").replace("! ", "!")
    return list(needs), f"always() && ({shown})"


def seconds(value: Any) -> float | None:
    """Return the seconds of a duration of Argo (``10s``, ``2m``, or a number); None when it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    written = text(value)
    if re.fullmatch(r"\d+", written):
        return float(written)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def fill(value: Any, notes: list[Note], line: int, ids: Mapping[str, str]) -> Any:
    """Return a text with its references as expressions; any other value as it is.

    Args:
        value: e.g. ``day {{inputs.parameters.day}}``.
        notes: told of references that mean nothing here.
        line: of the source.
        ids: task -> id of its step.
    """
    if not isinstance(value, str):
        return value
    return REFERENCE.sub(lambda found: f"${{{{ {refer(found[1], notes, line, ids)} }}}}", value)


def refer(reference: str, notes: list[Note], line: int, ids: Mapping[str, str]) -> str:
    """Return the expression of a reference, ``null`` for one that means nothing here."""
    made = expression(reference, ids)
    if made is None:
        notes.append(Note(line, f"{{{{{reference}}}}}", "no such value here"))
        return "null"
    if made.endswith(".result.result"):
        step = made.split(".")[1]
        hint = f'let {step} write `result=value` to "$TRIB_OUTPUT"'
        notes.append(Note(line, f"{{{{{reference}}}}}", hint))
    return made
