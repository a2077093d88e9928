"""Handlers that nobody has offered: refused, or told with the nearest name that is known."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from tributary_daemon.client import registered
from tributary_daemon.client.revisions import handler_names, names_beside
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.store import submit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.client.options import Settings
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.store.db import Operation

SHELL: Final = "trib.shell.v1"


def refuse_unknown(names: Iterable[str], *, private: bool = False) -> Operation[None]:
    """Refuse handlers that no worker has offered and that are not declared here.

    Args:
        names: of handlers.
        private: only those declared here count, and shell steps.

    Raises:
        InvalidInput: one is unknown.
    """
    foreign = [name for name in names if name not in REGISTRY]
    if private and (missing := [name for name in foreign if name != SHELL]):
        # other workers may offer it, but they do not serve a private queue
        raise InvalidInput(
            "\n".join(
                f"no handler '{name}' is loaded here{_guess(name, REGISTRY.names())}" for name in missing
            ),
            hint="import the module that declares it: --import ./handlers.py",
        )
    if private or not foreign:
        return
    known = yield from submit.known_names()
    texts = unknown_texts([name for name in foreign if name not in known], known, waits=False)
    if texts:
        raise InvalidInput("\n".join(texts), hint="start a worker that has it, or submit without --strict")


def lacking(spec: WorkflowSpec, run: submit.RunReply, settings: Settings) -> Operation[tuple[str, ...]]:
    """Return a warning for each handler of a run that no worker has offered, and shell steps nobody runs."""
    names = list(run.unknown)
    # that a worker has offered shell steps once says nothing: each `trib run` does
    if run.created and (beside := names_beside(spec)):
        offered = yield from submit.known_names()
        names += [name for name in beside if name not in {*names, *offered}]
    if run.created and settings.private is None and SHELL not in names and SHELL in handler_names(spec):
        known = yield from registered.handlers()
        names += [SHELL] * all(row.name != SHELL or not row.served for row in known)
    return (yield from unknown(names)) if names else ()


def unknown(names: Iterable[str]) -> Operation[tuple[str, ...]]:
    """Return a warning for each handler name that no worker has offered, with the nearest known one."""
    known = yield from submit.known_names()
    return unknown_texts(names, known)


def unknown_texts(names: Iterable[str], known: Iterable[str], *, waits: bool = True) -> tuple[str, ...]:
    """Return a sentence for each of the names; ``waits``: the work is stored all the same."""
    candidates = {*known, *REGISTRY.names()}
    texts = []
    for name in dict.fromkeys(names):
        if name == SHELL:
            texts.append(
                "no worker runs shell steps yet" + ("; it waits for one with --enable-shell" * waits)
            )
            continue
        wait = "; it waits for one" if waits else ""
        texts.append(f"no worker has offered the handler '{name}' yet{wait}{_guess(name, candidates)}")
    return tuple(texts)


def _guess(name: str, candidates: Iterable[str]) -> str:
    known = sorted(candidates)
    near = [] if name in known else difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
