"""Argo Workflows -> ours. A template that runs others becomes a workflow of the same file, a leaf a step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.tools.convert.argo_leaves import leaf
from tributary_daemon.tools.convert.argo_words import REFERENCE, condition, depends, fill, refer, seconds
from tributary_daemon.tools.convert.draft import (
    Draft,
    Note,
    StepDraft,
    duration,
    finish,
    leave,
    step_id,
    workflow_name,
)
from tributary_daemon.tools.convert.source import Map, Seq, load, text

if TYPE_CHECKING:
    from tributary_daemon.tools.convert.draft import Conversion

_KINDS: Final = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
_OVERLAPS: Final = {"Allow": "allow", "Forbid": "skip"}
_LEFT: Final = [
    "volumes",
    "volumeClaimTemplates",
    "serviceAccountName",
    "nodeSelector",
    "tolerations",
    "affinity",
    "imagePullSecrets",
    "podGC",
    "ttlStrategy",
    "podSpecPatch",
    "synchronization",
    "artifactRepositoryRef",
    "hooks",
    "metrics",
]


def convert(source: str, name: str) -> Conversion:
    """Convert a Workflow, WorkflowTemplate or CronWorkflow.

    Args:
        source: the YAML text; its first document of a known kind counts.
        name: stands in for a missing name.

    Raises:
        InvalidInput: it is not YAML, or none of those.
    """
    root = next((each for each in load(source) if each.get("kind") in _KINDS), None)
    if root is None:
        raise InvalidInput(
            "there is no Workflow in this file", hint=f"kinds that are read: {', '.join(_KINDS)}"
        )
    converter = _Converter(root, name)
    return finish(converter.drafts(), "Argo Workflows")


class _Converter:
    def __init__(self, root: Map, name: str) -> None:
        self._root = root
        outer = root.mapping("spec")
        self._spec = outer.mapping("workflowSpec") if root["kind"] == "CronWorkflow" else outer
        metadata = root.mapping("metadata")
        self._name = workflow_name(
            text(metadata.get("name") or text(metadata.get("generateName")).rstrip("-") or name)
        )
        self._templates = {
            text(each.get("name")): each for each in self._spec.sequence("templates") if isinstance(each, Map)
        }
        self._globals = [
            text(each["name"])
            for each in self._spec.mapping("arguments").sequence("parameters")
            if isinstance(each, Map) and "name" in each
        ]
        # templates that run others, by name -> the workflow made of them; in the order in which they are met
        self._children: dict[str, str] = {}

    def drafts(self) -> list[Draft]:
        draft = Draft(self._name)
        self._head(draft)
        entry = text(self._spec.get("entrypoint"))
        self._fill(draft, entry, self._spec.lines.get("entrypoint", 1), outermost=True)
        drafts, done = [draft], set()
        self._on_exit(draft)
        while waiting := [template for template in self._children if template not in done]:
            for template in waiting:
                done.add(template)
                child = Draft(self._children[template])
                self._parameters(child, self._templates[template].mapping("inputs"))
                for name in self._globals:
                    child.keys.setdefault("inputs", {}).setdefault(name, {"type": "string"})
                self._fill(child, template, 1)
                drafts.append(child)
        return drafts

    def _head(self, draft: Draft) -> None:
        spec, outer = self._spec, self._root.mapping("spec")
        self._parameters(draft, spec.mapping("arguments"))
        if (limit := seconds(spec.get("activeDeadlineSeconds"))) is not None:
            draft.keys["timeout"] = duration(limit)
        if isinstance(spec.get("parallelism"), int):
            draft.keys["max_parallel"] = spec["parallelism"]
        if self._root["kind"] == "CronWorkflow":
            crons = [
                text(each) for each in outer.sequence("schedules" if "schedules" in outer else "schedule")
            ]
            extra: dict[str, Any] = {"timezone": text(outer["timezone"])} if "timezone" in outer else {}
            policy = text(outer.get("concurrencyPolicy") or "Allow")
            if policy in _OVERLAPS:
                extra["overlap"] = _OVERLAPS[policy]
            else:
                leave(draft.notes, outer, "concurrencyPolicy")
            if (late := seconds(outer.get("startingDeadlineSeconds"))) is not None:
                extra["catchup"] = duration(late)
            draft.keys["schedule"] = [{"cron": each, **extra} for each in crons]
        for key in _LEFT:
            leave(draft.notes, spec, key)

    def _parameters(self, draft: Draft, owner: Map) -> None:
        inputs: dict[str, Any] = {}
        for each in owner.sequence("parameters"):
            if not isinstance(each, Map) or "name" not in each:
                continue
            made: dict[str, Any] = {"type": "string"}
            if "enum" in each:
                made = {"type": "choice", "options": [text(one) for one in each.sequence("enum")]}
            value = each.get("value", each.get("default"))
            if value is not None and "{{" not in text(value):
                made["default"] = text(value)
            if "description" in each:
                made["description"] = text(each["description"])
            inputs[step_id(text(each["name"]), inputs)] = made
        if inputs:
            draft.keys.setdefault("inputs", {}).update(inputs)
        leave(draft.notes, owner, "artifacts", "pass a path or a URL")

    # templates that run others

    def _fill(self, draft: Draft, name: str, line: int, *, outermost: bool = False) -> None:
        template = self._templates.get(name)
        if template is None:
            draft.notes.append(Note(line, f"the template {name} is not in this file", "convert its file too"))
            draft.steps["missing"] = StepDraft({"run": "false"})
            return
        if "dag" in template:
            self._dag(draft, template.mapping("dag"))
        elif "steps" in template:
            self._groups(draft, template.sequence("steps"))
        else:
            step = StepDraft()
            draft.steps[step_id(name)] = step
            leaf(step, template, {}, {})
        if not outermost and (outputs := template.mapping("outputs").sequence("parameters")):
            ids = {task: task for task in draft.steps}
            for each in outputs:
                if isinstance(each, Map) and (origin := each.mapping("valueFrom").get("parameter")):
                    draft.result[text(each["name"])] = fill(text(origin), draft.notes, outputs.lines[0], ids)

    def _dag(self, draft: Draft, dag: Map) -> None:
        tasks = [each for each in dag.sequence("tasks") if isinstance(each, Map)]
        ids: dict[str, str] = {}
        for task in tasks:
            ids[text(task.get("name"))] = step_id(text(task.get("name")), ids.values())
        leave(draft.notes, dag, "failFast", "the others go on here unless the workflow says fail_fast: true")
        for task in tasks:
            step = StepDraft()
            needs: list[str] = [ids.get(text(each), text(each)) for each in task.sequence("dependencies")]
            decides = None
            if "depends" in task:
                needs, decides = depends(text(task["depends"]), ids)
            self._call(step, task, needs, ids, decides=decides)
            draft.steps[ids[text(task.get("name"))]] = step

    def _groups(self, draft: Draft, groups: Seq) -> None:
        ids: dict[str, str] = {}
        before: list[str] = []
        for group in groups:
            members = [
                each for each in (group if isinstance(group, Seq) else [group]) if isinstance(each, Map)
            ]
            here: list[str] = []
            for task in members:
                name = text(task.get("name"))
                ids[name] = step_id(name, ids.values())
                here.append(ids[name])
            for task in members:
                step = StepDraft()
                self._call(step, task, before, ids)
                draft.steps[ids[text(task.get("name"))]] = step
            before = here or before

    def _call(
        self, step: StepDraft, task: Map, needs: list[str], ids: dict[str, str], *, decides: str | None = None
    ) -> None:
        keys, notes = step.keys, step.notes
        if needs:
            keys["needs"] = needs[0] if len(needs) == 1 else list(needs)
        conditions = [decides] if decides is not None else []
        if "when" in task:
            line = task.lines["when"]
            made = condition(text(task["when"]), lambda reference: refer(reference, notes, line, ids))
            if made is None:
                leave(notes, task, "when", "write it as an expression")
            else:
                conditions.append(made)
        if conditions:
            keys["if"] = (
                conditions[0] if len(conditions) == 1 else " && ".join(f"({each})" for each in conditions)
            )
        self._loop(task, keys, notes, ids)
        arguments = {
            text(each.get("name")): fill(each.get("value"), notes, task.lines["arguments"], ids)
            for each in task.mapping("arguments").sequence("parameters")
            if isinstance(each, Map)
        }
        leave(notes, task.mapping("arguments"), "artifacts", "pass a path or a URL")
        name = text(task.get("template"))
        template = self._templates.get(name)
        if "templateRef" in task or (template is None and "inline" not in task):
            at = task.lines.get("templateRef", task.lines.get("template", 1))
            reference = text(task.mapping("templateRef").get("template")) or name
            notes.append(
                Note(
                    at,
                    f"the template {reference} is not in this file",
                    "convert its file too, and name it here",
                )
            )
            keys["workflow"] = workflow_name(reference)
            if arguments:
                keys["with"] = arguments
        elif template is not None and ("dag" in template or "steps" in template):
            keys["workflow"] = self._children.setdefault(
                name, workflow_name(f"{self._name.rpartition('.v')[0]}.{name}")
            )
            given = {**{one: f"${{{{ inputs.{one} }}}}" for one in self._globals}, **arguments}
            if given:
                keys["with"] = given
        else:
            leaf(step, template if template is not None else task.mapping("inline"), arguments, ids)
        continued = task.mapping("continueOn")
        if continued.get("failed") is True or continued.get("error") is True:
            keys["continue_on_error"] = True
        for key in ("hooks", "onExit"):
            leave(notes, task, key)

    def _loop(self, task: Map, keys: dict[str, Any], notes: list[Note], ids: dict[str, str]) -> None:
        if "withItems" in task:
            keys["for_each"] = [
                dict(each) if isinstance(each, Map) else fill(each, notes, task.lines["withItems"], ids)
                for each in task.sequence("withItems")
            ]
        elif "withParam" in task:
            given = text(task["withParam"])
            if REFERENCE.fullmatch(given):
                inner = fill(given, notes, task.lines["withParam"], ids)[3:-2].strip()
                keys["for_each"] = f"${{{{ fromJSON({inner}) }}}}"
            else:
                try:
                    keys["for_each"] = json.loads(given)
                except ValueError:
                    leave(notes, task, "withParam", "write for_each")
        elif "withSequence" in task:
            sequence = task.mapping("withSequence")
            count, start = seconds(sequence.get("count")), int(seconds(sequence.get("start")) or 0)
            end = int(seconds(sequence["end"]) or 0) + 1 if seconds(sequence.get("end")) is not None else None
            end = start + int(count) if count is not None else end
            if end is None or "format" in sequence:
                leave(notes, task, "withSequence", "write for_each")
            else:
                keys["for_each"] = list(range(start, end))

    def _on_exit(self, draft: Draft) -> None:
        name = text(self._spec.get("onExit"))
        if not name:
            return
        template = self._templates.get(name)
        step = StepDraft()
        if template is not None and ("dag" in template or "steps" in template):
            step.keys["workflow"] = self._children.setdefault(name, workflow_name(name))
        elif template is not None:
            leaf(step, template, {}, {})
        else:
            draft.notes.append(Note(self._spec.lines["onExit"], f"onExit: {name}", "it is not in this file"))
            return
        draft.hooks["finally"] = {step_id(name, draft.steps): step}
