"""The hook ``blob``: large values lie elsewhere, and are there wherever they are read."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import sys

import pytest

from tributary_daemon import Retry, Step, app, handler
from tributary_daemon.errors import ConfigError, InvalidInput
from tributary_daemon.hooks.blob import KEY, Blob
from tributary_daemon.testing import Bench

LONG = "long " * 100


@pytest.fixture
def blob(tmp_path):
    return Blob(url=str(tmp_path / "blobs"), threshold=200)


def files(tmp_path):
    return sorted(path for path in (tmp_path / "blobs").rglob("*") if path.is_file())


def reference(value):
    data = json.dumps(value, separators=(",", ":")).encode()
    return {KEY: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}}


def test_what_is_large_lies_elsewhere_and_what_is_small_stays(blob, tmp_path):
    assert blob.store("", "small") == "small"
    assert files(tmp_path) == []
    assert blob.store("", LONG) == reference(LONG)
    assert blob.store("", LONG) == reference(LONG)
    (file,) = files(tmp_path)
    assert json.loads(file.read_text()) == LONG
    assert file.parent.parent.name == "t="
    assert blob.load("", {"deep": [reference(LONG), 1]}) == {"deep": [LONG, 1]}


def test_what_holds_no_reference_is_returned_as_it_is(blob):
    value = {"a": [1, {KEY: 3}], KEY: {}, "b": {KEY: {"sha256": "../../etc/passwd", "bytes": 3}}}
    assert blob.load("", value) is value


def test_what_is_gone_changed_or_too_large_is_refused(blob, tmp_path):
    kept = blob.store("", LONG)
    (file,) = files(tmp_path)
    file.write_text("[]")
    with pytest.raises(InvalidInput, match="is not what was kept"):
        blob.load("", kept)
    file.unlink()
    with pytest.raises(InvalidInput, match="is not at"):
        blob.load("", kept)
    with pytest.raises(InvalidInput, match="more is to be read than the limit"):
        blob.load("", {KEY: {**kept[KEY], "bytes": 1 << 40}})
    with pytest.raises(InvalidInput, match="allowed"):
        Blob(url=str(tmp_path), limit=1000).store("", "x" * 2000)


def test_references_in_what_was_kept_are_followed_up_to_the_limit(tmp_path):
    blob = Blob(url=str(tmp_path / "blobs"), threshold=10, limit=5000)
    inner = blob.store("", LONG)
    outer = blob.store("", [inner] * 3)
    assert blob.load("", outer) == [LONG] * 3
    with pytest.raises(InvalidInput, match="more is to be read than the limit"):
        blob.load("", blob.store("", [inner] * 20))


def test_a_tenant_reaches_its_own_only_whatever_it_is_called(blob, tmp_path):
    kept = blob.store("../acme", LONG)
    (file,) = files(tmp_path)
    assert file.parent.parent.name == "t=..%2Facme"
    assert blob.load("../acme", kept) == LONG
    with pytest.raises(InvalidInput, match="is not at"):
        blob.load("", kept)


def test_it_goes_wherever_fsspec_goes():
    blob = Blob(url="memory://blobs/of/tests", threshold=10)
    kept = blob.store("", LONG)
    assert Blob(url="memory://blobs/of/tests").load("", kept) == LONG


def test_it_travels_to_other_processes_unopened(blob):
    blob.open(None)
    twin = pickle.loads(pickle.dumps(blob.__class__(url="memory://x")))
    assert twin._opened is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "nowhere://x"}, "url: nowhere://x cannot be used"),
        ({"url": " "}, "url: text is expected"),
        ({"url": "/tmp", "threshold": "much"}, "threshold: a size"),
    ],
)
def test_options_that_do_not_fit_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        Blob(**options)


def test_without_fsspec_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ConfigError) as refused:
        Blob(url="/tmp")
    assert "tributary-daemon[blob]" in refused.value.hint


@pytest.fixture
def handlers():
    seen = []

    @handler("blob.make.v1")
    def make(size: int) -> dict:
        return {"text": "x" * size, "ok": True, "parts": ["p" * 300, "q" * 300]}

    @handler("blob.take.v1")
    def take(whole: dict, text: str, step: Step) -> int:
        seen.append(step.result("make") == whole)
        return len(text) + len(whole["text"])

    @handler("blob.atake.v1")
    async def atake(part: str) -> str:
        return part[0] * 3

    return seen


FLOW = """
name: blob.flow.v1
inputs: {note: {type: string}}
steps:
  make: {task: blob.make.v1, with: {size: 5000}}
  take:
    task: blob.take.v1
    with: {whole: "${{ steps.make.result }}", text: "${{ steps.make.result.text }}"}
    if: ${{ steps.make.result.ok && length(inputs.note) == 500 }}
  parts:
    task: blob.atake.v1
    for_each: ${{ steps.make.result.parts }}
    with: {part: "${{ item }}"}
