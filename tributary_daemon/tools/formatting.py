"""Workflow files in their usual form: order of keys, indentation, quotes; comments stay where they belong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import yaml

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec import codes
from tributary_daemon.spec.json_schema import workflow_json_schema
from tributary_daemon.spec.loader import load_text
from tributary_daemon.tools.yaml_tree import Branch, Leaf, Unformattable, plain, read
from tributary_daemon.tools.yaml_writing import write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.tools.yaml_tree import Document, Entry

WORKFLOW_ORDER: Final = [
    "name",
    "description",
    "labels",
    "inputs",
    "secrets",
    "env",
    "timeout",
    "max_parallel",
    "fail_fast",
    "concurrency",
    "schedule",
    "preconditions",
    "defaults",
    "steps",
    "result",
    "on_success",
    "on_failure",
    "on_cancel",
    "finally",
    "keep",
]
STEP_ORDER: Final = [
    "description",
    "labels",
    "needs",
    "if",
    "for_each",
    "matrix",
    "key",
    "max_parallel",
    "fail_fast",
    "tolerate",
    "task",
    "run",
    "workflow",
    "wait",
    "approve",
    "want",
    "given",
    "with",
    "env",
    "dir",
    "shell",
    "aggregate",
    "queue",
    "priority",
    "max_attempts",
    "timeout",
    "retry",
    "run_after",
    "continue_on_error",
    "cache",
    "concurrency",
    "undo",
]
"""Why it runs, what it does, how it is treated: as people read a step."""
_UNREADABLE: Final = frozenset(
    {
        codes.UNREADABLE,
        codes.SYNTAX,
        codes.DUPLICATE_KEY,
        codes.NON_STRING_KEY,
        codes.TAG,
        codes.TOO_DEEP,
        codes.ALIAS,
        codes.UNQUOTED_EXPRESSION,
        codes.LOST_TEXT,
        codes.SPLIT_BY_COMMA,
        codes.EMPTY,
        codes.NOT_JSON,
        codes.TOO_LARGE,
    }
)
"""Faults of a text whose meaning is not certain; other faults are no reason to leave it unformatted."""


def formatted(text: str, *, file: str = "-") -> str:
    """Return a workflow in its usual form; the same workflow, with its comments.

    Args:
        text: of the whole file.
        file: its name, for messages, and where workflows that it runs are found.

    Raises:
        InvalidWorkflow: the text cannot be read.
        Unformattable: it cannot be formatted without changing what it means.
    """
    before = _loaded(text, file)
    documents = read(text)
    values = [plain(document.root) for document in documents]
    made = _made(_ordered(documents))
    if _same(values, before, made, file):
        return made
    # an alias may have come to stand above its anchor when keys changed places: then they stay
    made = _made(read(text))
    if _same(values, before, made, file):
        return made
    raise Unformattable(
        f"{file}: formatting would change what this file means, so it is left as it is",
        hint="report it, with the file; the usual cause is an unusual spelling of YAML",
    )


def _made(documents: list[Document]) -> str:
    return write([_requoted(document) for document in documents])


def _same(values: list[Any], before: WorkflowSpec | None, made: str, file: str) -> bool:
    try:
        again = [plain(document.root) for document in read(made)]
        return again == values and _meaning(_loaded(made, file)) == _meaning(before)
    except (yaml.YAMLError, Unformattable, InvalidWorkflow):
        return False


def _loaded(text: str, file: str) -> WorkflowSpec | None:
    """Return the workflow; None when it has faults that do not keep it from being read.

    Raises:
        InvalidWorkflow: it cannot be read.
    """
    try:
        return load_text(text, file=file)
    except InvalidWorkflow as error:
        faults = [problem for problem in error.problems if problem.code in _UNREADABLE]
        if faults:
            raise InvalidWorkflow(faults) from None
        return None


def _meaning(spec: WorkflowSpec | None) -> Any:
    """Return what must not change: the plan. Its implied needs may come in another order."""
    if spec is None:
        return None
    plan = replace(spec, source="").plan()
    for step in plan["steps"]:
        step["needs"] = sorted(step["needs"])
        if "workflow" in step:
            # the hash of a child is that of its text
            step["workflow"] = step["workflow"]["name"]
    return plan, {name: _meaning(child) for name, child in spec.children.items()}


# order of keys


def _ordered(documents: list[Document]) -> list[Document]:
    schema = workflow_json_schema()
    for document in documents:
        if isinstance(document.root, Branch):
            head = document.root.entries[0].lead if document.root.entries else []
            if document.root.entries:
                document.root.entries[0].lead = []
            _order(document.root, schema, schema)
            if document.root.entries:
                # what stands at the top of a file is about the file
                document.root.entries[0].lead = [*head, *document.root.entries[0].lead]
    return documents


def _order(branch: Branch, schema: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    schema = _resolved(schema, whole)
    if branch.is_mapping:
        keys = list(schema.get("properties", ()))
        if keys and schema.get("additionalProperties") is False:
            # where keys are free, as in a matrix, their order is the author's
            outermost = "steps" in keys
            first = WORKFLOW_ORDER if outermost else STEP_ORDER if "needs" in keys else []
            wanted = list(dict.fromkeys([*first, *keys]))
            places = {key: place for place, key in enumerate(wanted)}
            branch.entries.sort(key=lambda entry: _place(entry, places, outermost=outermost))
    for entry in branch.entries:
        if isinstance(entry.value, Branch):
            _order(entry.value, _inner(schema, entry.key), whole)


def _place(entry: Entry, places: Mapping[str, int], *, outermost: bool) -> int:
    key = entry.key.value if entry.key is not None else ""
    if key.startswith("x-"):
        # at the top of a workflow they hold what anchors name further down
        return -1 if outermost else len(places) + 1
    return places.get(key, len(places))


def _resolved(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    for each in (schema, *schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if "$ref" in each:
            found: Any = whole
            for part in each["$ref"].lstrip("#/").split("/"):
                found = found[part]
            return dict(found)
        if "properties" in each or each.get("patternProperties") or each.get("items"):
            return dict(each)
    return schema


def _inner(schema: Mapping[str, Any], key: Leaf | None) -> Mapping[str, Any]:
    if key is None:
        items = schema.get("items")
        return items if isinstance(items, dict) else {}
    properties = schema.get("properties", {})
    if key.value in properties:
        found: Mapping[str, Any] = properties[key.value]
        return found
    if key.value.startswith("x-"):
        return {}
    by_id = [inner for pattern, inner in schema.get("patternProperties", {}).items() if pattern != "^x-"]
    return by_id[0] if by_id else {}


# quotes


def _requoted(document: Document) -> Document:
    for leaf in _leaves(document.root):
        if "${{" in leaf.value and leaf.style in ("", "'", '"') and "\n" not in leaf.text:
            leaf.text = _quoted(leaf.value)
            leaf.style = leaf.text[0]
    return document


def _leaves(node: Leaf | Branch | None) -> Iterator[Leaf]:
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Leaf):
            yield each
        elif each is not None:
            waiting.extend(entry.value for entry in each.entries)


def _quoted(value: str) -> str:
    """Return a text in double quotes, in single ones where those would need backslashes."""
    if value.isprintable() and ('"' in value or "\\" in value) and "'" not in value:
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)
