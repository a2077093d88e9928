"""JSON values as YAML that reads them back unchanged."""

from __future__ import annotations

from typing import Any

import yaml


def dump(value: Any) -> str:
    """Return ``value`` as a YAML document, keys in the order given."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
    return text.removesuffix("...\n")
