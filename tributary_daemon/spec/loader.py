"""YAML text or file -> WorkflowSpec."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import InvalidWorkflow, Problem
from tributary_daemon.spec import codes
from tributary_daemon.spec.composer import compose
from tributary_daemon.spec.document import check_document, report_empty
from tributary_daemon.spec.nodes import Place
from tributary_daemon.spec.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.spec.signatures import Signatures
    from tributary_daemon.spec.workflow import WorkflowSpec

MAX_BYTES: Final = 4 * 1024 * 1024
_UNNAMED: Final = "workflow"


def load_text(
    text: str,
    *,
    file: str = "-",
    default_name: str | None = None,
    strict: bool = False,
    signatures: Signatures | None = None,
) -> WorkflowSpec:
    """Load a workflow from YAML text.

    Args:
        text: the whole document, at most 4 MiB in UTF-8.
        file: name shown in errors; ``-`` for standard input.
        default_name: name of a workflow whose text has no ``name``; the stem of ``file`` unless given.
        strict: warnings refuse the workflow too.
        signatures: of handlers, to infer graphs from and to check types against; None for neither.

    Raises:
        InvalidWorkflow: holds every fault, by position.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise _unreadable(
            "the workflow is larger than 4 MiB", file, "move data out of it: pass a path or a URL"
        )
    problems = Problems(file, text)
    with _collector_off():
        spec = _load(text, problems, default_name or _stem(file), signatures)
    warnings = problems.finish(strict=strict)
    assert spec is not None
    return replace(spec, warnings=warnings)


def load_file(path: Path, *, strict: bool = False, signatures: Signatures | None = None) -> WorkflowSpec:
    """Load a workflow from a file; its stem is the name of a workflow without one.

    Args:
        path: a regular file or pipe, UTF-8, at most 4 MiB.
        strict: warnings refuse the workflow too.
        signatures: as of `load_text`.

    Raises:
        InvalidWorkflow: the file cannot be read, or its content is refused.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(
            "there is no such file", file, "check the path; `trib list` shows names of runs"
        ) from None
    except IsADirectoryError:
        raise _unreadable("this is a directory", file, "name one file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unreadable(
            f"the file cannot be read: {reason}", file, "check the path and its permissions"
        ) from None
    if len(raw) > MAX_BYTES:
        raise _unreadable(
            "the workflow is larger than 4 MiB", file, "move data out of it: pass a path or a URL"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unreadable(
            f"the file is not UTF-8: byte {error.start}, line {line}", file, "save it as UTF-8"
        ) from None
    return load_text(text, file=file, strict=strict, signatures=signatures)


def _load(text: str, problems: Problems, name: str, signatures: Signatures | None) -> WorkflowSpec | None:
    root = compose(text, problems)
    if root is not None:
        return check_document(root, problems, default_name=name, source=text, signatures=signatures)
    if not problems.failed:
        report_empty(Place(0, 0, 0, 1), problems)
    return None


@contextmanager
def _collector_off() -> Iterator[None]:
    # the nodes of 10,000 steps are no garbage, yet the collector would walk them again and again
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _stem(file: str) -> str:
    stem = PurePath(file).stem
    return _UNNAMED if stem in ("", "-") else stem.encode("utf-8", "replace").decode()


def _unreadable(message: str, file: str, hint: str) -> InvalidWorkflow:
    return InvalidWorkflow([Problem(codes.UNREADABLE, message, file=file, hint=hint)])
