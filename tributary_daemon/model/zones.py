"""Time zones by their IANA names."""

from __future__ import annotations

import difflib
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from tributary_daemon.errors import InvalidInput


def zone_of(name: str) -> ZoneInfo:
    """Return the zone of a name: the system's, else that of the package tzdata.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # a directory, a path that leads out, a file that is none: all the same to whoever wrote it
        raise InvalidInput(f"there is no time zone {name!r}", hint=_hint(name)) from None


def _hint(name: str) -> str:
    known = {zone.lower(): zone for zone in available_timezones()}
    # who writes a city alone means the zone of that city
    cities = [zone for low, zone in known.items() if low.rpartition("/")[2] == name.lower().replace(" ", "_")]
    near = cities[:1] or difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return (
        f"did you mean {known.get(near[0].lower(), near[0])}?"
        if near
        else "zones are named like Europe/Berlin"
    )
