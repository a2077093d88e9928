"""Migrations of Tributary's schema, and of the user's own, in folders that they name."""

from tributary_daemon.store.migrations.check import PROTOCOL, check_schema
from tributary_daemon.store.migrations.ensure import ensure_schema
from tributary_daemon.store.migrations.migrator import Migrator
from tributary_daemon.store.migrations.records import MigrationStatus, Report, SchemaStatus, Step
from tributary_daemon.store.migrations.roles import RoleNames

__all__ = [
    "PROTOCOL",
    "MigrationStatus",
    "Migrator",
    "Report",
    "RoleNames",
    "SchemaStatus",
    "Step",
    "check_schema",
    "ensure_schema",
]
