"""GitHub Actions -> ours. A job becomes a step: its `run` steps share a checkout, so they stay one script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.tools.convert.draft import (
    Draft,
    Note,
    StepDraft,
    duration,
    finish,
    leave,
    step_id,
    variable,
    workflow_name,
)
from tributary_daemon.tools.convert.source import Map, Seq, load, text

if TYPE_CHECKING:
    from tributary_daemon.tools.convert.draft import Conversion

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_OUTPUT = re.compile(r"\bneeds\.([\w-]+)\.outputs\.([\w-]+)")
_RESULT = re.compile(r"\bneeds\.([\w-]+)\.result\b")
_OWN_OUTPUT = re.compile(r"\bsteps\.[\w-]+\.outputs\.([\w-]+)")
_SECRET = re.compile(r"\bsecrets\.([A-Za-z_]\w*)")
_FOREIGN = re.compile(r"\b(?:github|runner|vars|strategy|job|jobs)\.[\w.-]+")
_WORD = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][\w.-]*")
# what would reach into the scripts that follow: each had a shell of its own
_LEAVES = re.compile(
    r"(?:^|[;&|({]|\b(?:then|else|do))[ \t]*(?:cd|pushd|exit|export|exec|set|trap)\b", re.MULTILINE
)
_STATES: Final = {
    "success": "completed",
    "failure": "discarded",
    "cancelled": "cancelled",
    "skipped": "skipped",
}
_TYPES: Final = {"string": "string", "boolean": "boolean", "number": "number", "choice": "choice"}


def convert(source: str, name: str) -> Conversion:
    """Convert a workflow of GitHub Actions.

    Args:
        source: the YAML text.
        name: stands in for a missing ``name``.

    Raises:
        InvalidInput: it is not YAML, or has no jobs.
    """
    return _Converter(load(source)[0], name).convert()


class _Converter:
    def __init__(self, root: Map, name: str) -> None:
        self._root = root
        self._draft = Draft(workflow_name(text(root.get("name") or name)))
        self._secrets: dict[str, None] = {}
        self._ids: dict[str, str] = {}
        # job -> name of an output -> the name under which its script writes it
        self._outputs: dict[str, dict[str, str]] = {}

    def convert(self) -> Conversion:
        root, draft = self._root, self._draft
        jobs = root.mapping("jobs")
        for job in jobs:
            self._ids[job] = step_id(job, self._ids.values())
            self._outputs[job] = {
                output: found[1] if (found := _OWN_OUTPUT.search(text(value))) else output
                for output, value in jobs.mapping(job).mapping("outputs").items()
            }
        self._events(root)
        if "env" in root:
            draft.keys["env"] = self._environment(root.mapping("env"), draft.notes, root.lines["env"])
        self._concurrency(root, draft.keys, draft.notes)
        for key in ("permissions", "defaults", "run-name"):
            leave(draft.notes, root, key)
        for job, step in self._ids.items():
            draft.steps[step] = self._job(jobs.mapping(job), jobs.lines[job])
        if self._secrets:
            draft.keys["secrets"] = list(self._secrets)
        if "schedule" in draft.keys:
            # a scheduled run has no inputs but defaults
            for spec in draft.keys.get("inputs", {}).values():
                if "default" not in spec:
                    spec["required"] = False
        return finish([draft], "GitHub Actions")

    # the head

    def _events(self, root: Map) -> None:
        events = root.get("on")
        if isinstance(events, (str, Seq)):
            for event in [events] if isinstance(events, str) else events:
                self._no_trigger(text(event), root.lines["on"])
            return
        for event, value in root.mapping("on").items():
            line = root.mapping("on").lines[event]
            if event == "schedule":
                self._draft.keys["schedule"] = [
                    {
                        "cron": text(each.get("cron")),
                        **({"timezone": each["timezone"]} if "timezone" in each else {}),
                    }
                    for each in (value if isinstance(value, Seq) else ())
                    if isinstance(each, Map)
                ]
            elif event in ("workflow_dispatch", "workflow_call"):
                self._inputs(value.mapping("inputs") if isinstance(value, Map) else Map())
            else:
                self._no_trigger(event, line)

    def _no_trigger(self, event: str, line: int) -> None:
        if event not in ("workflow_dispatch", "workflow_call"):
            hint = "submit the workflow when it happens"
            self._draft.notes.append(Note(line, f"on: {event}", hint))

    def _inputs(self, inputs: Map) -> None:
        made: dict[str, Any] = {}
        for name, value in inputs.items():
            declared = value if isinstance(value, Map) else Map()
            kind = _TYPES.get(text(declared.get("type") or "string"))
            if kind is None:
                leave(self._draft.notes, declared, "type", "it became a string")
            spec: dict[str, Any] = {"type": kind or "string"}
            if kind == "choice":
                spec["options"] = list(declared.sequence("options"))
            if "default" in declared:
                spec["default"] = declared["default"]
            elif not declared.get("required"):
                spec["required"] = False
            if "description" in declared:
                spec["description"] = text(declared["description"])
            made[step_id(name, made)] = spec
        if made:
            self._draft.keys.setdefault("inputs", {}).update(made)

    def _concurrency(self, owner: Map, keys: dict[str, Any], notes: list[Note]) -> None:
        if "concurrency" not in owner:
            return
        value = owner["concurrency"]
        group = text(value.get("group") if isinstance(value, Map) else value)
        cancels = isinstance(value, Map) and value.get("cancel-in-progress") is True
        keys["concurrency"] = {
            "group": self._template(group, notes, owner.lines["concurrency"]),
            "limit": 1,
            "on_limit": "cancel_running" if cancels else "cancel_pending",
        }

    # jobs

    def _job(self, body: Map, line: int) -> StepDraft:
        step = StepDraft()
        notes, keys = step.notes, step.keys
        if "name" in body:
            keys["description"] = text(body["name"])
        if needs := [self._ids[need] for need in map(text, body.sequence("needs")) if need in self._ids]:
            keys["needs"] = needs[0] if len(needs) == 1 else needs
        if "if" in body:
            keys["if"] = self._condition(text(body["if"]), notes, body.lines["if"])
        self._strategy(body, keys, notes)
        if "uses" in body:
            keys["workflow"] = text(body["uses"])
            notes.append(
                Note(body.lines["uses"], f"uses: {body['uses']}", "convert that file too, and name it here")
            )
            if "with" in body:
                keys["with"] = self._values(body["with"], notes, body.lines["with"])
        else:
            self._script(body, step, line)
        if "timeout-minutes" in body:
            minutes = body["timeout-minutes"]
            if isinstance(minutes, (int, float)) and not isinstance(minutes, bool):
                keys["timeout"] = duration(minutes * 60)
            else:
                leave(notes, body, "timeout-minutes")
        if body.get("continue-on-error") is True:
            keys["continue_on_error"] = True
        elif body.get("continue-on-error"):
            leave(notes, body, "continue-on-error")
        self._concurrency(body, keys, notes)
        leave(notes, body, "runs-on", "a queue says which workers run it")
        for key in ("container", "services", "environment", "permissions", "defaults", "secrets"):
            leave(notes, body, key)
        return step

    def _strategy(self, body: Map, keys: dict[str, Any], notes: list[Note]) -> None:
        strategy = body.mapping("strategy")
        matrix = strategy.get("matrix")
        if isinstance(matrix, Map):
            keys["matrix"] = self._values(matrix, notes, strategy.lines["matrix"])
        elif matrix is not None:
            leave(notes, strategy, "matrix", "write the axes out")
        if "max-parallel" in strategy:
            keys["max_parallel"] = strategy["max-parallel"]
        if strategy.get("fail-fast") is False:
            keys["fail_fast"] = False

    def _script(self, body: Map, step: StepDraft, line: int) -> None:
        lines: list[str] = []
        environment: dict[str, Any] = {}
        if "env" in body:
            environment.update(self._environment(body.mapping("env"), step.notes, body.lines["env"]))
        scripts = sum(isinstance(each, Map) and "run" in each for each in body.sequence("steps"))
        for number, each in enumerate(body.sequence("steps")):
            at = body.sequence("steps").lines[number]
            if not isinstance(each, Map):
                step.notes.append(Note(at, text(each)))
            elif "run" in each:
                lines.extend(self._run(each, environment, step.notes, alone=scripts == 1))
            else:
                leave(step.notes, each, "uses", "do it in the script, or with a handler")
        if not lines:
            step.notes.append(Note(line, "a job without any `run`", "write what it shall do"))
            lines = ["true"]
        step.keys["run"] = "\n".join(lines) + ("\n" if len(lines) > 1 else "")
        step.keys["shell"] = "bash"
        if environment:
            step.keys["env"] = environment

    def _run(self, each: Map, environment: dict[str, Any], notes: list[Note], *, alone: bool) -> list[str]:
        for key in ("if", "shell", "timeout-minutes"):
            leave(notes, each, key, "make a job of its own of it" if key == "if" else None)
        script = text(each["run"]).rstrip("\n")
        script = re.sub(r"\bGITHUB_OUTPUT\b", "TRIB_OUTPUT", script)

        def spliced(found: re.Match[str]) -> str:
            inner = found[1].strip()
            name = variable(inner.rpartition(".")[2] if re.fullmatch(r"[\w.-]+", inner) else "value")
            value = f"${{{{ {self._expression(inner, notes, each.lines['run'])} }}}}"
            while environment.get(name, value) != value:
                name += "_2"
            environment[name] = value
            return f"${{{name}}}"

        script = _EXPRESSION.sub(spliced, script)
        own = self._environment(each.mapping("env"), notes, each.lines.get("env", 0))
        for name, value in own.items():
            if alone:
                environment[name] = value
            elif environment.setdefault(name, value) != value:
                hint = "it has another value in this script; make a job of its own of it"
                notes.append(Note(each.lines["env"], f"env: {name}", hint))
        lines = [f"# {text(each['name'])}"] if "name" in each else []
        body = script.split("\n")
        if "working-directory" in each:
            body = [f'(cd "{text(each["working-directory"])}"', *body, ")"]
        if each.get("continue-on-error") is True:
            body = ["(", *body, ") || true"]
        elif not alone and "working-directory" not in each and _LEAVES.search(script):
            body = ["(", *body, ")"]
        return [*lines, *body]

    # expressions

    def _environment(self, env: Map, notes: list[Note], line: int) -> dict[str, Any]:
        return {name: self._template(text(value), notes, line) for name, value in env.items()}

    def _values(self, value: Any, notes: list[Note], line: int) -> Any:
        if isinstance(value, Map):
            return {key: self._values(each, notes, value.lines[key]) for key, each in value.items()}
        if isinstance(value, Seq):
            return [self._values(each, notes, at) for each, at in zip(value, value.lines, strict=True)]
        return self._template(value, notes, line) if isinstance(value, str) else value

    def _template(self, value: str, notes: list[Note], line: int) -> str:
        return _EXPRESSION.sub(
            lambda found: f"${{{{ {self._expression(found[1].strip(), notes, line)} }}}}", value
        )

    def _condition(self, condition: str, notes: list[Note], line: int) -> str:
        found = _EXPRESSION.fullmatch(condition.strip())
        return self._expression(found[1].strip() if found else condition.strip(), notes, line)

    def _expression(self, source: str, notes: list[Note], line: int) -> str:
        made = source.replace("github.event.inputs.", "inputs.")
        made = _OUTPUT.sub(self._output, made)
        if _RESULT.search(made):
            made = _RESULT.sub(lambda found: f"steps.{self._ids.get(found[1], found[1])}.state", made)
            made = _WORD.sub(
                lambda found: (
                    f"'{_STATES[found[0][1:-1]]}'"
                    if found[0][1:-1] in _STATES and found[0].startswith("'")
                    else found[0]
                ),
                made,
            )
        self._secrets.update(dict.fromkeys(_SECRET.findall(made)))
        for foreign in dict.fromkeys(_FOREIGN.findall(made)):
            notes.append(Note(line, foreign, "no such context; give it as an input"))
            made = made.replace(foreign, "null")
        if _OWN_OUTPUT.search(made):
            notes.append(Note(line, source, "within one script a shell variable carries it"))
            made = _OWN_OUTPUT.sub("null", made)
        return made

    def _output(self, found: re.Match[str]) -> str:
        name = self._outputs.get(found[1], {}).get(found[2], found[2])
        return f"steps.{self._ids.get(found[1], found[1])}.result.{name}"
