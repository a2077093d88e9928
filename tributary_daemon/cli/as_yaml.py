"""JSON values as YAML that reads them back unchanged."""

from __future__ import annotations

from typing import Any, Final

import yaml

# line breaks to YAML, ordinary characters to JSON: only double quotes keep them
_BREAKS: Final = frozenset("\x85\u2028\u2029\ufeff")


class _Dumper(yaml.SafeDumper):
    """Writes texts with rare line breaks in double quotes."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = '"' if not _BREAKS.isdisjoint(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    """Return ``value`` as a YAML document, keys in the order given."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text.removesuffix("...\n")
