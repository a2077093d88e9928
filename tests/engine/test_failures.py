"""What an exception means, and the record that is kept of it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.engine.failures import (
    MESSAGE_BYTES,
    TRACEBACK_BYTES,
    clean,
    outcome_of,
    record,
    timed_out,
)
from tributary_daemon.engine.lease import Lease
from tributary_daemon.errors import Abort, CodecError, ShellFailed
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.registry import Handler
from tributary_daemon.model.outcome import Discarded, Failed
from tributary_daemon.model.retry import Retry


class PaymentError(OSError):
    """A class of the user's."""


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def work() -> None: ...


def plain(**options):
    return Handler(name="a.b.v1", declared=work, is_async=False, **options)


def test_the_wait_grows_with_the_failures_of_the_policy(a_lease):
    policy = Retry(delay=2, jitter=0)
    waits = [outcome_of(OSError(), plain(), a_lease(retry=policy, attempt=n)).delay for n in (1, 2, 3)]
    assert waits == [2.0, 4.0, 8.0]
    # two of the four attempts ended with their process, which is no failure of the handler
    assert outcome_of(OSError(), plain(), a_lease(retry=policy, attempt=4, crashes=2)).delay == 4.0


def test_the_default_policy_is_that_of_the_kind(a_lease):
    assert 0.9 <= outcome_of(OSError(), plain(), a_lease(kind="step")).delay <= 1.1
    assert 54 <= outcome_of(OSError(), plain(), a_lease(kind="intent")).delay <= 66


def test_jitter_comes_from_the_given_source(a_lease):
    first = outcome_of(OSError(), plain(), a_lease(), Random(1))
    assert first.delay == outcome_of(OSError(), plain(), a_lease(), Random(1)).delay


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (Retry(on=("PaymentError",)), Failed),
        (Retry(on=(f"{__name__}.PaymentError",)), Failed),
        (Retry(on=("OSError",)), Failed),
        (Retry(on=("ValueError",)), Discarded),
        (Retry(not_on=("PaymentError",)), Discarded),
        (Retry(not_on=("OSError",)), Discarded),
        (Retry(on=("OSError",), not_on=("PaymentError",)), Discarded),
        (Retry(on=("PaymentError",), not_on=("OSError",)), Discarded),
        (Retry(on_exit=(75,)), Failed),
    ],
    ids=repr,
)
def test_policies_see_the_bases_of_an_error_too(a_lease, policy, kind):
    assert type(outcome_of(PaymentError(), plain(), a_lease(retry=policy))) is kind


@pytest.mark.parametrize(
    ("entry", "kind"),
    [("*.PaymentError", Discarded), ("*: *declined*", Discarded), ("*: *approved*", Failed)],
)
def test_policies_may_tell_errors_apart_by_patterns(a_lease, entry, kind):
    error = PaymentError("card declined (51)")
    assert type(outcome_of(error, plain(), a_lease(retry=Retry(not_on=(entry,))))) is kind


def test_a_failure_among_parallel_ones_is_told_by_its_causes(a_lease):
    error = ExceptionGroup(
        "unhandled errors in a TaskGroup", [ValueError("no such seat"), ExceptionGroup("", [KeyError("row")])]
    )
    told = outcome_of(error, plain(), a_lease()).error
    assert told.type == "ExceptionGroup"
    assert told.message == (
        "unhandled errors in a TaskGroup: ValueError: no such seat; KeyError: missing key 'row'"
    )
    many = record(ExceptionGroup("all", [ValueError(n) for n in range(9)]), a_lease())
    assert many.message == f"all: {'; '.join(f'ValueError: {n}' for n in range(5))}; and 4 more"


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (Retry(on=("PaymentError",)), Failed),
        (Retry(not_on=("OSError",)), Discarded),
        (Retry(not_on=("ExceptionGroup",)), Discarded),
        (Retry(on=("KeyError",)), Discarded),
        (Retry(not_on=("*: *declined*",)), Discarded),
    ],
    ids=repr,
)
def test_policies_see_the_errors_of_a_group(a_lease, policy, kind):
    error = ExceptionGroup("two", [ExceptionGroup("one", [PaymentError("declined")]), ValueError()])
    assert type(outcome_of(error, plain(), a_lease(retry=policy))) is kind


