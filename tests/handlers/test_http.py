"""`trib.http.v1` against a server in the test's process."""

from __future__ import annotations

import email.utils
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tributary_daemon.errors import Abort, InvalidInput, RetryAfter
from tributary_daemon.handlers import signature
from tributary_daemon.handlers.builtin import http

SEND = signature.read(http.send, "trib.http.v1", {})


class Site(BaseHTTPRequestHandler):
    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        self.server.seen.append(
            (self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        )
        status, headers, data = self.server.pages[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - as the base class calls them

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Site)
        self.pages, self.seen = {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"


def serving():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


site = pytest.fixture(serving, name="site")
elsewhere = pytest.fixture(serving, name="elsewhere")


@pytest.fixture
def send(a_step, site, monkeypatch):
    """Return a function that sends a request to ``path`` of the site."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def run(path="/", **payload):
        arguments = SEND.validate(json.dumps({"url": site.url + path, **payload}))
        return http.send(**arguments, step=a_step())

    return run


def test_json_comes_back_as_json(site, send):
    site.pages["/"] = (200, {"Content-Type": "application/json", "X-Trace": "7"}, b'{"ok": [1, null]}')
    answer = send()
    assert (answer["status"], answer["json"], answer["headers"]["x-trace"]) == (200, {"ok": [1, None]}, "7")
    assert SEND.dump(answer)


def test_text_comes_back_as_text(site, send):
    site.pages["/"] = (200, {"Content-Type": "text/plain; charset=latin-1"}, "grün".encode("latin-1"))
    assert send()["body"] == "grün"


def test_bodies_and_headers_are_sent(site, send, a_step):
    site.pages["/x?y=1"] = (201, {}, b"")
    send("/x?y=1", method="POST", json=None, headers={"X-A": "b"})
    send("/x?y=1", method="PUT", body="grün", headers={"Idempotency-Key": "mine"})
    send("/x?y=1")
    (post, put, get) = site.seen
    assert (post[0], post[3], post[2]["content-type"], post[2]["x-a"]) == (
        "POST",
        "null",
        "application/json",
        "b",
    )
    assert post[2]["idempotency-key"] == a_step().idempotency_token
    assert (put[3].encode("utf-8"), put[2]["idempotency-key"]) == ("grün".encode(), "mine")
    assert "idempotency-key" not in get[2]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_may_heal_is_tried_again(site, send, status):
    site.pages["/"] = (status, {}, b"try   later\n")
    with pytest.raises(http.HttpError, match=rf"GET http://127.* answered {status} .*: try later"):
        send()


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_what_will_not_heal_ends_the_step(site, send, status):
    site.pages["/"] = (status, {}, b"")
    with pytest.raises(Abort, match=f"answered {status}"):
        send("/", method="DELETE")


def test_retry_after_is_heeded(site, send):
    site.pages["/s"] = (503, {"Retry-After": "17"}, b"")
    site.pages["/d"] = (
        429,
        {"Retry-After": email.utils.format_datetime(datetime.now(UTC) + timedelta(hours=1))},
        b"",
    )
    site.pages["/x"] = (429, {"Retry-After": "soon"}, b"")
    with pytest.raises(RetryAfter) as caught:
        send("/s")
    assert caught.value.delay == 17
    with pytest.raises(RetryAfter) as caught:
        send("/d")
    assert 3500 < caught.value.delay <= 3600
    with pytest.raises(http.HttpError):
        send("/x")


def test_expected_statuses_replace_the_usual_ones(site, send):
    site.pages["/"] = (404, {}, b"gone")
    assert send(expected=[404])["status"] == 404
    site.pages["/"] = (200, {}, b"here")
    with pytest.raises(Abort, match="answered 200 OK"):
        send(expected=[404])


def test_redirects_take_no_credentials_to_another_host(site, elsewhere, send):
    site.pages["/a"] = (302, {"Location": "/b"}, b"")
    site.pages["/b"] = (302, {"Location": elsewhere.url + "/c"}, b"")
    elsewhere.pages["/c"] = (200, {}, b"there")
    assert send("/a", headers={"Authorization": "Bearer x", "X-Keep": "1"})["body"] == "there"
    assert site.seen[1][2]["authorization"] == "Bearer x"
    assert "authorization" not in elsewhere.seen[0][2]
    assert elsewhere.seen[0][2]["x-keep"] == "1"


def test_a_dead_server_may_come_back(site, send):
    site.shutdown()
    site.server_close()
    with pytest.raises(http.HttpError, match="GET http://127") as caught:
        send()
    assert caught.value.__suppress_context__, "the insides of the standard library are not shown"


def test_broken_and_huge_answers(site, send):
    site.pages["/"] = (200, {"Content-Type": "application/json"}, b"{")
    with pytest.raises(http.HttpError, match="not valid JSON"):
        send()
    site.pages["/"] = (200, {}, b"x" * (http.MAX_BODY + 1))
    with pytest.raises(Abort, match="larger than 1,000,000 bytes"):
        send()


def test_messages_hold_no_secrets_of_the_url(site, send):
    site.pages["/p?token=hidden"] = (500, {}, b"")
    with pytest.raises(http.HttpError) as caught:
        send("/p?token=hidden")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [
        {"url": "file:///etc/passwd"},
        {"url": "ftp://host/x"},
        {"url": "http://h/ x"},
        {"url": "http://h", "json": 1, "body": "x"},
        {"url": "http://h", "method": "get"},
        {"url": "http://h", "timeout": 0},
        {"url": "http://h", "speed": 1},
        {},
    ],
)
def test_wrong_requests_are_refused(payload):
    with pytest.raises(InvalidInput):
        SEND.validate(json.dumps(payload))
