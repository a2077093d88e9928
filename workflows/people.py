"""Handlers of enriched_user.yaml: each says what it takes and what it makes, and nothing of the others.

They are pure functions of what they are given, so the example needs no service.
"""

from __future__ import annotations

import zlib
from typing import Literal

from pydantic import BaseModel

from tributary_daemon import handler


class UserID(BaseModel):
    """Whom it is about."""

    id: str


class UserProfile(BaseModel):
    """What a directory knows."""

    name: str
    email: str


class UserPreferences(BaseModel):
    """What a settings service knows."""

    theme: Literal["dark", "light"]


class EnrichedUser(BaseModel):
    """Both together."""

    profile: UserProfile
    preferences: UserPreferences
    greeting: str


class Letter(BaseModel):
    """What could be sent, which nobody wants in this example."""

    text: str


@handler("people.fetch_profile.v1")
def fetch_profile(user: UserID) -> UserProfile:
    """Look the user up in a directory."""
    return UserProfile(name=user.id.replace("_", " ").title(), email=f"{user.id}@example.org")


@handler("people.fetch_preferences.v1")
def fetch_preferences(user: UserID) -> UserPreferences:
    """Look the settings up; independent of the profile, so both are fetched at the same time."""
    return UserPreferences(theme="dark" if zlib.crc32(user.id.encode()) % 2 else "light")


@handler("people.enrich.v1")
def enrich(profile: UserProfile, preferences: UserPreferences) -> EnrichedUser:
    """Put together what both have found."""
    greeting = f"Good {'evening' if preferences.theme == 'dark' else 'morning'}, {profile.name}"
    return EnrichedUser(profile=profile, preferences=preferences, greeting=greeting)


@handler("people.write_letter.v1")
def write_letter(user: EnrichedUser) -> Letter:
    """Nobody wants a letter in this example, so this is never called."""
    return Letter(text=f"{user.greeting}!")
