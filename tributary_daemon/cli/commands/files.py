"""``trib validate`` and ``trib register``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, manual, targets
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.known import OnDemand, imported, imports_option, read_registry
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.opening import submitting
from tributary_daemon.cli.output import FORMATS, View, choice, document, dump, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.sources import is_there
from tributary_daemon.tools import sarif
from tributary_daemon.tools.cases import is_test, pair_of, read_cases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.errors import Problem
    from tributary_daemon.spec.signatures import Signatures
    from tributary_daemon.spec.workflow import WorkflowSpec


@click.command(
    cls=Command,
    epilog="""\b
Every fault of every file is listed, with its position and a code that `trib explain` explains.
Steps are checked against the handlers that can be imported here (--import, TRIB_HANDLERS, installed
packages), with --database also against those that workers have registered; else no database is touched.
`text` is another word for `table`; `sarif` is what code hosts show beside lines.

\b
Examples:
  trib validate workflows/*.yaml
  trib validate - < etl.yaml
  trib validate etl.yaml --import ./handlers.py
  trib validate etl.yaml --database --strict -o json
  trib validate workflows/*.yaml -o sarif > trib.sarif""",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@imports_option
@click.option("--database", is_flag=True, help="Check against what workers have registered, too.")
@click.option("--strict", is_flag=True, help="Refuse warnings, and handlers that are not known.")
@choice((*FORMATS, "text", "sarif"))
def validate(
    *, files: tuple[str, ...], imports: tuple[str, ...], database: bool, strict: bool, output: str
) -> int:
    """Check workflow files without storing anything."""
    must_exist(files)
    named = bool(settings(handlers=imports).handlers)
    registry = read_registry() if database else ()
    known = imported(imports, complete=named or database or strict, rows=registry)
    rows: list[dict[str, Any]] = []
    found: list[Problem] = []
    code = failures.COMPLETED
    for file in files:
        try:
            spec = _checked(file, known, strict=strict)
        except InvalidWorkflow as error:
            failures.say_refused(error)
            rows.append(_row(file, None, error.problems))
            found.extend(error.problems)
            code = InvalidWorkflow.exit_code
        else:
            failures.say_warnings(problem.render() for problem in spec.warnings)
            rows.append(_row(file, spec, spec.warnings))
            found.extend(spec.warnings)
    if output == "sarif":
        click.echo(dump(sarif.log(found, files, manual.entries(), late("versions:installed")()), indent=2))
        return code
    good = [row for row in rows if row["valid"]]
    show(View(rows, [row["file"] for row in good], lambda: [Lines(tuple(map(_verdict, good)))]), output)
    return code


@click.command(
    cls=Command,
    epilog="""\b
Afterwards `trib submit NAME` and the SQL function submit_workflow('NAME', inputs) start it. Runs that
exist go on with the source they were submitted with. All files are checked before any is stored.

\b
Examples:
  trib register workflows/signup.yaml
  trib register workflows/*.yaml --strict""",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@imports_option
@click.option("--strict", is_flag=True, help="Refuse warnings, and other content under a known name.")
@output_option
def register(*, files: tuple[str, ...], imports: tuple[str, ...], strict: bool, output: str) -> int:
    """Register workflow files under their names."""
    must_exist(files)
    files = without_tests(files)
    known = imported(imports) if imports else OnDemand()
    specs = [load(file, known, strict=strict) for file in files]
    with submitting() as client:
        rows = [document(client.register(spec, strict=strict)) for spec in specs]
    for row in rows:
        failures.say_warnings(row["warnings"])
    show(View(rows, [row["name"] for row in rows], lambda: [Lines(tuple(map(_registered, rows)))]), output)
    return failures.COMPLETED


def must_exist(files: Sequence[str]) -> None:
    """Refuse paths that do not exist, before anything is done with the others.

    Raises:
        NoSuchFile: names a file nearby.
    """
    for file in files:
        if file != "-" and not is_there(Path(file)):
            raise targets.NoSuchFile(Path(file))


def without_tests(files: Sequence[str]) -> tuple[str, ...]:
    """Leave out files of cases, which a pattern such as workflows/*.yaml catches too, and say so."""
    tests = [file for file in files if is_test(file)]
    failures.say_warnings(f"{file} holds cases of `trib test`, no workflow: left out" for file in tests)
    return tuple(file for file in files if file not in tests)


def _checked(file: str, known: Signatures, *, strict: bool) -> WorkflowSpec:
    """Load a workflow; of a test file the workflow beside it, once its cases are checked too."""
    if not is_test(file):
        return load(file, known, strict=strict)
    workflow, tests = pair_of(Path(file))
    must_exist([str(workflow)])
    spec = load(str(workflow), known, strict=strict)
    read_cases(tests, spec)
    return replace(spec, warnings=())


def load(file: str, known: Signatures | None = None, *, strict: bool = False) -> WorkflowSpec:
    if file == "-":
        spec = targets.target("-", strict=strict, signatures=known).spec
        assert spec is not None
        return spec
    return targets.load(Path(file), strict=strict, signatures=known)


def _row(file: str, spec: WorkflowSpec | None, problems: Sequence[Problem]) -> dict[str, Any]:
    return {
        "file": file,
        "valid": spec is not None,
        "name": spec.name if spec else None,
        "steps": len(spec.steps) if spec else None,
        "problems": [
            {
                "code": problem.code,
                "severity": problem.severity,
                "message": problem.message,
                "line": problem.line,
                "column": problem.column,
                "hint": problem.hint,
            }
            for problem in problems
        ],
    }


def _verdict(row: dict[str, Any]) -> tuple[Span, ...]:
    steps = "1 step" if row["steps"] == 1 else f"{row['steps']} steps"
    return line(
        Span("valid", "good"), f"  {row['file']}  ", Span(row["name"], "name"), Span(f"  {steps}", "faint")
    )


def _registered(row: dict[str, Any]) -> tuple[Span, ...]:
    change = row["change"]
    return line(
        Span(change, "warning" if change == "revised" else "good"),
        "  ",
        Span(row["name"], "name"),
        Span(f"  revision {row['revision'][:8]}", "faint"),
    )
