"""Circuit breakers and buckets of tokens in SQL, by a clock of ours."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tributary_daemon.store import db, flow

TERMS = flow.BreakerTerms(failures=3, window=60.0, wait=30.0, probes=2)


class Flow:
    """Says what hooks would, on one connection."""

    def __init__(self, connection):
        self.connection = connection
        self.at(0)

    def at(self, seconds):
        self.connection.execute(
            "select set_config('tributary.fake_now',"
            " (timestamptz '2030-01-01Z' + make_interval(secs => %s))::text, false)",
            [seconds],
        )

    def ask(self, name="bank", tenant="", terms=TERMS):
        return db.run(self.connection, flow.ask_breaker(tenant, name, terms))

    def tell(self, *, good, token=None, name="bank", tenant="", terms=TERMS):
        return db.run(self.connection, flow.tell_breaker(tenant, name, terms, good=good, token=token))

    def open(self):
        return [self.tell(good=False) for _ in range(3)]

    def take(self, name="api", rate=(2, 1), burst=2, tenant=""):
        return db.run(self.connection, flow.take_token(tenant, name, rate, burst))

    def rows(self, table):
        return self.connection.execute(f"select count(*) from tributary.{table}").fetchone()[0]


@pytest.fixture
def said(connection):
    connection.autocommit = True
    return Flow(connection)


def test_failures_within_the_window_open_it(said):
    assert said.ask() == ("closed", None, None)
    assert said.open() == [None, None, "opened"]
    assert said.ask() == ("open", 30.0, None)
    assert said.ask("other").state == "closed"
    assert said.ask(tenant="acme").state == "closed"


def test_failures_further_apart_do_not(said):
    for number in range(6):
        said.at(31 * number)
        assert said.tell(good=False) is None
    assert said.ask().state == "closed"


def test_while_it_is_open_failures_that_began_before_change_nothing(said):
    said.open()
    said.at(10)
    assert said.tell(good=False) is None
    assert said.ask() == ("open", 20.0, None)


def test_probes_that_succeed_close_it(said):
    said.open()
    said.at(30)
    first, second = said.ask(), said.ask()
    assert first.state == second.state == "half_open"
    assert first.token == second.token
    # no more than two at once; the others look again soon
    assert said.ask() == ("open", 3.0, None)
    assert said.tell(good=True, token=first.token) is None
    assert said.tell(good=True, token=second.token) == "closed"
    assert said.ask().state == "closed"
    assert said.rows("circuit_breakers") == 0


def test_a_probe_that_fails_opens_it_again_and_late_ones_say_nothing(said):
    said.open()
    said.at(30)
    first, second = said.ask(), said.ask()
    assert said.tell(good=False, token=first.token) == "opened"
    assert said.ask() == ("open", 30.0, None)
    assert said.tell(good=True, token=second.token) is None
    said.at(60)
    third = said.ask()
    assert third.token > first.token
    assert said.tell(good=False, token=second.token) is None
    assert said.ask().state == "half_open"


def test_a_probe_that_was_put_off_gives_its_place_back(said):
    said.open()
    said.at(30)
    first, _ = said.ask(), said.ask()
    assert said.tell(good=None, token=first.token) is None
    assert said.ask().state == "half_open"
    assert said.tell(good=None) is None


def test_probes_that_never_answer_are_replaced(said):
    said.open()
    said.at(30)
    lost = (said.ask(), said.ask())
    said.at(59)
    assert said.ask().state == "open"
    said.at(60)
    assert said.ask().state == "half_open"
    assert said.tell(good=True, token=lost[0].token) is None


def test_while_it_is_half_open_other_failures_say_nothing(said):
    said.open()
    said.at(30)
    said.ask()
    assert said.tell(good=False) is None
    assert said.ask().state == "half_open"


def test_breakers_at_rest_are_swept(said):
    for name in "abc":
        said.tell(good=False, name=name)
    said.at(2 * 86_400)
    said.tell(good=False, name="d")
    assert said.rows("circuit_breakers") == 1


def test_of_many_that_ask_at_once_only_the_probes_pass(said, database):
    said.open()
    said.at(30)
    passed = []

    def ask():
        with psycopg.connect(database, autocommit=True) as own:
            other = Flow(own)
            other.at(30)
            passed.extend(other.ask().state for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(passed) == ["half_open"] * 2 + ["open"] * 18


def test_a_bucket_gives_what_it_holds_and_then_what_comes(said):
    assert [said.take(), said.take()] == [0.0, 0.0]
    # who is put off comes back one after the other
    assert [said.take(), said.take(), said.take()] == pytest.approx([0.5, 1.0, 1.5])
    said.at(0.5)
    assert said.take() == 0.0
    assert said.take() == pytest.approx(1.5)
    said.at(60)
    assert [said.take(), said.take(), said.take()] == pytest.approx([0.0, 0.0, 0.5])


def test_buckets_are_apart_by_name_and_tenant(said):
    assert [said.take(burst=1), said.take("b", burst=1), said.take(burst=1, tenant="t")] == [0.0] * 3
    assert said.take(burst=1) > 0


def test_a_slow_rate_is_counted_exactly(said):
    assert said.take(rate=(1, 90), burst=1) == 0.0
    said.at(60)
    assert said.take(rate=(1, 90), burst=1) == pytest.approx(30.0)
    said.at(90)
    assert said.take(rate=(1, 90), burst=1) == 0.0


def test_a_clock_that_was_set_back_begins_anew(said):
    said.at(100)
    said.take(burst=1)
    said.at(0)
    assert said.take(burst=1) > 0
    said.at(1)
    assert said.take(burst=1) == 0.0


def test_full_buckets_are_swept(said):
    for name in "abc":
        said.take(name)
    said.at(3600)
    said.take("d")
    assert said.rows("rate_buckets") == 1


def test_of_many_that_take_at_once_only_so_many_get_one(said, database):
    taken = []

    def take():
        with psycopg.connect(database, autocommit=True) as own:
            other = Flow(own)
            taken.extend(other.take(rate=(1, 90), burst=7) for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0.0 for wait in taken) == 7
    assert len({wait for wait in taken if wait}) == 13