@pytest.mark.parametrize("run", [False, True])
def test_an_abort_beats_all_beside_it(a_lease, run):
    error = ExceptionGroup("two", [OSError("weather"), ExceptionGroup("one", [Abort("sold out", run=run)])])
    judge = plain(retry_if=lambda _: True)
    outcome = outcome_of(error, judge, a_lease(retry=Retry(on=("OSError", "Abort"))))
    assert type(outcome) is Discarded
    assert (outcome.abort_run, outcome.error.type, outcome.error.message) == (run, "Abort", "sold out")
    assert outcome.error.reason == "aborted"
    assert "weather" in outcome.error.traceback


def test_exit_codes(a_lease):
    policy = Retry(on_exit=(75,))
    again = outcome_of(ShellFailed("busy", 75), plain(), a_lease(retry=policy))
    ended = outcome_of(ShellFailed("broken", 1), plain(), a_lease(retry=policy))
    assert (type(again), again.error.exit_code, again.error.type) == (Failed, 75, "ShellFailed")
    assert (type(ended), ended.error.exit_code) == (Discarded, 1)


def test_a_script_that_fails_has_no_traceback_and_a_handler_has(execute):
    @handler("a.b.v1")
    def work(code: int) -> None:
        if code:
            raise ShellFailed("broken", code)
        raise ValueError("broken")

    assert execute('{"code": 3}').error.traceback is None
    assert execute('{"code": 0}').error.traceback.startswith("Traceback")


def test_a_policy_may_leave_timeouts_out(a_lease):
    assert isinstance(timed_out(a_lease(timeout=2)), Failed)
    assert isinstance(timed_out(a_lease(timeout=2, retry=Retry(not_on=("HandlerTimeout",)))), Discarded)


def test_the_classifier_decides(a_lease):
    def is_weather(error):
        return "weather" in str(error)

    judge = plain(retry_if=is_weather)
    assert isinstance(outcome_of(OSError("bad weather"), judge, a_lease()), Failed)
    assert isinstance(outcome_of(OSError("bad luck"), judge, a_lease()), Discarded)
    # the policy is asked after it
    assert isinstance(
        outcome_of(OSError("weather"), judge, a_lease(retry=Retry(not_on=("OSError",)))), Discarded
    )


def test_a_broken_classifier_does_not_hide_the_error(a_lease):
    outcome = outcome_of(OSError("bad luck"), plain(retry_if=lambda error: error.nothing), a_lease())
    assert isinstance(outcome, Failed)
    assert outcome.error.message.startswith("bad luck (and retry_if failed: AttributeError: ")


def test_types_are_dotted_unless_built_in_or_ours(a_lease):
    kinds = [record(error, a_lease()).type for error in (ValueError(), CodecError("x"), PaymentError())]
    assert kinds == ["ValueError", "CodecError", f"{__name__}.PaymentError"]


def test_messages_can_be_stored(a_lease):
    found = record(ValueError("a\x00b\ud800c"), a_lease())
    assert found.message == "a\\x00b\\ud800c"
    assert record(ValueError(), a_lease()).message == "ValueError"
    assert record(MuteError(), a_lease()).message == "(its text cannot be made: RuntimeError)"
    assert record(SystemExit(3), a_lease()).message == "the handler exited with 3"


@given(st.text(st.characters()), st.integers(min_value=8, max_value=64))
def test_cleaned_text_is_short_and_storable(text, limit):
    cleaned = clean(text, limit)
    assert len(cleaned.encode()) <= limit
    assert "\x00" not in cleaned


def test_records_are_bounded(a_lease):
    def deep(n):
        if n:
            deep(n - 1)
        raise ValueError("ä" * 100_000)

    try:
        deep(50)
    except ValueError as error:
        found = record(error, a_lease())
    assert len(found.message.encode()) <= MESSAGE_BYTES
    assert len(found.traceback.encode()) <= TRACEBACK_BYTES


def test_tracebacks_start_in_the_handler_and_tell_causes(execute):

    @handler("a.b.v1")
    def outer() -> None:
        try:
            inner()
        except KeyError as error:
            raise ValueError("outer") from error

    def inner():
        raise KeyError("inner")

    trace = execute().error.traceback
    assert "executor.py" not in trace
    assert trace.index("in inner") < trace.index("direct cause") < trace.rindex("in outer")
    assert trace.rstrip().endswith("ValueError: outer")


def test_a_mute_cause_costs_no_more_than_its_text(a_lease):
    error = ValueError("loud")
    error.__cause__ = MuteError()
    assert record(error, a_lease()).message == "loud"


def test_leases_hold_values_only():
    assert not hasattr(Lease("r", 0, 1, "intent", "n", None, "q", 1, 3, 0, "{}"), "__dict__")
