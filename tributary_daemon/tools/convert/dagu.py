"""Dagu -> ours."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.tools.convert.dagu_words import PAIR, declaration, first_of, pairs_of, params, retry
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

_REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}|\$([A-Za-z_]\w*)")
_HOOKS: Final = {
    "success": "on_success",
    "failure": "on_failure",
    "cancel": "on_cancel",
    "abort": "on_cancel",
    "exit": "finally",
}
_LEFT: Final = [
    "logDir",
    "log_dir",
    "mailOn",
    "mail_on",
    "errorMail",
    "error_mail",
    "infoMail",
    "info_mail",
    "smtp",
    "dotenv",
    "container",
    "restartWaitSec",
    "delaySec",
    "delay_sec",
    "skipIfSuccessful",
    "skip_if_successful",
    "registryAuths",
    "otel",
    "maxActiveRuns",
    "max_active_runs",
    "group",
    "tags",
    "queue",
    "workerSelector",
    "worker_selector",
]
_STEP_LEFT: Final = [
    "executor",
    "executors",
    "repeatPolicy",
    "repeat_policy",
    "mailOnError",
    "mail_on_error",
    "signalOnStop",
    "signal_on_stop",
    "stdout",
    "stderr",
    "container",
    "workerSelector",
    "worker_selector",
    "approval",
    "type",
    "with",
]


def convert(source: str, name: str) -> Conversion:
    """Convert a DAG of Dagu; further documents of the file are DAGs that it runs.

    Args:
        source: the YAML text.
        name: stands in for a missing ``name``.

    Raises:
        InvalidInput: it is not YAML.
    """
    documents = load(source)
    names = {text(each["name"]): workflow_name(text(each["name"])) for each in documents if "name" in each}
    return finish([_Converter(each, name, names).draft() for each in documents], "Dagu")


class _Converter:
    def __init__(self, root: Map, name: str, names: dict[str, str]) -> None:
        self._root = root
        self._names = names
        self._draft = Draft(workflow_name(text(root.get("name") or name)))
        self._ids: dict[str, str] = {}
        # variable -> the expression that gives its value
        self._values: dict[str, str] = {}

    def draft(self) -> Draft:
        root, draft = self._root, self._draft
        if "description" in root:
            draft.keys["description"] = text(root["description"])
        self._params()
        self._environment()
        self._schedule()
        seconds, _ = first_of(root, "timeoutSec", "timeout_sec")
        if isinstance(seconds, int) and seconds > 0:
            draft.keys["timeout"] = duration(seconds)
        most, _ = first_of(root, "maxActiveSteps", "max_active_steps")
        if isinstance(most, int) and most > 0:
            draft.keys["max_parallel"] = most
        days, _ = first_of(root, "histRetentionDays", "hist_retention_days")
        if isinstance(days, int) and days > 0:
            draft.keys["keep"] = {"days": days}
        if conditions := self._conditions(root, draft.notes):
            draft.keys["preconditions"] = [{"if": each} for each in conditions]
        for key in _LEFT:
            leave(draft.notes, root, key)
        self._steps()
        hooks, _ = first_of(root, "handlerOn", "handler_on")
        for event, body in (hooks if isinstance(hooks, Map) else Map()).items():
            if event in _HOOKS and isinstance(body, Map):
                self._hook(event, body, hooks.lines[event])
            else:
                leave(draft.notes, hooks, event)
        return draft

    # the head

    def _params(self) -> None:
        given = self._root.get("params")
        pairs = params(given)
        if isinstance(given, str) and given.strip() and not pairs:
            leave(self._draft.notes, self._root, "params", "name them: params: {day: today}")
        inputs: dict[str, Any] = {}
        for key, value in pairs:
            name = step_id(key, inputs)
            inputs[name] = declaration(value)
            self._values[key] = self._values[f"params.{key}"] = f"inputs.{name}"
        if inputs:
            self._draft.keys["inputs"] = inputs

    def _environment(self) -> None:
        made: dict[str, Any] = {}
        for name, value in pairs_of(self._root.get("env")):
            made[name] = self._template(text(value))
        if made:
            self._draft.keys["env"] = made

    def _schedule(self) -> None:
        given = self._root.get("schedule")
        if given is None:
            return
        lines = [given] if isinstance(given, str) else given if isinstance(given, Seq) else []
        crons = [
            text(each.get("cron") or each.get("expression")) if isinstance(each, Map) else text(each)
            for each in lines
        ]
        if not crons or not all(crons):
            leave(self._draft.notes, self._root, "schedule", "write cron lines")
        elif len(crons) == 1:
            self._draft.keys["schedule"] = crons[0]
        else:
            self._draft.keys["schedule"] = [{"cron": each} for each in crons]

    # steps

    def _steps(self) -> None:
        given = self._root.get("steps")
        listed: list[tuple[str, Any, int]] = []
        if isinstance(given, Map):
            listed = [(name, body, given.lines[name]) for name, body in given.items()]
        elif isinstance(given, Seq):
            listed = [
                (
                    text(body.get("id") or body.get("name") or f"step_{number}")
                    if isinstance(body, Map)
                    else f"step_{number}",
                    body,
                    line,
                )
                for number, (body, line) in enumerate(zip(given, given.lines, strict=True), 1)
            ]
        for name, _, _ in listed:
            self._ids[name] = step_id(name, self._ids.values())
        bodies = [(name, self._mapping(body, line), line) for name, body, line in listed]
        # a list without any `depends` runs from top to bottom
        chain = self._root.get("type") != "graph" and not any("depends" in body for _, body, _ in bodies)
        before: str | None = None
        for name, body, line in bodies:
            step = self._step(body, line)
            if chain and before is not None:
                step.keys = {"needs": before, **step.keys}
            before = self._ids[name]
            self._draft.steps[before] = step
            if isinstance(body.get("output"), str):
                self._values[body["output"].lstrip("$").strip("{}")] = (
                    f"steps.{before}.result.{body['output'].lstrip('$').strip('{}')}"
                )
        if isinstance(given, Seq):
            for step in self._draft.steps.values():
                step.keys.pop("name", None)

    def _mapping(self, body: Any, line: int) -> Map:
        if isinstance(body, Map):
            return body
        made = Map()
        if isinstance(body, str):
            made["command"] = body
            made.lines["command"] = line
        else:
            self._draft.notes.append(
                Note(line, "steps that run side by side in a nested list", "write them one by one")
            )
        return made

    def _step(self, body: Map, line: int) -> StepDraft:
        step = StepDraft()
        keys, notes = step.keys, step.notes
        if "description" in body:
            keys["description"] = text(body["description"])
        needs = [
            self._ids.get(text(each), step_id(text(each))) for each in body.sequence("depends") if text(each)
        ]
        if needs:
            keys["needs"] = needs[0] if len(needs) == 1 else needs
        if conditions := self._conditions(body, notes):
            keys["if"] = " && ".join(
                conditions if len(conditions) == 1 else [f"({each})" for each in conditions]
            )
        self._parallel(body, keys, notes)
        self._action(body, step, line)
        self._retry(body, keys, notes)
        seconds, _ = first_of(body, "timeoutSec", "timeout_sec")
        if isinstance(seconds, int) and seconds > 0:
            keys["timeout"] = duration(seconds)
        self._tolerated(body, keys, notes)
        for key in _STEP_LEFT:
            leave(notes, body, key)
        return step

    def _hook(self, event: str, body: Map, line: int) -> None:
        known = {*self._ids.values(), *(one for steps in self._draft.hooks.values() for one in steps)}
        made = self._draft.hooks.setdefault(_HOOKS[event], {})
        made[step_id(f"handle_{event}", known)] = self._step(body, line)

    def _action(self, body: Map, step: StepDraft, line: int) -> None:
        child, at = first_of(body, "call")
        if child is None and "params" in body:
            child, at = first_of(body, "run")
        if child is not None:
            step.keys["workflow"] = self._names.get(text(child), workflow_name(text(child)))
            if text(child) not in self._names:
                step.notes.append(
                    Note(at, f"the DAG {text(child)} is another file", "convert it too, and name it here")
                )
            given = body.get("params")
            pairs = PAIR.findall(given) if isinstance(given, str) else pairs_of(given)
            values = {key: self._template(text(value).strip("\"'")) for key, value in pairs}
            if values:
                step.keys["with"] = values
            return
        script = self._script(body, step.notes, line)
        environment = {name: self._template(text(value)) for name, value in pairs_of(body.get("env"))}
        script, used = self._shell(script)
        if isinstance(body.get("output"), str):
            name = body["output"].lstrip("$").strip("{}")
            script = f'{name}="$(\n{script.rstrip()}\n)"\necho "{name}=${name}" >> "$TRIB_OUTPUT"\n'
        elif "output" in body:
            leave(step.notes, body, "output", 'write `name=value` to "$TRIB_OUTPUT"')
        step.keys["run"] = script
        if merged := {**used, **environment}:
            step.keys["env"] = merged
        directory, _ = first_of(body, "workingDir", "working_dir", "dir")
        if directory is not None:
            step.keys["dir"] = self._template(text(directory))
        shell = text(body.get("shell") or "")
        if shell.rpartition("/")[2] in ("bash", "sh"):
            step.keys["shell"] = shell.rpartition("/")[2]
        elif shell:
            leave(step.notes, body, "shell")

    def _script(self, body: Map, notes: list[Note], line: int) -> str:
        command, _ = first_of(body, "command", "run")
        script = body.get("script")
        words = shlex.join(map(text, command)) if isinstance(command, Seq) else text(command)
        if isinstance(command, Seq) and any(" " in text(each) for each in command) and not body.get("args"):
            # newer versions take a list as commands, one after the other
            words = "\n".join(map(text, command))
        if script is None:
            if not words:
                notes.append(Note(line, "a step without a command", "write what it shall do"))
                return "true"
            return words
        if not words or words in ("bash", "sh"):
            return text(script)
        return f"{words} /dev/stdin <<'SCRIPT'\n{text(script).rstrip()}\nSCRIPT\n"

    def _shell(self, script: str) -> tuple[str, dict[str, str]]:
        """Return a script and the variables that bring in what it refers to."""
        used: dict[str, str] = {}

        def put(found: re.Match[str]) -> str:
            word = found[1] or found[2]
            value = self._values.get(word)
            if value is None:
                return found[0]
            name = variable(word.rpartition(".")[2]) if "." in word else word
            used[name] = f"${{{{ {value} }}}}"
            return f"${{{name}}}"

        return _REFERENCE.sub(put, script), used

    def _template(self, value: str) -> str:
        def put(found: re.Match[str]) -> str:
            known = self._values.get(found[1] or found[2])
            if (found[1] or found[2]) == "ITEM" or (found[1] or "").startswith("ITEM."):
                known = (found[1] or found[2]).replace("ITEM", "item", 1)
            return f"${{{{ {known} }}}}" if known is not None else found[0]

        return _REFERENCE.sub(put, value)

    def _parallel(self, body: Map, keys: dict[str, Any], notes: list[Note]) -> None:
        given = body.get("parallel")
        if given is None:
            return
        items = given.get("items") if isinstance(given, Map) else given
        if isinstance(items, Seq):
            keys["for_each"] = [dict(each) if isinstance(each, Map) else each for each in items]
        elif isinstance(items, str) and (made := self._template(items)).startswith("${{"):
            keys["for_each"] = made
        else:
            leave(notes, body, "parallel", "write for_each")
            return
        if isinstance(given, Map):
            most, _ = first_of(given, "maxConcurrent", "max_concurrent")
            if isinstance(most, int):
                keys["max_parallel"] = most

    def _retry(self, body: Map, keys: dict[str, Any], notes: list[Note]) -> None:
        policy, line = first_of(body, "retryPolicy", "retry_policy")
        if not isinstance(policy, Map):
            return
        limit = policy.get("limit")
        if not isinstance(limit, int):
            notes.append(Note(line, "retryPolicy with a limit that is no number", "write max_attempts"))
            return
        keys["max_attempts"] = limit + 1
        keys["retry"] = retry(policy)

    def _tolerated(self, body: Map, keys: dict[str, Any], notes: list[Note]) -> None:
        given, line = first_of(body, "continueOn", "continue_on")
        if given is None:
            return
        if given == "failed" or (
            isinstance(given, Map) and (given.get("failure") is True or given.get("failed") is True)
        ):
            keys["continue_on_error"] = True
        for key in given if isinstance(given, Map) else ():
            if key == "skipped":
                # a step that its own condition skipped never holds up the others here
                continue
            if key not in ("failure", "failed"):
                notes.append(
                    Note(given.lines[key], f"continueOn.{key}", "only a failure as a whole is tolerated")
                )
        if isinstance(given, str) and given not in ("failed", "skipped"):
            notes.append(Note(line, f"continueOn: {given}"))

    def _conditions(self, owner: Map, notes: list[Note]) -> list[str]:
        found: list[str] = []
        key = "preconditions" if "preconditions" in owner else "precondition"
        given = owner.sequence(key)
        for each, line in zip(given, given.lines, strict=True):
            condition = text(each.get("condition") if isinstance(each, Map) else each).strip()
            expected = text(each["expected"]) if isinstance(each, Map) and "expected" in each else None
            reference = _REFERENCE.fullmatch(condition)
            value = self._values.get(reference[1] or reference[2]) if reference else None
            if value is None or expected is None or ":" in expected or "`" in expected:
                notes.append(
                    Note(line, f"{key}: {condition}", "only a parameter or an output compared with a text is")
                )
                continue
            sign = "!=" if isinstance(each, Map) and each.get("negate") is True else "=="
            quoted = expected.replace("'", "''")
            found.append(f"{value} {sign} '{quoted}'")
        return found
