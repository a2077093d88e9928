"""The configuration of the command that runs now: its flags over environment and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tributary_daemon import config
from tributary_daemon.cli.shared import Shared

if TYPE_CHECKING:
    from tributary_daemon.config import Config


def settings(**flags: Any) -> Config:
    """Return the merged configuration.

    Args:
        flags: settings that the command's own options gave; None means not given.

    Raises:
        ConfigError: a setting is malformed.
    """
    shared = click.get_current_context().ensure_object(Shared)
    own = {name: value for name, value in flags.items() if value not in (None, ())}
    return config.load({**shared.flags, **own})
