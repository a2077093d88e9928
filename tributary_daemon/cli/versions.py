"""Versions of what is installed; reading them costs an import, so it is done when asked for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed() -> str:
    """Return the version of the installed package."""
    return version("tributary-daemon")


def of(package: str) -> str | None:
    """Return the version of another package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
