"""TARGET and inputs of ``submit`` and ``run``: a file, standard input, or a name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli.known import OnDemand
from tributary_daemon.cli.values import json_value, mapping
from tributary_daemon.spec.inputs import parse_cli_value
from tributary_daemon.spec.loader import load_file, load_text
from tributary_daemon.spec.sources import is_file, is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.spec.signatures import Signatures
    from tributary_daemon.spec.workflow import InputSpec, WorkflowSpec

_SUFFIXES: Final = (".yaml", ".yml")


class NoSuchFile(click.UsageError):
    """A TARGET that can only be a path, and does not exist; ``hint`` names a file nearby."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no file {path}")
        self.hint = _nearby(path)


@dataclass(frozen=True, slots=True)
class Target:
    """What shall be done.

    Attributes:
        name: of a registered workflow or an intent; None for a file.
        spec: the workflow of a file or of standard input; None for a name.
        directory: of that file; None for anything else.
    """

    name: str | None = None
    spec: WorkflowSpec | None = None
    directory: Path | None = None

    @property
    def work(self) -> str | WorkflowSpec:
        """What the client takes."""
        if self.spec is not None:
            return self.spec
        assert self.name is not None
        return self.name


def target(text: str, *, strict: bool = False, signatures: Signatures | None = None) -> Target:
    """Find out what TARGET means, and load it when it is a file.

    A file that exists, or a text with a slash or a YAML suffix, is a path; ``-`` is standard input;
    anything else is a name.

    Args:
        text: as typed.
        strict: warnings refuse a file.
        signatures: of handlers, to check it against; None for those that an inferred graph needs, if any.

    Raises:
        NoSuchFile: it can only be a path, and does not exist.
        InvalidWorkflow: the file is not a workflow.
    """
    if text == "-":
        text = sys.stdin.read()
        known = signatures or OnDemand()
        return Target(
            spec=load_text(
                text, file="-", default_name="stdin", strict=strict, folder=Path.cwd(), signatures=known
            )
        )
    path = Path(text)
    if looks_like_path(text) or is_file(path):
        spec = load(path, strict=strict, signatures=signatures)
        return Target(spec=spec, directory=path.resolve().parent)
    return Target(name=text)


def looks_like_path(text: str) -> bool:
    """Whether a TARGET can only be meant as a path: names have neither slashes nor YAML suffixes."""
    return "/" in text or text in {".", ".."} or text.lower().endswith(_SUFFIXES)


def load(path: Path, *, strict: bool = False, signatures: Signatures | None = None) -> WorkflowSpec:
    """Load a workflow file; arguments as of `target`.

    Raises:
        NoSuchFile: it does not exist.
        InvalidWorkflow: it is not a workflow; every fault is listed.
    """
    if not is_there(path):
        raise NoSuchFile(path)
    return load_file(path, strict=strict, signatures=signatures or OnDemand())


def inputs(
    given: Sequence[tuple[str, str]],
    payload: str | None,
    declared: Callable[[], dict[str, InputSpec] | None],
) -> Any:
    """Return the inputs or the payload that ``--payload`` and ``-i`` make; ``-i`` wins.

    Args:
        given: pairs of ``-i``.
        payload: text of ``--payload``.
        declared: returns the inputs that the workflow declares, None when nothing is known; only
            called when ``-i`` is used.

    Raises:
        InvalidInput: a value is not of the declared type, or the payload is not JSON.
        click.UsageError: ``-i`` beside a payload that is no object.
    """
    whole = json_value(payload, "--payload") if payload is not None else None
    if not given:
        return whole
    if whole is not None and not isinstance(whole, dict):
        raise click.UsageError("-i adds to an object, but --payload is not one")
    known = declared() or {}
    typed = {key: parse_cli_value(known.get(key), text) for key, text in mapping(given, "-i").items()}
    return {**(whole or {}), **typed}


def _nearby(path: Path) -> str:
    folder = path.parent
    if not is_there(folder) or not folder.is_dir():
        return f"there is no folder {folder} either"
    names = sorted(other.name for other in folder.iterdir() if other.suffix.lower() in _SUFFIXES)
    near = get_close_matches(path.name, names, n=1)
    if near:
        return f"did you mean {folder / near[0]}?"
    return f"workflow files in {folder}: {', '.join(names[:8])}" if names else "give the path of a YAML file"
