"""`trib.webhook.v1`: tells somebody else what happened, signed, so that they know who says it.

As the Standard Webhooks specification has it: an id that is equal for all attempts, a timestamp, and
HMAC-SHA256 over both and the body. What is tried again is what `trib.http.v1` tries again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from tributary_daemon.errors import Abort
from tributary_daemon.handlers.builtin.http import Request, send
from tributary_daemon.handlers.declare import handler
from tributary_daemon.model.retry import Retry

if TYPE_CHECKING:
    from tributary_daemon.handlers.step import Step

_ENCODED: Final = "whsec_"


class Webhook(BaseModel):
    """Payload of `trib.webhook.v1`.

    Attributes:
        url: ``http`` or ``https``.
        secret: shared with the receiver, or several while one is replaced by the next: each signs.
        event: what happened, such as ``run.completed``.
        data: what there is to say of it.
        headers: sent besides.
        timeout: seconds without an answer before the attempt fails.
    """

    model_config = ConfigDict(extra="forbid")

    url: str = Field(pattern=r"^https?://[^\s]+$")
    secret: str | list[str] = Field(min_length=1)
    event: str = Field(min_length=1, max_length=200)
    data: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: float = Field(default=30.0, gt=0, le=3600)


@handler(
    "trib.webhook.v1",
    description="sends a signed webhook",
    max_attempts=8,
    retry=Retry(delay=5.0, max_delay=900.0),
)
def tell(args: Webhook, step: Step) -> dict[str, Any]:
    """Send it.

    Returns:
        ``id`` and ``status``.
    """
    name = step.idempotency_token.replace("/", "-")
    body = json.dumps(_body(args, step), separators=(",", ":"))
    now = int(time.time())
    secrets = [args.secret] if isinstance(args.secret, str) else args.secret
    signatures = " ".join(sign(secret, name, now, body) for secret in secrets)
    headers = {
        **args.headers,
        "Content-Type": "application/json",
        "Webhook-Id": name,
        "Webhook-Timestamp": str(now),
        "Webhook-Signature": signatures,
    }
    request = Request(url=args.url, method="POST", headers=headers, body=body, timeout=args.timeout)
    return {"id": name, "status": send(request, step)["status"]}


def sign(secret: str, name: str, timestamp: int, body: str) -> str:
    """Return a signature as the header has it: ``v1,`` and the base64 of HMAC-SHA256.

    Args:
        secret: its text is the key; after ``whsec_``, its base64 is.
        name: the id of the webhook.
        timestamp: seconds since 1970.
        body: as it is sent.

    Raises:
        Abort: what follows ``whsec_`` is no base64.
    """
    key = secret.encode()
    if secret.startswith(_ENCODED):
        try:
            key = base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
        except binascii.Error:
            raise Abort("the secret of the webhook begins with whsec_, but no base64 follows") from None
    if not key:
        raise Abort("the secret of the webhook is empty")
    digest = hmac.new(key, f"{name}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _body(args: Webhook, step: Step) -> dict[str, Any]:
    told = {"type": args.event, "run_id": step.run_id, "data": args.data}
    ids = {"correlation_id": step.correlation_id, "business_id": step.business_id}
    return {**told, **{key: value for key, value in ids.items() if value is not None}}
