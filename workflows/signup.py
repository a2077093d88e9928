"""Handlers of user_signup.yaml. Accounts and mails are files, so that the example needs no service.

Each handler may run more than once for the same step (at-least-once), therefore each does the same again:
the account's id follows from the address, the mail's from the step's token.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, StringConstraints

from tributary_daemon import Abort, Step, handler

Address = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
]


class CreateUser(BaseModel):
    """Who signs up, and where accounts are kept."""

    email: Address
    directory: str


class Created(BaseModel):
    """The new account and its file."""

    user_id: UUID
    account: str


class ActivateUser(BaseModel):
    """File of the account to activate."""

    account: str


class Activated(BaseModel):
    """Since when the account is active (UTC)."""

    user_id: UUID
    active_since: datetime


class Email(BaseModel):
    """A mail, and the folder it is written to."""

    to: Address
    subject: str
    body: str
    directory: str


class Sent(BaseModel):
    """File of the mail, ready for any mail transport."""

    path: str


class Account(BaseModel):
    """An account as kept on disk."""

    user_id: UUID
    email: Address
    active_since: datetime | None = None


@handler("accounts.create_user.v1")
def create_user(args: CreateUser) -> Created:
    """Create the account, or find the one that an earlier attempt created."""
    account = Account(user_id=uuid5(NAMESPACE_URL, f"mailto:{args.email}"), email=args.email)
    path = Path(args.directory, "accounts", f"{account.user_id}.json").resolve()
    if not path.exists():
        save(path, account.model_dump_json(indent=2))
    return Created(user_id=account.user_id, account=str(path))


@handler("accounts.activate_user.v1")
def activate_user(args: ActivateUser) -> Activated:
    """Activate the account; one that is active already keeps its time."""
    path = Path(args.account)
    if not path.exists():
        raise Abort(f"there is no account {path}")
    account = Account.model_validate_json(path.read_bytes())
    if account.active_since is None:
        account.active_since = datetime.now(UTC)
        save(path, account.model_dump_json(indent=2))
    return Activated(user_id=account.user_id, active_since=account.active_since)


@handler("notify.email.v1", max_attempts=5)
def send_email(args: Email, step: Step) -> Sent:
    """Write the mail as an ``.eml`` file named by the step's token: however often it runs, one mail."""
    message = EmailMessage()
    message["From"] = "welcome@example.org"
    message["To"] = args.to
    message["Subject"] = args.subject
    message.set_content(args.body)
    path = Path(args.directory, "mail", f"{step.idempotency_token}.eml".replace("/", "-")).resolve()
    save(path, message.as_string())
    return Sent(path=str(path))


def save(path: Path, text: str) -> None:
    """Replace ``path`` as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
