"""What handlers note is read back, also where their process died while it wrote."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chaos import journal


@pytest.fixture
def step(tmp_path, monkeypatch):
    monkeypatch.setenv(journal.FOLDER, str(tmp_path))
    return SimpleNamespace(
        idempotency_token="0190-run/3", name="chaos.quick.v1", attempt=2, _attempt=SimpleNamespace(seq=77)
    )


def test_an_execution_has_a_begin_and_an_end(step, tmp_path):
    with journal.execution(step) as x:
        pass
    (found,) = journal.read(tmp_path)
    assert (found.x, found.key, found.attempt, found.token, found.how) == (
        x,
        ("0190-run", 3),
        2,
        77,
        "returned",
    )
    assert found.begin <= found.end


def test_what_a_handler_raises_is_noted(step, tmp_path):
    with pytest.raises(ConnectionError), journal.execution(step):
        raise ConnectionError
    assert [found.how for found in journal.read(tmp_path)] == ["ConnectionError"]


def test_a_torn_line_at_the_end_is_no_execution(step, tmp_path):
    with journal.execution(step):
        pass
    (path,) = tmp_path.glob("*.jsonl")
    whole = path.read_text()
    path.write_text(whole + '{"x": "torn", "beg')
    assert len(journal.read(tmp_path)) == 1
    # of an execution without an end, the begin is known
    path.write_text(whole.splitlines(keepends=True)[0])
    assert [(found.end, found.how) for found in journal.read(tmp_path)] == [(None, None)]
