"""The keyword that names types in JSON Schemas; without imports, as files are checked without any handler."""

from __future__ import annotations

from typing import Final

TYPE: Final = "x-trib-type"
"""Beside a schema: ``shop.User`` or ``list[shop.User]``."""
