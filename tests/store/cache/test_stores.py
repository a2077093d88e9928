"""What every store of the step cache holds to; each of them on a real server."""

from __future__ import annotations

import threading
import uuid

import pytest

from tributary_daemon.model.caching import CacheKey, Holder, digest_of
from tributary_daemon.store.cache.entries import FORGOTTEN, Busy, Hit, Mine

# no server is made for that, and memory is nobody else's
SPEAKERS = 8


def key(name="tea", ttl=3600.0, step="t.price.v1", tenant=""):
    """Return a key."""
    return CacheKey(digest_of([step, name, tenant]), tenant, step, "v1", "global", None, ttl)


def holder(seq=1):
    """Return a lease that nobody else has."""
    return Holder(str(uuid.uuid4()), 1, seq)


def test_who_asks_first_makes_it_and_the_others_learn_who(store):
    me, you = holder(), holder()
    assert store.begin(key(), me) == Mine()
    assert store.begin(key(), you) == Busy(me, 0.0)
    assert store.begin(key("jam"), you) == Mine()


@pytest.mark.parametrize(
    "value",
    [
        '{"b":1,"a":0.1}',
        '"\\u0000"',
        "null",
        '"Grüße \U0001f375"',
        "1e400",
        "[1.0,1]",
        '"' + "x" * 300_000 + '"',
    ],
    ids=["order", "nul", "null", "unicode", "number", "floats", "large"],
)
def test_a_result_comes_back_to_the_letter(opens, value):
    me = holder()
    store, other = opens(), opens()
    assert store.begin(key(), me) == Mine()
    assert store.fill(key(), me, value)
    assert other.begin(key(), holder()) == Hit(value)
    assert store.begin(key(), holder()) == Hit(value)


def test_only_who_makes_it_fills_it(store):
    me, you = holder(), holder()
    store.begin(key(), me)
    assert not store.fill(key(), you, "1")
    assert not store.fill(key(), me._replace(seq=2), "1")
    assert not store.fill(key("jam"), me, "1")
    assert not store.give_up(key(), you)
    assert store.begin(key(), you) == Busy(me, 0.0)
    assert store.fill(key(), me, "1")
    assert not store.fill(key(), me, "2")
    assert not store.give_up(key(), me)
    assert store.begin(key(), you) == Hit("1")


def test_who_gives_up_lets_the_next_one_make_it(store):
    me, you = holder(), holder()
    store.begin(key(), me)
    assert store.give_up(key(), me)
    assert not store.give_up(key(), me)
    assert store.begin(key(), you) == Mine()
    assert not store.fill(key(), me, "1")


def test_what_is_taken_over_is_the_new_holders_alone(store, clock):
    me, you, third = holder(), holder(), holder()
    store.begin(key(), me)
    clock.move(5)
    assert store.begin(key(), third).age == pytest.approx(5, abs=0.001)
    assert not store.take_over(key(), third, you)
    assert store.take_over(key(), me, you)
    assert not store.take_over(key(), me, third)
    assert store.begin(key(), third) == Busy(you, 0.0)
    assert not store.fill(key(), me, "1")
    assert store.fill(key(), you, "2")
    assert not store.take_over(key(), you, third)
    assert store.begin(key(), third) == Hit("2")


def test_what_has_expired_is_made_anew(store, clock):
    me, you = holder(), holder()
    store.begin(key(ttl=60.0), me)
    clock.move(100)
    # an attempt may take longer than its result is good for
    assert store.begin(key(ttl=60.0), you).holder == me
    store.fill(key(ttl=60.0), me, "1")
    clock.move(59)
    assert store.begin(key(ttl=60.0), you) == Hit("1")
    clock.move(2)
    assert store.begin(key(ttl=60.0), you) == Mine()
    assert not store.fill(key(ttl=60.0), me, "2")
    assert store.fill(key(ttl=60.0), you, "3")
    assert store.begin(key(ttl=60.0), me) == Hit("3")


def test_without_ttl_a_result_stays(store, clock):
    me = holder()
    store.begin(key(ttl=None), me)
    store.fill(key(ttl=None), me, "1")
    clock.move(10 * 365 * 86_400)
    assert store.begin(key(ttl=None), holder()) == Hit("1")
    assert store.purge(None, expired=True) == 0


def test_stats_add_up_by_handler_and_purge_removes(store, clock):
    for name, step, ttl, value in [
        ("a", "t.price.v1", 60.0, '"ä"'), ("b", "t.price.v1", None, "12"), ("c", "t.other.v1", None, "1"),
    ]:  # fmt: skip
        store.begin(key(name, ttl, step), me := holder())
        store.fill(key(name, ttl, step), me, value)
    store.begin(key("d", 60.0), holder())
    assert [tuple(stat)[:5] for stat in store.stats()] == [
        ("t.price.v1", 2, 1, 0, 6),
        ("t.other.v1", 1, 0, 0, 1),
    ]
    clock.move(61)
    stats = store.stats()
    assert stats[0].expired == 1
    assert stats[0].oldest.timestamp() == pytest.approx(clock.now - 61, abs=0.001)
    assert store.purge("t.other.v1", expired=True) == 0
    assert store.purge(None, expired=True) == 1
    assert store.purge("t.price.v1", expired=False) == 2
    assert store.purge(None, expired=False) == 1
    assert store.stats() == []


def test_what_is_purged_while_it_is_made_is_not_kept(store):
    me = holder()
    store.begin(key(), me)
    assert store.purge(None, expired=False) == 1
    assert not store.fill(key(), me, "1")
    assert store.begin(key(), holder()) == Mine()


def test_what_nobody_fills_is_forgotten_one_day(store, clock):
    store.begin(key(), holder())
    clock.move(FORGOTTEN - 1)
    assert store.purge(None, expired=True) == 0
    clock.move(2)
    assert store.purge(None, expired=True) == 1


def test_of_many_at_once_one_makes_it_and_one_takes_it_over(opens):
    me = holder()
    stores = [opens() for _ in range(SPEAKERS)]
    holders = [holder() for _ in stores]

    def together(ask):
        """Return what each of them says, when all ask at the same moment."""
        answers, barrier = [None] * SPEAKERS, threading.Barrier(SPEAKERS)

        def speak(at):
            barrier.wait()
            answers[at] = ask(stores[at], holders[at])

        threads = [threading.Thread(target=speak, args=(at,)) for at in range(SPEAKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    for name in "abcde":
        answers = together(lambda store, own, name=name: store.begin(key(name), own))
        (winner,) = [own for own, answer in zip(holders, answers, strict=True) if answer == Mine()]
        assert {answer.holder for answer in answers if isinstance(answer, Busy)} == {winner}
    stores[0].begin(key("old"), me)
    assert together(lambda store, own: store.take_over(key("old"), me, own)).count(True) == 1
    # what has expired is made anew by one of them
    stores[0].begin(key("new", -1.0), me)
    stores[0].fill(key("new", -1.0), me, "1")
    assert together(lambda store, own: store.begin(key("new"), own)).count(Mine()) == 1
