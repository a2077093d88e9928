"""Handlers of stdlib_census.yaml: what the standard library consists of, package by package.

They read source files, parse them with ``ast`` and never import what they read. All but the two writers are
free of effects; the writers replace their file as a whole, so a repeated attempt does no harm.
"""

from __future__ import annotations

import ast
import os
import platform
import sysconfig
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from census_report import render
from pydantic import BaseModel, Field, computed_field

from tributary_daemon import Abort, Step, handler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOT_COUNTED = frozenset(
    {"__pycache__", "site-packages", "dist-packages", "lib-dynload", "test", "tests", "idle_test"}
)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class LongestFunction(BaseModel):
    """Where the function with the most lines stands."""

    name: str
    file: str
    line: int
    lines: int


class Tally(BaseModel):
    """What was counted, of one file or of many.

    Attributes:
        modules: files parsed.
        functions: functions and methods, ``async`` ones included.
        documented: modules, classes and functions with a docstring.
        unparsable: files that the running Python does not accept as source.
    """

    modules: int = 0
    lines: int = 0
    functions: int = 0
    async_functions: int = 0
    classes: int = 0
    documented: int = 0
    unparsable: list[str] = Field(default_factory=list)
    longest_function: LongestFunction | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def docstring_coverage(self) -> float:
        """Share of modules, classes and functions with a docstring, 0 to 1."""
        return round(self.documented / max(1, self.modules + self.classes + self.functions), 4)

    def add(self, other: Tally) -> None:
        """Add ``other`` to this tally."""
        for field in ("modules", "lines", "functions", "async_functions", "classes", "documented"):
            setattr(self, field, getattr(self, field) + getattr(other, field))
        self.unparsable.extend(other.unparsable)
        mine, theirs = self.longest_function, other.longest_function
        if theirs and (mine is None or theirs.lines > mine.lines):
            self.longest_function = theirs


class Package(Tally):
    """The tally of one top-level package or module, and who counted it when (UTC)."""

    name: str
    pid: int
    started_at: datetime
    finished_at: datetime


class Total(Tally):
    """The tally of everything."""

    packages: int = 0


class PlanArgs(BaseModel):
    """Packages that have steps of their own, and into how many chunks the rest is split."""

    named: list[str]
    chunks: int = Field(ge=1)
    root: str | None = Field(default=None, description="the library's folder; default: of the running Python")


class Plan(BaseModel):
    """Top-level names of the rest, in chunks of about equal size on disk."""

    root: str
    python: str
    chunks: list[list[str]]


class CountArgs(BaseModel):
    """Top-level packages and modules below ``root`` to count in one step."""

    root: str
    names: list[str]


class Counted(BaseModel):
    """Result of one step."""

    packages: list[Package]


class Census(BaseModel):
    """The whole result: totals, and every package with who counted it when."""

    python: str
    processes: int
    seconds: float
    total: Total
    packages: list[Package]


class WriteArgs(BaseModel):
    """A census, and the folder that its report goes to."""

    census: Census
    directory: str


class Written(BaseModel):
    """Absolute path of a report."""

    path: str
    bytes: int


def source_files(root: Path, name: str) -> list[Path]:
    """Return the Python files of one top-level package or module, tests left out, in order of path."""
    module = root / f"{name}.py"
    if module.is_file():
        return [module]
    found: list[Path] = []
    for folder, folders, files in os.walk(root / name):
        folders[:] = sorted(set(folders) - NOT_COUNTED)
        found += [Path(folder, file) for file in sorted(files) if file.endswith(".py")]
    return found


def top_level_names(root: Path) -> list[str]:
    """Return the packages and single-file modules directly below ``root``."""
    names = []
    for entry in sorted(root.iterdir()):
        if entry.suffix == ".py":
            names.append(entry.stem)
        elif entry.name not in NOT_COUNTED and entry.name.isidentifier() and source_files(root, entry.name):
            names.append(entry.name)
    return names


