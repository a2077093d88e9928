"""`trib.webhook.v1`: what it signs, with which keys, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from tributary_daemon.errors import Abort, InvalidInput
from tributary_daemon.handlers import signature
from tributary_daemon.handlers.builtin import webhook

TELL = signature.read(webhook.tell, "trib.webhook.v1", {})


def by_hand(key, text):
    return "v1," + base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def test_id_time_and_body_are_signed():
    assert webhook.sign("secret", "r-1", 17, "{}") == by_hand(b"secret", "r-1.17.{}")
    encoded = "whsec_" + base64.b64encode(b"\x00key").decode()
    assert webhook.sign(encoded, "r-1", 17, "{}") == by_hand(b"\x00key", "r-1.17.{}")


def test_the_example_of_the_specification_has_this_signature():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    text = '{"test": 2432232314}'
    made = webhook.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, text)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["whsec_no base64!", "whsec_", ""])
def test_what_is_no_secret_ends_the_step(secret):
    with pytest.raises(Abort, match="secret of the webhook"):
        webhook.sign(secret, "r-1", 17, "{}")


@pytest.mark.parametrize(
    "payload",
    [
        '{"url": "ftp://a", "secret": "s", "event": "e"}',
        '{"url": "http://a", "event": "e"}',
        '{"url": "http://a", "secret": [], "event": "e"}',
    ],
)
def test_what_is_missing_is_refused(payload):
    with pytest.raises(InvalidInput):
        TELL.validate(payload)
