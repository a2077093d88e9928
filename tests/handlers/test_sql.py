"""`trib.sql.v1` on a connection that is not one; the real one is tested with the daemon."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tributary_daemon.errors import Abort, InvalidInput
from tributary_daemon.handlers import signature
from tributary_daemon.handlers.builtin import sql

SQL = signature.read(sql.sql, "trib.sql.v1", {})


class Connection:
    def __init__(self, rows, columns, status="INTRANS"):
        self.rows, self.columns, self.asked = rows, columns, []
        self.info = SimpleNamespace(transaction_status=SimpleNamespace(name=status))
        self.rolled_back = False

    def execute(self, query, params):
        self.asked.append((query, params))
        described = None if self.columns is None else [SimpleNamespace(name=name) for name in self.columns]
        return SimpleNamespace(
            description=described, rowcount=len(self.rows), fetchmany=lambda n: self.rows[:n]
        )

    def rollback(self):
        self.rolled_back = True


def run(connection, a_step, runtime, payload):
    return SQL.dump(sql.sql(**SQL.validate(payload), step=a_step(runtime(opened=connection))))


def test_rows_become_objects(a_step, runtime):
    connection = Connection([(1, "a"), (2, None)], ["id", "name"])
    result = run(connection, a_step, runtime, '{"sql": "select 1", "params": {"x": 1}}')
    assert result == '{"rows":[{"id":1,"name":"a"},{"id":2,"name":null}],"rowcount":2}'
    assert connection.asked == [("select 1", {"x": 1})]


def test_statements_without_rows(a_step, runtime):
    assert (
        run(Connection([], None), a_step, runtime, '{"sql": "delete from x"}') == '{"rows":[],"rowcount":0}'
    )


def test_the_transaction_must_stay_open(a_step, runtime):
    connection = Connection([], None, status="IDLE")
    with pytest.raises(Abort, match="ended the transaction"):
        run(connection, a_step, runtime, '{"sql": "commit"}')
    assert connection.rolled_back


def test_too_many_rows_are_refused(a_step, runtime):
    with pytest.raises(Abort, match=r"more than 10,000 rows"):
        run(Connection([(1,)] * 10_001, ["n"]), a_step, runtime, '{"sql": "select"}')


@pytest.mark.parametrize(
    "payload", ["{}", '{"sql": ""}', '{"sql": "x", "params": 1}', '{"sql": "x", "more": 1}']
)
def test_wrong_payloads_are_refused(payload):
    with pytest.raises(InvalidInput):
        SQL.validate(payload)
