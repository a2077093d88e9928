"""The roles of `sql/roles.sql` and `sql/app_role.sql`: who they are here, and what they are granted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Final

from psycopg import sql

from tributary_daemon.errors import InvalidInput
from tributary_daemon.store import db

if TYPE_CHECKING:
    from collections.abc import Mapping

META: Final = "roles"
"""Key of the row of ``meta`` that remembers the names, so that every `up` grants anew."""

_LONGEST: Final = 63
_PRESENT: Final = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
_OWNER: Final = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %s"
_CREATE: Final = "CREATE ROLE {} NOLOGIN"


@dataclass(frozen=True, slots=True)
class RoleNames:
    """Names of the group roles; people and programs become members of them.

    Attributes:
        submit: records intents and runs of registered workflows, and reads nothing of them.
        read: reads everything, changes nothing.
        worker: what `trib worker` logs in as.
        admin: all that can be said to Tributary; no objects, no migrations.
        app: an application with work of its own: submits, reads, steers it; None where a release without it
            made the others.
    """

    submit: str = "tributary_submit"
    read: str = "tributary_read"
    worker: str = "tributary_worker"
    admin: str = "tributary_admin"
    app: str | None = "tributary_app"

    def __post_init__(self) -> None:
        """Refuse what cannot be the names of roles.

        Raises:
            InvalidInput: two are equal, or one is no name of a role.
        """
        names = self.names
        if len(set(names)) < len(names):
            raise InvalidInput(
                f"{len(names)} roles need as many names, not {', '.join(names)}",
                hint="give each its own name",
            )
        for name in names:
            # a lone surrogate stands for a byte that is no text
            stored = name.encode(errors="replace")
            if (
                not name
                or stored.decode() != name
                or len(stored) > _LONGEST
                or "\0" in name
                or name.startswith("pg_")
            ):
                raise InvalidInput(
                    f"{name!r} cannot be the name of a role", hint="1 to 63 bytes, not beginning with pg_"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(name for field in fields(self) if (name := getattr(self, field.name)) is not None)

    def to_json(self) -> str:
        """Return what ``meta`` remembers."""
        return json.dumps(asdict(self))


def remembered(facts: Mapping[str, str]) -> RoleNames | None:
    """Return the names that ``meta`` remembers; None before the first `trib migrate roles`."""
    return RoleNames(**{"app": None, **json.loads(facts[META])}) if META in facts else None


def missing(connection: db.Connection, names: RoleNames) -> tuple[str, ...]:
    """Return which of the roles the server does not have."""
    present = {row[0] for row in connection.execute(_PRESENT, (list(names.names),))}
    return tuple(name for name in names.names if name not in present)


def check_owner(connection: db.Connection, names: RoleNames, schema: str) -> None:
    """Refuse the owner of the schema as one of the roles: granting begins with revoking.

    Raises:
        InvalidInput: the owner is one of them.
    """
    row = connection.execute(_OWNER, (schema,)).fetchone()
    if row is not None and row[0] in names.names:
        raise InvalidInput(
            f"{row[0]} owns the schema {schema}, and may do everything in it",
            hint="name another role; roles of their own are the point",
        )


def creations(names: tuple[str, ...]) -> list[sql.Composed]:
    """Return the statements that create roles."""
    return [sql.SQL(_CREATE).format(sql.Identifier(name)) for name in names]


def grants(names: RoleNames) -> sql.Composed:
    """Return the statements of `sql/roles.sql`, and of `sql/app_role.sql`, for these roles."""
    files = ["roles.sql", *(["app_role.sql"] if names.app is not None else [])]
    text = "\n".join((db.sql_dir() / name).read_text(encoding="utf-8") for name in files)
    given: dict[str, sql.Composable] = {
        key: sql.Identifier(value) for key, value in asdict(names).items() if value is not None
    }
    if names.app is not None:
        # an application submits and reads as others do: no membership, which an owner might not grant
        for key in ("submit", "read"):
            given[key] = sql.SQL(", ").join([given[key], sql.Identifier(names.app)])
    return sql.SQL(text).format(**given)
