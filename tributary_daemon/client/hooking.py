"""The hooks of a client: called between the checks of a submit and its recording, and after it."""

from __future__ import annotations

import copy
import inspect
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tributary_daemon import codec
from tributary_daemon.client import submitting
from tributary_daemon.client.documents import IntentDocument
from tributary_daemon.engine.crossing import Crossing, LoopThread
from tributary_daemon.engine.hooking import tell, there
from tributary_daemon.handlers.hooks import Hook, Host, Work, is_for, overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tributary_daemon.client.documents import Document
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.submitting import Checked, Submitted
    from tributary_daemon.store.submit import Terms


class SubmitHooks:
    """The hooks of one client.

    Args:
        hooks: the first is the nearest to the database: called last before a submit, and first after it, as
            it is the first around an attempt; copied, opened on first use.
        url: of the database.
    """

    def __init__(self, hooks: Sequence[Hook], url: Callable[[], str]) -> None:
        self._hooks = tuple(copy.copy(hook) for hook in hooks)
        self._host = Host(url, "client", "client")
        self._lock = threading.Lock()
        self._opened = False
        self._loop = LoopThread()

    @property
    def largest(self) -> int | None:
        """Bytes of JSON that one of the hooks can take in; None for no more than any other client."""
        return max((hook.largest for hook in self._hooks if hook.largest is not None), default=None)

    def takes(self, settings: Settings) -> Settings:
        """Return settings under which what the hooks can take in passes the checks."""
        if self.largest is None:
            return settings
        return replace(settings, max_payload=max(settings.max_payload, self.largest))

    @property
    def keep(self) -> bool:
        """Whether one of them keeps values elsewhere."""
        return any(overrides(hook, "load") for hook in self._hooks)

    def loaded(self, document: Document) -> Document:
        """Return a run or an intent with what hooks keep elsewhere in its place."""
        self._open()
        tenant = document.tenant

        def load(value: Any) -> Any:
            for hook in self._hooks:
                value = hook.load(tenant, value)
            return value

        if isinstance(document, IntentDocument):
            return replace(document, payload=load(document.payload), result=load(document.result))
        steps = {name: replace(step, result=load(step.result)) for name, step in document.steps.items()}
        return replace(document, inputs=load(document.inputs), result=load(document.result), steps=steps)

    def before(self, works: Sequence[Work]) -> list[Work]:
        """Return works as the hooks leave them; whatever one raises refuses all."""
        self._open()
        done = []
        for given in works:
            work = given
            for hook in reversed(list(self._concerned(work, "before_submit"))):
                work = _with(work, self._here(hook.before_submit, work))
            done.append(work)
        return done

    async def abefore(self, works: Sequence[Work]) -> list[Work]:
        """Do the same in the running loop."""
        self._open()
        done = []
        for given in works:
            work = given
            for hook in reversed(list(self._concerned(work, "before_submit"))):
                work = _with(work, await there(hook, hook.before_submit, work))
            done.append(work)
        return done

    def after(self, works: Sequence[Work], receipts: Sequence[Submitted]) -> None:
        """Tell the hooks what was recorded; what they raise is told and changes nothing."""
        for work, receipt in zip(works, receipts, strict=True):
            for hook in self._concerned(work, "after_submit"):
                try:
                    self._here(hook.after_submit, work, receipt)
                except Exception as error:  # noqa: BLE001 - user code; the work is recorded whatever it raises
                    tell(hook, "after_submit", work.name, error)

    async def aafter(self, works: Sequence[Work], receipts: Sequence[Submitted]) -> None:
        """Do the same in the running loop."""
        for work, receipt in zip(works, receipts, strict=True):
            for hook in self._concerned(work, "after_submit"):
                try:
                    await there(hook, hook.after_submit, work, receipt)
                except Exception as error:  # noqa: BLE001 - user code; the work is recorded whatever it raises
                    tell(hook, "after_submit", work.name, error)

    def close(self) -> None:
        """Close those that were opened; the next submit opens them again."""
        with self._lock:
            opened, self._opened = self._opened, False
        for hook in reversed(self._hooks if opened else ()):
            try:
                hook.close()
            except Exception as error:  # noqa: BLE001 - user code; the others are to be closed all the same
                tell(hook, "close", "", error)
        self._loop.close()

    def _open(self) -> None:
        with self._lock:
            if not self._opened:
                for hook in self._hooks:
                    hook.open(self._host)
                self._opened = True

    def _concerned(self, work: Work, method: str) -> Iterator[Hook]:
        return (hook for hook in self._hooks if overrides(hook, method) and is_for(hook, work.name))

    def _here(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if not inspect.iscoroutinefunction(method):
            return method(*arguments)
        return Crossing(self._loop.get()).run(method(*arguments))


def _with(work: Work, payload: Any) -> Work:
    return work if payload is None else replace(work, payload=payload)


def works_of(checked: Checked, *, borrowed: bool) -> list[Work]:
    """Return what hooks see of a submit: the work itself, then the steps that come with a payload."""
    work, terms = checked.work, checked.terms
    if isinstance(work, submitting.Intent):
        return [_work("intent", work.name, work.payload, terms, borrowed=borrowed)]
    found = [_work("run", work.spec.name, work.inputs, terms, borrowed=borrowed)]
    payloads = json.loads(work.payloads) if work.payloads else {}
    names = {step.id: step.name for step in work.spec.steps}
    found += [
        Work(
            kind="step", name=names[step], payload=payload, tenant=terms.tenant, step=step, borrowed=borrowed
        )
        for step, payload in payloads.items()
    ]
    return found


def with_payloads(checked: Checked, works: Sequence[Work], settings: Settings) -> Checked:
    """Return what is to be stored, with the payloads that hooks have left.

    Raises:
        InvalidInput: one of them cannot be stored as JSON, or is too large.
    """
    text = codec.dumps(works[0].payload, max_bytes=settings.max_payload)
    if isinstance(checked.work, submitting.Intent):
        return replace(checked, work=replace(checked.work, payload=text))
    payloads = {}
    for work in works[1:]:
        what = f"steps.{work.step}.with"
        payloads[work.step] = codec.loads(
            codec.dumps(work.payload, what=what, max_bytes=settings.max_payload), what=what
        )
    run = replace(checked.work, inputs=text, payloads=json.dumps(payloads) if payloads else None)
    return replace(checked, work=run)


def many_of(name: str, texts: Sequence[str], terms: Terms, *, borrowed: bool) -> list[Work]:
    """Return what hooks see of many intents of one name."""
    return [_work("intent", name, text, terms, borrowed=borrowed) for text in texts]


def texts_of(works: Sequence[Work], settings: Settings) -> list[str]:
    """Return the payloads that hooks have left, as JSON texts.

    Raises:
        InvalidInput: one of them cannot be stored.
    """
    return [
        codec.dumps(work.payload, what=f"payloads[{index}]", max_bytes=settings.max_payload)
        for index, work in enumerate(works)
    ]


def receipts_of(ids: Sequence[str], name: str, terms: Terms) -> list[Submitted]:
    """Return the receipts of many intents of one name."""
    state = "available" if terms.run_at is None and not terms.delay else "scheduled"
    return [
        submitting.Submitted(id=each, kind="intent", name=name, state=state, created=True) for each in ids
    ]


def _work(kind: Any, name: str, text: str, terms: Terms, *, borrowed: bool) -> Work:
    return Work(
        kind=kind, name=name, payload=codec.loads(text), tenant=terms.tenant, key=terms.key,
        options={**terms.submit, **terms.special}, borrowed=borrowed,
    )  # fmt: skip
