"""Templates of Argo that do the work themselves: containers and scripts become shell steps."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.tools.convert.argo_words import REFERENCE, fill, seconds
from tributary_daemon.tools.convert.draft import Note, duration, leave, variable
from tributary_daemon.tools.convert.source import Map, text

if TYPE_CHECKING:
    import re

    from tributary_daemon.tools.convert.draft import StepDraft

_LEAF_LEFT: Final = [
    "volumes",
    "nodeSelector",
    "tolerations",
    "sidecars",
    "initContainers",
    "metadata",
    "daemon",
    "synchronization",
    "memoize",
    "metrics",
]


class _Leaf(NamedTuple):
    """What a template is filled with."""

    step: StepDraft
    values: dict[str, Any]
    ids: dict[str, str]


def leaf(step: StepDraft, template: Map, arguments: dict[str, Any], ids: dict[str, str]) -> None:
    """Make a step of a template that runs no others.

    Args:
        step: receives keys and notes.
        template: of Argo.
        arguments: its parameters, already in our words.
        ids: task -> id of its step.
    """
    keys, notes = step.keys, step.notes
    values = dict(arguments)
    for each in template.mapping("inputs").sequence("parameters"):
        if isinstance(each, Map) and each.get("value", each.get("default")) is not None:
            values.setdefault(text(each.get("name")), text(each.get("value", each.get("default"))))
    if "suspend" in template:
        _suspend(keys, template.get("suspend"))
    elif "container" in template or "script" in template:
        _run(_Leaf(step, values, ids), template)
    else:
        kind = next((key for key in template if key not in ("name", "inputs", "outputs", "metadata")), "name")
        leave(notes, template, kind, "write what it shall do")
        keys["run"] = "false"
    if (limit := seconds(template.get("activeDeadlineSeconds"))) is not None:
        keys["timeout"] = duration(limit)
    _retry(keys, template, notes)
    for key in _LEAF_LEFT:
        leave(notes, template, key)
    for each in template.mapping("outputs").sequence("parameters"):
        if isinstance(each, Map):
            line = template.mapping("outputs").lines["parameters"]
            name = text(each.get("name"))
            notes.append(Note(line, f"outputs.parameters {name}", f'write `{name}=value` to "$TRIB_OUTPUT"'))
    leave(notes, template.mapping("outputs"), "artifacts", "store it, and return its path")


def _suspend(keys: dict[str, Any], suspend: Any) -> None:
    later = seconds(suspend.get("duration")) if isinstance(suspend, Map) else None
    if later is None:
        keys["approve"] = {"prompt": "Go on?"}
    else:
        keys["wait"] = {"for": duration(later)}


def _run(leaf: _Leaf, template: Map) -> None:
    step = leaf.step
    body = template.mapping("script" if "script" in template else "container")
    line = template.lines["script" if "script" in template else "container"]
    leave(step.notes, body, "image", "the script runs where the worker runs")
    for key in ("volumeMounts", "resources", "envFrom"):
        leave(step.notes, body, key)
    environment: dict[str, Any] = {}
    for each in body.sequence("env"):
        if isinstance(each, Map) and "value" in each:
            environment[variable(text(each.get("name")))] = _filled(text(each["value"]), leaf, line)
        elif isinstance(each, Map):
            step.notes.append(Note(body.lines["env"], f"env {text(each.get('name'))}", "name it in secrets"))
    words = [text(each) for key in ("command", "args") for each in body.sequence(key)]
    if "script" in template:
        script = text(body.get("source"))
        shell = words[0].rpartition("/")[2] if words else "sh"
        script = _spliced(script, environment, leaf, line)
        if shell not in ("sh", "bash", "ash"):
            script = f"{shlex.join(words)} /dev/stdin <<'SCRIPT'\n{script.rstrip()}\nSCRIPT\n"
            if "${" in script:
                step.notes.append(
                    Note(line, f"a script of {shell}", "it reads what was spliced in from its environment")
                )
        elif shell == "bash":
            step.keys["shell"] = "bash"
    elif len(words) > 2 and words[0].rpartition("/")[2] in ("sh", "bash") and words[1] == "-c":  # noqa: PLR2004 - sh -c TEXT
        script = _spliced(words[2], environment, leaf, line)
    else:
        shown = [_spliced(word, environment, leaf, line) for word in words]
        script = " ".join(f'"{word}"' if "${" in word else shlex.quote(word) for word in shown)
    if not script.strip():
        step.notes.append(Note(line, "the image's own command", "write what it does"))
        script = "false"
    step.keys["run"] = script
    if environment:
        step.keys["env"] = environment


def _spliced(script: str, environment: dict[str, Any], leaf: _Leaf, line: int) -> str:
    """Return a script that reads from its environment what Argo would have spliced into it."""

    def put(found: re.Match[str]) -> str:
        name = variable(found[1].rpartition(".")[2])
        environment[name] = _filled(found[0], leaf, line)
        return f"${{{name}}}"

    return REFERENCE.sub(put, script)


def _filled(value: str, leaf: _Leaf, line: int) -> Any:
    def put(found: re.Match[str]) -> str:
        name = found[1].removeprefix("inputs.parameters.")
        if name != found[1] and name in leaf.values:
            return text(leaf.values[name])
        return str(fill(found[0], leaf.step.notes, line, leaf.ids))

    return REFERENCE.sub(put, value)


def _retry(keys: dict[str, Any], template: Map, notes: list[Note]) -> None:
    if "retryStrategy" not in template:
        return
    strategy = template.mapping("retryStrategy")
    limit = seconds(strategy.get("limit"))
    keys["max_attempts"] = int(limit) + 1 if limit is not None else 10_000
    backoff, retry = strategy.mapping("backoff"), {}
    if (delay := seconds(backoff.get("duration"))) is not None:
        factor = seconds(backoff.get("factor"))
        retry = {"backoff": "exponential" if factor and factor > 1 else "fixed", "delay": duration(delay)}
        if factor and factor > 1:
            retry["multiplier"] = factor if factor != int(factor) else int(factor)
    for theirs, ours in (("cap", "max_delay"), ("maxDuration", "budget")):
        if (bound := seconds(backoff.get(theirs))) is not None:
            retry[ours] = duration(bound)
    if retry:
        keys["retry"] = retry
    leave(notes, strategy, "expression", "retry.on and retry.not_on name errors")
    leave(notes, strategy, "affinity")
