"""YAML text or file -> WorkflowSpec."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from tributary_daemon.spec.files import WorkflowFile
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.sources import MAX_BYTES, Unreadable, read_source, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tributary_daemon.spec.workflow import WorkflowSpec

_UNNAMED: Final = "workflow"


def load_text(
    text: str,
    *,
    file: str = "-",
    default_name: str | None = None,
    strict: bool = False,
    folder: Path | None = None,
) -> WorkflowSpec:
    """Load a workflow from YAML text.

    Args:
        text: the whole file, at most 4 MiB in UTF-8; its first document is the workflow.
        file: name shown in errors; ``-`` for standard input.
        default_name: name of a workflow whose text has no ``name``; the stem of ``file`` unless given.
        strict: warnings refuse the workflow too.
        folder: where files named by ``workflow: ./other.yaml`` are looked for; None to refuse such steps.

    Raises:
        InvalidWorkflow: holds every fault, by position; those of other files behind those of the text.
    """
    return _load(text, None, file, default_name, strict=strict, folder=folder)


def load_file(path: Path, *, strict: bool = False) -> WorkflowSpec:
    """Load a workflow from a file; its stem is the name of a workflow without one.

    Args:
        path: a regular file or pipe, UTF-8, at most 4 MiB.
        strict: warnings refuse the workflow too.

    Raises:
        InvalidWorkflow: the file cannot be read, or its content is refused.
    """
    try:
        text = read_source(path)
    except Unreadable as error:
        raise error.of(str(path)) from None
    return _load(text, path, str(path), None, strict=strict, folder=path.parent)


def _load(
    text: str, path: Path | None, file: str, default_name: str | None, *, strict: bool, folder: Path | None
) -> WorkflowSpec:
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise too_large().of(file)
    problems = Problems(file, text)
    with _collector_off():
        spec = WorkflowFile(text, problems, file=file, path=path, folder=folder).load(
            default_name or _stem(file)
        )
    warnings = problems.finish(strict=strict)
    assert spec is not None
    return replace(spec, warnings=warnings)


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
