"""Workflows of other tools -> ours: what maps is converted, all else stays as a comment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.tools.convert.argo import convert as from_argo
from tributary_daemon.tools.convert.dagu import convert as from_dagu
from tributary_daemon.tools.convert.github import convert as from_github

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.tools.convert.draft import Conversion

CONVERTERS: Final[dict[str, Callable[[str, str], Conversion]]] = {
    "github": from_github,
    "argo": from_argo,
    "dagu": from_dagu,
}
"""Each takes the source and a name for workflows that have none."""
