"""Handlers that stand in for the bodies of steps while a test case runs."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import errors
from tributary_daemon.errors import Abort, ShellFailed
from tributary_daemon.handlers.builtin.drills import AnyJson  # noqa: TC001 - signatures are read
from tributary_daemon.handlers.registry import Handler, Registry
from tributary_daemon.tools.cases import MOCKED_WHOLE, Body, bodies_of, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.handlers.step import Step
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.tools.cases import Case, Fault, Mock

HARMLESS: Final = frozenset({"trib.noop.v1", "trib.fail.v1"})
"""Run as they are unless they are mocked: they have no effects."""
CHILD: Final = "test.child.v1"
"""The handler that stands in for a sub-workflow as a whole, and for what a wait waits for."""
_RAISED: Final = ("Abort", "HandlerTimeout")


class Mocks:
    """The mocks of one case.

    Attributes:
        got: the input that each body got last, by step or item.
        missing: what ran into the lack of a mock, in order.
        item: returns the key of the item whose body runs now, None for that of a plain step.
    """

    def __init__(self, case: Case) -> None:
        self.got: dict[str, Any] = {}
        self.missing: list[str] = []
        self.item: Callable[[], str | None] = _no_item
        self._case = case
        self._bodies: set[Body] = set()

    def registry(self, spec: WorkflowSpec, known: Registry, *, real: bool) -> Registry:
        """Return the handlers for a run of the workflow: none but mocks, and those that may run.

        Args:
            spec: of the case.
            known: the handlers of this process; options of those that are mocked are kept.
            real: a handler that nothing in the case mocks runs itself.
        """
        made = Registry()
        users: dict[str, set[str]] = {name: set() for name in HARMLESS}
        self._bodies = set(bodies_of(spec))
        for body in self._bodies:
            users.setdefault(body.name, set()).update({body.step} if body.own else ())
        mocked = {split(key)[0] for key in self._case.mocks}
        for name, steps in users.items():
            may_run = name in HARMLESS or (real and self._case.default is None)
            if may_run and name in known and not mocked & {name, *steps}:
                made.add(known.get(name))
                continue
            own = Handler(name=name, declared=_body(self, name), is_async=False)
            if name in known:
                own = replace(own, options=known.get(name).options, retry_if=known.get(name).retry_if)
            made.add(own)
        return made

    def answer(self, name: str, payload: Any, step: Step) -> Any:
        """Do what the mock of a step says.

        Raises:
            Abort: there is none; it is noted as missing.
        """
        key = self.item()
        place = step.id if key is None else f"{step.id}[{key}]"
        self.got[place] = payload
        mock = self._find(name, step.id, place)
        if mock is None:
            if self._case.default is not None:
                return self._case.default.result
            lack = f"step {place!r} ({name}) has no mock"
            if lack not in self.missing:
                self.missing.append(lack)
            raise Abort(lack)
        turn = mock.turn(step.attempt)
        if turn.error is not None:
            raise exception(turn.error)
        return turn.result

    def _find(self, name: str, step: str, place: str) -> Mock | None:
        # the mock of a step is no mock of the handler that aggregates its items
        near = (place, step) if Body(step, name, own=True) in self._bodies else (place,)
        for key in (*near, name):
            if key in self._case.mocks:
                return self._case.mocks[key]
        return None


def without_mocked_children(spec: WorkflowSpec, case: Case) -> WorkflowSpec:
    """Return the workflow with plain steps in place of sub-workflows and waits that the case mocks."""
    mocked = {split(key)[0] for key in case.mocks}
    steps = [
        replace(
            step,
            action="task",
            name=CHILD,
            workflow=None,
            wait=None,
            approve=None,
            # what it stands for is tried once unless it says more; a plain step three times
            options={"max_attempts": 1, **spec.defaults, **step.options},
        )
        if step.action in MOCKED_WHOLE and step.id in mocked
        else step
        for step in spec.steps
    ]
    return replace(spec, steps=tuple(steps))


def _no_item() -> None:
    """Stands in until there is something that knows of items."""


def _body(mocks: Mocks, name: str) -> Callable[..., Any]:
    def body(payload: AnyJson, step: Step) -> Any:
        return mocks.answer(name, payload.root, step)

    return body


def exception(fault: Fault) -> BaseException:
    """Return the error that a mock raises: of the class that is named, or of one made for it."""
    if fault.exit_code is not None:
        return ShellFailed(fault.message, fault.exit_code)
    if fault.type in _RAISED:
        kind: type[BaseException] = getattr(errors, fault.type)
        return kind(fault.message)
    built_in = getattr(builtins, fault.type, None)
    module, _, name = fault.type.rpartition(".")
    if isinstance(built_in, type) and issubclass(built_in, Exception):
        try:
            return built_in(fault.message)
        except TypeError:
            # some want more than a text, such as UnicodeDecodeError
            name = fault.type
    own: type[Exception] = type(name, (Exception,), {"__module__": module or builtins.__name__})
    return own(fault.message)
