"""One workflow file with what comes with it: its later documents, and the files that its steps run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.children import Child, is_path
from tributary_daemon.spec.composer import Document, compose
from tributary_daemon.spec.document import check_document, report_empty
from tributary_daemon.spec.nodes import Mapping, Node, Place, Scalar
from tributary_daemon.spec.problems import Problems, line_starts
from tributary_daemon.spec.sources import Unreadable, read_source

if TYPE_CHECKING:
    from pathlib import Path

    from tributary_daemon.spec.workflow import WorkflowSpec

MAX_NESTING: Final = 20
_SUFFIXES: Final = (".yaml", ".yml")


@dataclass(slots=True)
class _Load:
    """What all files of one load share.

    Attributes:
        files: real path -> the workflow of a file that has been loaded, None when it was refused.
        open: what is being loaded, outermost first: a key, and how it is shown.
        hashes: id of a workflow -> itself and its hash.
    """

    files: dict[Path, WorkflowSpec | None] = field(default_factory=dict)
    open: list[tuple[object, str]] = field(default_factory=list)
    hashes: dict[int, tuple[WorkflowSpec, str]] = field(default_factory=dict)


class WorkflowFile:
    """A text whose first document is a workflow.

    Args:
        text: of the whole file.
        problems: the collector of this file.
        file: how it is shown.
        path: where it lies; None when it is no file.
        folder: where files named in it are looked for; None when it has no place.
        load: shared with the file that led to this one.
    """

    def __init__(
        self,
        text: str,
        problems: Problems,
        *,
        file: str,
        path: Path | None,
        folder: Path | None,
        load: _Load | None = None,
    ) -> None:
        self._text = text
        self._problems = problems
        self._file = file
        self._folder = folder
        self._load = load or _Load()
        self._key: object = file if path is None else path.resolve()
        self._documents: list[Document] = []
        self._starts: list[int] = []
        self._named: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._checked: dict[int, WorkflowSpec | None] = {}

    def load(self, default_name: str) -> WorkflowSpec | None:
        """Return the workflow, None when it is refused.

        Args:
            default_name: its name when the text gives none.
        """
        self._documents = compose(self._text, self._problems)
        if not self._documents:
            if not self._problems.failed:
                report_empty(Place(0, 0, 0, 1), self._problems)
            return None
        for number, document in enumerate(self._documents):
            self._learn_name(number, document.root)
        spec = self._check(0, default_name)
        for number in range(1, len(self._documents)):
            if number not in self._checked:
                self._check_unused(number)
        return spec

    def _learn_name(self, number: int, root: Node) -> None:
        name = root.get("name") if isinstance(root, Mapping) else None
        if isinstance(name, Scalar) and isinstance(name.value, str):
            if self._named.setdefault(name.value, number) == number:
                self._names[number] = name.value
            else:
                self._problems.error(
                    codes.DOCUMENT_NAME,
                    f"two workflows of this file are named {name.value!r}",
                    name,
                    hint="give one of them another name",
                )
        elif number > 0 and name is None and isinstance(root, Mapping):
            self._problems.error(
                codes.DOCUMENT_NAME,
                "a workflow behind `---` has no name, so no step can run it",
                self._start(number),
                hint="write `name: …` into it, and `workflow: …` with that name into a step",
            )

    def _check_unused(self, number: int) -> None:
        root = self._documents[number].root
        name = self._names.get(number)
        self._check(number, name or f"document {number + 1}")
        if name is not None and isinstance(root, Mapping):
            self._problems.warning(
                codes.UNUSED_DOCUMENT,
                f"no step runs the workflow {name!r}",
                root.pairs["name"][1],
                hint=f"write a step with `workflow: {name}`, or remove the document",
            )

    def _start(self, number: int) -> Place:
        line = self._documents[number].line
        return Place(line, 0, line, max(1, len(self._problems.line(line))))

    def _check(self, number: int, name: str) -> WorkflowSpec | None:
        source = self._text
        if number > 0:
            source = self._part(number)
        key = self._key if number == 0 else (self._key, number)
        self._load.open.append((key, self._file if number == 0 else name))
        self._checked[number] = None
        spec = check_document(
            self._documents[number].root,
            self._problems,
            default_name=name,
            source=source,
            family=self,
            is_entry=number == 0,
        )
        self._load.open.pop()
        self._checked[number] = spec
        return spec

    def _part(self, number: int) -> str:
        """Return the text of a later document."""
        if not self._starts:
            self._starts = line_starts(self._text)
        following = self._documents[number + 1 : number + 2]
        end = self._starts[following[0].line] if following else None
        return self._text[self._starts[self._documents[number].line] : end]

    def child(self, target: str, node: Node) -> Child | None:
        """See `Family`."""
        if is_path(target):
            return self._file_child(target, node)
        number = self._named.get(target)
        if number is None:
            return Child(target)
        if self._is_open(self._key if number == 0 else (self._key, number), node, name=target):
            return None
        if number not in self._checked and not self._is_too_deep(node):
            self._check(number, target)
        spec = self._checked.get(number)
        return self._child(spec)

    def _file_child(self, target: str, node: Node) -> Child | None:
        if self._folder is None:
            message = f"the workflow file {target!r} cannot be looked for: this text lies in no folder"
            self._refuse(node, message, "load it from a file, or name a registered workflow")
            return None
        path = self._folder / target
        try:
            key = path.resolve()
            if self._is_open(key, node) or self._is_too_deep(node):
                return None
            if key not in self._load.files:
                self._load.files[key] = self._read(path, key)
        except Unreadable as error:
            message = f"the workflow file {target!r} cannot be loaded: {error.message}"
            self._refuse(node, message, self._nearby(path) or error.hint)
            return None
        except (OSError, RuntimeError, ValueError) as error:
            self._refuse(node, f"the workflow file {target!r} cannot be read: {error}", "check the path")
            return None
        return self._child(self._load.files[key])

    def _child(self, spec: WorkflowSpec | None) -> Child | None:
        if spec is None:
            return None
        # many steps may run one workflow, and its source may be long
        if id(spec) not in self._load.hashes:
            self._load.hashes[id(spec)] = (spec, spec.revision_hash())
        return Child(spec.name, spec, self._load.hashes[id(spec)][1])

    def _read(self, path: Path, key: Path) -> WorkflowSpec | None:
        text = read_source(path)
        shown = os.path.normpath(path)
        problems = Problems(shown, text)
        file = WorkflowFile(text, problems, file=shown, path=path, folder=path.parent, load=self._load)
        # noted before its own children are
        self._load.files[key] = None
        spec = file.load(path.stem)
        self._problems.add_file(problems)
        return spec

    def _refuse(self, node: Node, message: str, hint: str) -> None:
        self._problems.error(codes.CHILD_UNREADABLE, message, node, hint=hint)

    def _is_open(self, key: object, node: Node, *, name: str | None = None) -> bool:
        """Report a workflow that runs itself, directly or by others; return whether it does."""
        keys = [opened for opened, _ in self._load.open]
        if key not in keys:
            return False
        shown = [shown for _, shown in self._load.open][keys.index(key) :]
        if name is not None:
            shown[0] = name
        self._problems.error(
            codes.CHILD_CYCLE,
            f"workflows run each other in a cycle: {' -> '.join([*shown, shown[0]])}",
            node,
            hint="`a -> b` reads: a step of a runs b; a workflow cannot run itself",
        )
        return True

    def _is_too_deep(self, node: Node) -> bool:
        if len(self._load.open) <= MAX_NESTING:
            return False
        message = f"workflows run each other more than {MAX_NESTING} levels deep"
        self._problems.error(codes.CHILD_CYCLE, message, node, hint="a workflow needs far fewer")
        return True

    @staticmethod
    def _nearby(path: Path) -> str | None:
        folder = path.parent
        try:
            found = sorted(other.name for other in folder.iterdir() if other.suffix.lower() in _SUFFIXES)
        except OSError:
            return f"there is no folder {os.path.normpath(folder)!r} either"
        near = get_close_matches(path.name, found, n=1)
        if near:
            return f"did you mean {near[0]}?"
        return f"workflow files there: {', '.join(found[:8])}" if found else None
