"""The keys of a shell step: ``run``, ``env``, ``dir`` and ``shell``."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.fields import VARIABLE_PATTERN, VARIABLE_RULE
from tributary_daemon.spec.kinds import refuse_type, scalar_text
from tributary_daemon.spec.nodes import Mapping, Node, Scalar
from tributary_daemon.spec.problems import MOST_SHOWN
from tributary_daemon.spec.references import lost_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.spec.drafts import Draft
    from tributary_daemon.spec.problems import Problems

SHELL_NAME: Final = "trib.shell.v1"
SHELL_VARIABLES: Final = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "IFS", "PWD", "OLDPWD", "ENV", "BASH_ENV"}
    | {"UID", "EUID", "PPID", "GROUPS", "RANDOM", "SECONDS", "LINENO"}
)
"""What a shell needs itself, or does not let anybody set."""

_VARIABLE = re.compile(VARIABLE_PATTERN)
_NO_LETTER = re.compile(r"[^A-Za-z0-9]+")
_OUR_VARIABLES: Final = "TRIB_"


def read_shell(draft: Draft, node: Mapping, problems: Problems) -> None:
    """Read a step whose action is ``run``."""
    draft.name, draft.action = SHELL_NAME, "run"
    script = node.get("run")
    draft.with_ = {"run": "", "env": read_environment(node.get("env"), problems)}
    if script is not None:
        draft.with_["run"] = _read_script(script, problems)
    for name in ("dir", "shell"):
        if name in draft.values:
            draft.with_[name] = draft.values[name]
    if "with" in node.pairs:
        key, value = node.pairs["with"]
        names = list(value.pairs) if isinstance(value, Mapping) else ["name"]
        rewrite = ", ".join(f"{_variable(name)}: …" for name in names[:4])
        hint = f'write env: {{{rewrite}}} and use "${_variable(names[0] if names else "name")}" in the script'
        problems.error(codes.KEY_OUT_OF_PLACE, "`with` belongs to task, not to run", key, hint=hint)


def _read_script(node: Node, problems: Problems) -> str:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        hint = 'quote it: run: "true"' if isinstance(node, Scalar) and node.value is not None else None
        refuse_type(node, "run", "a shell script", problems, hint=hint)
        return ""
    script: str = node.value
    if not script.strip():
        problems.error(codes.BAD_VALUE, "`run` is empty", node, hint="run: echo hello")
    expressions = dict.fromkeys(islice(_expressions(script), MOST_SHOWN))
    for written in expressions:
        expression = written[3:-2].strip()
        name = _variable(expression.rpartition(".")[2] or "value")
        problems.error(
            codes.EXPRESSION_IN_RUN,
            "`${{ }}` in `run` would splice text into the script",
            problems.locate(node, written),
            hint=f'write env: {{{name}: "${{{{ {expression} }}}}"}} and use "${name}" in the script',
        )
    if expressions:
        return script
    if "${{" in script and not lost_text(node, problems):
        at = problems.locate(node, "${{")
        problems.error(codes.EXPRESSION_IN_RUN, "`${{` in `run` is not closed, and not allowed", at)
    elif script.count('"') % 2 or script.count("'") % 2:
        lost_text(node, problems)
    return script


def refuse_spliced(payload: Node, problems: Problems) -> None:
    """Refuse an expression in the script or the shell of a step that names the handler itself as its task."""
    parts = [payload.get(key) for key in ("run", "shell")] if isinstance(payload, Mapping) else [payload]
    for part in parts:
        if isinstance(part, Scalar) and "${{" in str(part.value):
            problems.error(
                codes.EXPRESSION_IN_RUN,
                f"`${{{{ }}}}` would splice text into the script of {SHELL_NAME}",
                part,
                hint="write the script as `run` of the step, and what differs into its `env`",
            )


def _expressions(script: str) -> Iterator[str]:
    """Yield every ``${{ }}`` with its braces."""
    start = script.find("${{")
    while start >= 0 and (end := script.find("}}", start)) >= 0:
        yield script[start : end + 2]
        start = script.find("${{", end)


def _variable(word: str) -> str:
    name = _NO_LETTER.sub("_", word).strip("_").upper()
    if not _VARIABLE.fullmatch(name):
        return "VALUE"
    return f"MY_{name}" if name in SHELL_VARIABLES else name


def read_environment(node: Node | None, problems: Problems) -> dict[str, str]:
    """Return the variables of ``env``; what is wrong is reported and left out."""
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        refuse_type(node, "env", "a mapping of texts", problems, hint="env: {DAY: …}")
        return {}
    environment: dict[str, Any] = {}
    for name, (key, value) in node.pairs.items():
        if not _VARIABLE.fullmatch(name):
            problems.error(
                codes.BAD_NAME, f"{name!r} is not a name for an environment variable", key, hint=VARIABLE_RULE
            )
        elif name.startswith(_OUR_VARIABLES):
            hint = "Tributary sets these itself; use another name"
            problems.error(codes.BAD_NAME, f"the variable {name!r} is reserved", key, hint=hint)
        text = scalar_text(value)
        if text is None:
            hint = (
                'quote it, or "" for an empty one' if isinstance(value, Scalar) else "a variable is one text"
            )
            refuse_type(value, f"env.{name}", "text", problems, hint=hint)
        else:
            environment[name] = text
    return environment
