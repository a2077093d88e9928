"""Who the embedded server runs as: PostgreSQL refuses root."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tributary_daemon.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Between what distributions give to people and what systemd gives to services; free ones are looked for.
_FREE_UIDS = range(59_432, 59_442)
_KNOWN_USERS = ("nobody", "daemon", "postgres")


@dataclass(frozen=True, slots=True)
class Account:
    """A user to run programs as.

    Attributes:
        uid: user id.
        gid: group id.
        switch: whether that is somebody else than the caller, who is root then.
    """

    uid: int
    gid: int
    switch: bool

    def popen(self) -> dict[str, Any]:
        """Return the keyword arguments of subprocess.Popen that become this user in the child."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def give(self, path: Path) -> None:
        """Make this user the owner of ``path``."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def give_tree(self, top: Path) -> None:
        """Make this user the owner of everything below and including ``top``."""
        if not self.switch:
            return
        for path in [top, *top.rglob("*")]:
            self.give(path)


def owner_of(data: Path) -> Account:
    """Return the account that existing data belong to.

    Raises:
        EmbeddedError: they are root's, or another user's while we are not root.
    """
    info = data.stat()
    if info.st_uid == os.geteuid() != 0:
        return Account(info.st_uid, info.st_gid, switch=False)
    if os.geteuid() != 0 or info.st_uid == 0:
        raise EmbeddedError(
            f"{data} belongs to user id {info.st_uid}, so this user cannot start the server",
            hint="set TRIB_HOME to a directory of your own, or correct the owner",
        )
    return Account(info.st_uid, info.st_gid, switch=True)


def candidates(home: Path) -> Iterator[Account]:
    """Yield accounts that new data in ``home`` may belong to, best first.

    An ordinary user takes itself. Root takes the owner of ``home`` if that is somebody else (``sudo``
    with the caller's home), else a user id that nobody has, so that no other service can touch the
    server; where such an id cannot be used (a user namespace without it), a known unprivileged user.
    """
    if os.geteuid() != 0:
        yield Account(os.geteuid(), os.getegid(), switch=False)
        return
    info = home.stat()
    if info.st_uid != 0:
        yield Account(info.st_uid, info.st_gid, switch=True)
        return
    for uid in _FREE_UIDS:
        if not _known(uid):
            yield Account(uid, uid, switch=True)
            break
    yield from _unprivileged()


def for_initdb(account: Account) -> Account:
    """Return the account to run initdb as: it wants a name, which a free user id has not.

    Raises:
        EmbeddedError: this machine knows no unprivileged user.
    """
    if not account.switch or _known(account.uid):
        return account
    for known in _unprivileged():
        return known
    raise EmbeddedError(
        "this machine knows no unprivileged user, and PostgreSQL refuses to run as root",
        hint="add a user 'nobody', or set TRIB_DATABASE_URL",
    )


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _unprivileged() -> Iterator[Account]:
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in (*_KNOWN_USERS, *users):
        entry = users.get(name)
        if entry is not None and entry.pw_uid > 0:
            yield Account(entry.pw_uid, entry.pw_gid, switch=True)