def definitions(
    tree: ast.Module,
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Yield every class and function with its dotted name, without recursion."""
    open_nodes: list[tuple[str, ast.AST]] = [("", tree)]
    while open_nodes:
        prefix, node = open_nodes.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, DEFINITIONS):
                yield f"{prefix}{child.name}", child
                open_nodes.append((f"{prefix}{child.name}.", child))
            else:
                open_nodes.append((prefix, child))


def tally_file(path: Path, shown_as: str) -> Tally:
    """Parse one file and count what it defines."""
    source = path.read_bytes()
    tally = Tally(lines=len(source.splitlines()))
    try:
        tree = ast.parse(source, filename=str(path))
    except (SyntaxError, ValueError):
        tally.unparsable.append(shown_as)
        return tally
    tally.modules = 1
    tally.documented = int(ast.get_docstring(tree, clean=False) is not None)
    for name, node in definitions(tree):
        tally.documented += ast.get_docstring(node, clean=False) is not None
        if isinstance(node, ast.ClassDef):
            tally.classes += 1
            continue
        tally.functions += 1
        tally.async_functions += isinstance(node, ast.AsyncFunctionDef)
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if tally.longest_function is None or lines > tally.longest_function.lines:
            tally.longest_function = LongestFunction(name=name, file=shown_as, line=node.lineno, lines=lines)
    return tally


@handler("census.plan.v1")
def plan(args: PlanArgs) -> Plan:
    """Split everything without a step of its own into chunks, the largest first into the lightest chunk."""
    root = Path(args.root or sysconfig.get_path("stdlib"))
    names = top_level_names(root) if root.is_dir() else []
    if not names:
        raise Abort(f"{root} holds no Python source: this Python's standard library is not on disk")
    rest = {name: sum(file.stat().st_size for file in source_files(root, name)) for name in names}
    chunks: list[list[str]] = [[] for _ in range(args.chunks)]
    weights = [0] * args.chunks
    for name in sorted(rest.keys() - set(args.named), key=lambda name: (-rest[name], name)):
        lightest = weights.index(min(weights))
        chunks[lightest].append(name)
        weights[lightest] += rest[name]
    return Plan(root=str(root), python=platform.python_version(), chunks=chunks)


@handler("census.count.v1")
def count(args: CountArgs) -> Counted:
    """Count each of the packages given. A package that this Python does not ship counts nothing."""
    root = Path(args.root)
    return Counted(packages=[count_package(root, name) for name in args.names])


def count_package(root: Path, name: str) -> Package:
    """Count one top-level package or module."""
    started_at = datetime.now(UTC)
    tally = Tally()
    for path in source_files(root, name):
        tally.add(tally_file(path, path.relative_to(root).as_posix()))
    return Package(
        name=name,
        pid=os.getpid(),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        **tally.model_dump(exclude={"docstring_coverage"}),
    )


@handler("census.aggregate.v1")
def aggregate(step: Step) -> Census:
    """Add up the results of all steps that this one needs."""
    return summed(Counted.model_validate(result) for result in step.results.values())


def summed(counted: Iterable[Counted]) -> Census:
    """Return the census of what the counting steps found, the largest package first."""
    packages = [package for one in counted for package in one.packages if package.lines]
    if not packages:
        raise Abort("no source was counted")
    packages.sort(key=lambda package: (-package.lines, package.name))
    total = Total(packages=len(packages))
    for package in packages:
        total.add(package)
    begin = min(package.started_at for package in packages)
    end = max(package.finished_at for package in packages)
    return Census(
        python=platform.python_version(),
        processes=len({package.pid for package in packages}),
        seconds=round((end - begin).total_seconds(), 3),
        total=total,
        packages=packages,
    )


@handler("census.write_json.v1")
def write_json(args: WriteArgs) -> Written:
    """Write ``stdlib_census.json``."""
    return write(Path(args.directory, "stdlib_census.json"), args.census.model_dump_json(indent=2) + "\n")


@handler("census.write_html.v1")
def write_html(args: WriteArgs) -> Written:
    """Write ``stdlib_census.html``, one file that needs nothing else."""
    return write(Path(args.directory, "stdlib_census.html"), render(args.census))


def write(path: Path, text: str) -> Written:
    """Replace ``path`` as a whole: a reader never sees half a report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return Written(path=str(path.resolve()), bytes=len(text.encode()))