result:
  sum: ${{ steps.take.result }}
  parts: ${{ steps.parts.result }}
  whole: ${{ steps.make.result }}
  note: ${{ inputs.note }}
"""


def test_expressions_read_into_what_lies_elsewhere_and_pass_it_on_whole(blob, handlers, tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW)
    with Bench(hooks=[blob]) as bench:
        receipt = bench.submit(path, {"note": LONG})
        document = bench.finish(receipt.id)
        assert document.state == "completed", document.error
        made = {"text": "x" * 5000, "ok": True, "parts": ["p" * 300, "q" * 300]}
        assert document.result == {"sum": 10_000, "parts": ["ppp", "qqq"], "whole": made, "note": LONG}
        assert document.inputs == {"note": LONG}
        assert document.steps["make"].result == made
        # a client without the hook sees references
        with app.Client(bench._url, hooks=[]) as plain:
            shown = plain.get(receipt.id)
        assert shown.inputs == {"note": reference(LONG)}
        assert shown.steps["make"].result == reference(made)
        assert shown.result.keys() == {KEY}
        bench.register(path)
        again = bench.run("blob.flow.v1", {"note": LONG})
        assert again.result == document.result
    assert handlers == [True, True]
    # the input, what was made, and the result of the run, which refers to it
    assert len(files(tmp_path)) == 3


def test_a_payload_larger_than_any_other_may_be_is_submitted_and_worked(blob):
    @handler("blob.count.v1")
    def count(text: str) -> str:
        return text + "!"

    text = "x" * 3_000_000
    with Bench(hooks=[blob]) as bench:
        assert bench.run("blob.count.v1", {"text": text}).result == text + "!"
        (many,) = bench.client.submit_many("blob.count.v1", [{"text": text}])
        assert bench.client.get(many).payload == {"text": text}


def test_what_cannot_be_read_back_fails_the_attempt_by_its_policy(blob, tmp_path):
    @handler("blob.read.v1", retry=Retry(delay=1, jitter=0), max_attempts=2)
    def read(text: str) -> str:
        return text

    with Bench(hooks=[blob]) as bench:
        receipt = bench.submit("blob.read.v1", {"text": LONG})
        for file in files(tmp_path):
            file.unlink()
        document = finished(bench, receipt.id)
        assert document.state == "discarded"
        assert "is not at" in document.error.message


def finished(bench, id_):
    """Return the document as a client without the hook reads it."""
    with app.Client(bench._url, hooks=[]) as plain:
        while not (document := plain.get(id_)).ended:
            bench.work()
            bench.advance("5s")
        return document


def test_what_a_run_reads_into_is_gone(blob, handlers, tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW)
    with Bench(hooks=[blob]) as bench:
        receipt = bench.submit(path, {"note": LONG})
        for file in files(tmp_path):
            file.unlink()
        document = finished(bench, receipt.id)
    assert document.state == "failed"
    assert document.steps["take"].error.reason == "hook"
    assert "is not at" in document.steps["take"].error.message


def test_the_async_client_loads_too(blob, database):
    async def main():
        async with app.AsyncClient(database, hooks=[blob]) as client:
            receipt = await client.submit("blob.any.v1", {"text": LONG})
            return (await client.get(receipt.id)).payload

    assert asyncio.run(main()) == {"text": LONG}
