"""Runs the cases of a test file, each on a database of its own, and says what became of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tributary_daemon.cli.mocks import Mocks, without_mocked_children
from tributary_daemon.client.documents import RunDocument
from tributary_daemon.errors import InvalidInput, InvalidWorkflow, NotFound, NotPossible, TributaryError
from tributary_daemon.hooks.loading import make
from tributary_daemon.model.control import UNDO_PREFIX
from tributary_daemon.testing import Bench
from tributary_daemon.tools.cases import split
from tributary_daemon.tools.comparing import Difference, differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tributary_daemon.handlers.registry import Registry
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.tools.cases import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one case.

    Attributes:
        name: of the case.
        seconds: that it took.
        state: in which the run ended; None when it did not.
        missing: steps that ran into the lack of a mock.
        refusal: why it was not recorded or did not end.
        differences: between what was expected and what came.
        errors: of the run and of its steps, for people who look for the cause.
    """

    name: str
    seconds: float
    state: str | None = None
    missing: tuple[str, ...] = ()
    refusal: str | None = None
    differences: tuple[Difference, ...] = ()
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not (self.missing or self.refusal or self.differences)

    def to_json(self) -> dict[str, Any]:
        """Return the trial as ``trib test -o json`` prints it."""
        return {
            "name": self.name,
            "passed": self.passed,
            "state": self.state,
            "missing": list(self.missing),
            "refusal": self.refusal,
            "differences": [one.to_json() for one in self.differences],
            "errors": self.errors,
            "seconds": round(self.seconds, 3),
        }


def attempt(
    case: Case,
    spec: WorkflowSpec,
    known: Registry,
    *,
    url: str,
    real: bool,
    hooks: Sequence[Mapping[str, Any]] = (),
) -> Trial:
    """Run one case.

    Args:
        case: what to run.
        spec: of the workflow.
        known: the handlers of this process.
        url: of the server on which its database is made.
        real: handlers that nothing mocks run themselves.
        hooks: tables of a configuration; each case has objects of its own.

    Raises:
        DatabaseError: the database cannot be made.
        InvalidWorkflow: it asks for what cannot be executed yet.
    """
    began = time.monotonic()
    mocks = Mocks(case)
    spec = without_mocked_children(spec, case)
    registry = mocks.registry(spec, known, real=real)
    with Bench(registry=registry, url=url, hooks=make(hooks)) as bench:
        mocks.item = bench.item
        try:
            document = bench.run(spec, case.inputs)
        except InvalidWorkflow:
            # what the file asks for cannot be executed: no case could change that
            raise
        except (InvalidInput, NotFound, NotPossible) as error:
            told = error.message if error.hint is None else f"{error.message} ({error.hint})"
            return _refused(case, began, mocks, told)
        except TributaryError:
            raise
        except Exception as error:
            if not hooks:
                raise
            # what a hook raises before a submit refuses it
            return _refused(case, began, mocks, f"{type(error).__name__}: {error}")
        assert isinstance(document, RunDocument)
        steps = _steps(case, document, bench, mocks)
    plain = document.to_json()
    return Trial(
        name=case.name,
        seconds=time.monotonic() - began,
        state=document.state,
        missing=tuple(mocks.missing),
        # what else differs then follows from that
        differences=() if mocks.missing else tuple(differences(case.expect, plain, steps)),
        errors=_errors(plain),
    )


def _refused(case: Case, began: float, mocks: Mocks, told: str) -> Trial:
    return Trial(name=case.name, seconds=time.monotonic() - began, missing=tuple(mocks.missing), refusal=told)


def _steps(case: Case, document: RunDocument, bench: Bench, mocks: Mocks) -> dict[str, dict[str, Any]]:
    found = {name: step.to_json() for name, step in document.steps.items()}
    keyed = {step for step, key in map(split, case.expect.steps) if key is not None}
    # what undoes an item is a step of its own
    for name in {step for step in keyed if not step.startswith(UNDO_PREFIX)}:
        for item in bench.client.items(document.id, name):
            found[f"{name}[{item.key}]"] = item.to_json()
    for name, payload in mocks.got.items():
        if name in found:
            found[name]["with"] = payload
    return found


def _errors(run: dict[str, Any]) -> dict[str, str]:
    places = {"run": run["error"], **{f"steps.{name}": step["error"] for name, step in run["steps"].items()}}
    return {place: f"{error['type']}: {error['message']}" for place, error in places.items() if error}
