# ruff: noqa: E501 - statements stand on one line
"""How often a login may submit: in every way there is to submit, and only for who may do nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.membership import logins
from tests.store import protocol_kit as kit
from tributary_daemon import Client
from tributary_daemon.errors import NotPossible

WAYS = {
    "submit_intent": "select tributary.submit_intent('t.work.v1')",
    "submit": "select tributary.submit('t.work.v1')",
    "submit, unique": """select tributary.submit('t.work.v1', '{}', '{"unique": {"key": "one"}}')""",
    "submit_named": "select tributary.submit_named('t.work.v1', true, '{}', null, '{}', null, null, 0, '', null)",
    "submit_alone": "call tributary.submit_alone('t.work.v1', false, '{}', null, '{}', null, null, 0, '', null,"
    " null, null, null, null, null, null, null, null, null)",
    "submit_intents": "select tributary.submit_intents('t.work.v1', array['{}']::jsonb[], '{}', null, null, '', null)",
    "the view": "insert into tributary.workflow_intent (name, payload) values ('t.work.v1', '{}')",
    "submit_workflow": "select tributary.submit_workflow('t.flow.v1')",
    "submit, a workflow": "select tributary.submit('t.flow.v1')",
    "submit, a unique workflow": """select tributary.submit('t.flow.v1', '{}', '{"unique": {"key": "one"}}')""",
}  # fmt: skip


@pytest.fixture(scope="module")
def urls(server, template):
    with logins(server, template) as made:
        with psycopg.connect(made["owner"], autocommit=True) as owner:
            kit.offer(owner)
            revision = kit.save(owner, kit.workflow("t.flow.v1", {"a": ()}))
            owner.execute("select tributary.register_workflow('t.flow.v1', %s, null)", (revision,))
        yield made


@pytest.fixture
def admin(urls):
    with psycopg.connect(urls["admin"], autocommit=True) as connection:
        yield connection
        connection.execute("delete from tributary.submit_limits")


@pytest.fixture
def shop(urls):
    with psycopg.connect(urls["submit"], autocommit=True) as connection:
        yield connection


def limit(admin, urls, rate, kind="submit"):
    user = conninfo_to_dict(urls[kind])["user"]
    return kit.scalar(admin, "select tributary.limit_submits(%s, %s)", user, rate)


def refused(connection, sql):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    assert caught.value.sqlstate == "TR004", caught.value
    return caught.value.diag


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_submit_spends_one(urls, admin, shop, way):
    assert limit(admin, urls, "3/d") == "3/d"
    for _ in range(3):
        shop.execute(WAYS[way])
    said = refused(shop, WAYS[way])
    assert "may submit 3/d, and has used that up" in said.message_primary
    assert said.message_hint.startswith("again in 28")
    assert kit.scalar(admin, "select round(tokens::numeric, 2) from tributary.submit_limits") == 0
    assert limit(admin, urls, "none") is None
    shop.execute(WAYS[way])


def test_what_was_rolled_back_or_refused_is_not_spent(urls, admin, shop):
    limit(admin, urls, "2/d")
    for _ in range(3):
        with shop.transaction(force_rollback=True):
            shop.execute(WAYS["submit_intent"])
    refused(
        shop,
        "select tributary.submit_intents('t.work.v1', array_fill('{}'::jsonb, array[3]), '{}', null, null, '', null)",
    )
    shop.execute(WAYS["submit_intent"])
    shop.execute(WAYS["submit_intent"])
    refused(shop, WAYS["submit_intent"])


def test_a_batch_larger_than_the_limit_never_fits_and_is_told_so(urls, admin, shop):
    limit(admin, urls, "2/s")
    said = refused(
        shop,
        "select tributary.submit_intents('t.work.v1', array_fill('{}'::jsonb, array[3]), '{}', null, null, '', null)",
    )
    assert said.message_hint == "submit fewer at once"


def test_the_limit_fills_again(urls, admin, shop, eventually):
    limit(admin, urls, "1/1s")
    shop.execute(WAYS["submit_intent"])
    refused(shop, WAYS["submit_intent"])

    def goes_again():
        try:
            shop.execute(WAYS["submit_intent"])
        except psycopg.Error:
            return False
        return True

    eventually(goes_again, 20, "a second has passed")


def test_clients_are_told_in_their_words(urls, admin):
    limit(admin, urls, "2/d")
    with Client(urls["submit"]) as client:
        client.submit("t.work.v1", {})
        for submit in (
            lambda: client.submit_many("t.work.v1", [{}, {}]),
            lambda: client.submit("t.work.v1", {}) and client.submit("t.work.v1", {}),
        ):
            with pytest.raises(NotPossible, match="has used that up") as caught:
                submit()
            assert caught.value.hint.startswith("again in ")


def test_two_transactions_of_one_login_wait_for_each_other_in_one_order(urls, admin, shop, eventually):
    """Who waits for the bucket holds no key yet, so who has the bucket may ask for any."""
    limit(admin, urls, "10/d")
    keyed = "select tributary.submit_intent('t.work.v1', idempotency_key => 'both')::text"
    with psycopg.connect(urls["submit"]) as first, ThreadPoolExecutor(1) as pool:
        first.execute(WAYS["submit_intent"])
        second = pool.submit(lambda: shop.execute(keyed).fetchone())
        with psycopg.connect(urls["owner"], autocommit=True) as observer:
            eventually(lambda: kit.waits(observer, shop.info.backend_pid), 20, "it waits for the bucket")
        mine = first.execute(keyed).fetchone()
        first.commit()
        assert second.result(20) == mine


@pytest.mark.parametrize("kind", ["worker", "admin"])
def test_who_writes_the_rows_itself_is_not_limited(urls, admin, kind):
    limit(admin, urls, "1/d", kind)
    with psycopg.connect(urls[kind], autocommit=True) as connection:
        for _ in range(3):
            connection.execute(WAYS["submit_intent"])


@pytest.mark.parametrize(
    ("role", "rate", "code", "words"),
    [
        ("nobody-at-all", "1/s", "TR003", "there is no login"),
        (None, "0/s", "TR001", "a rate of 0"),
        (None, "much", "TR001", "is not a rate"),
        (None, None, "TR001", "NULL is not a rate"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(urls, admin, role, rate, code, words):
    role = role or conninfo_to_dict(urls["submit"])["user"]
    with pytest.raises(psycopg.Error, match=words) as caught:
        admin.execute("select tributary.limit_submits(%s, %s)", (role, rate))
    assert caught.value.sqlstate == code
