"""A stored value sealed anew: what the keys of now would have sealed with another key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tributary_daemon.errors import KeyMissing, NotAuthentic
from tributary_daemon.sealing.envelope import RESERVED, TEXT_TOKEN, split, token_of
from tributary_daemon.sealing.ring import FACTS

if TYPE_CHECKING:
    from tributary_daemon.sealing.ring import Ring


class Anew:
    """Seals values anew, and counts what it meets.

    Attributes:
        changed: tokens that were sealed with an old key.
        missing: ids of keys that are not at hand -> how many tokens they have sealed.
        broken: tokens that no key opens.

    Args:
        ring: its first keys seal.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self.changed = 0
        self.missing: dict[str, int] = {}
        self.broken = 0

    def value(self, value: Any) -> Any:
        """Return a JSON value in which all is sealed by the first keys, where it can be opened."""
        match value:
            case dict() if (token := token_of(value)) is not None:
                made = self._token(token)
                facts = self._facts(token, value) if FACTS in value else {}
                return {**value, RESERVED: made, **facts}
            case dict():
                parts = {name: self.value(part) for name, part in value.items()}
                return self._wait(value, parts)
            case list():
                return [self.value(part) for part in value]
            case str() if f"{RESERVED}{{" in value:
                return TEXT_TOKEN.sub(lambda found: f"{RESERVED}{{{self._token(found[1])}}}", value)
        return value

    def _token(self, token: str) -> str:
        try:
            parts = split(token)
            key = self._ring.key_for(parts.origin.tenant)
            if key is None or key.id == parts.key:
                return token
            text = self._ring.open(token).text
        except KeyMissing:
            key_id = token.split(".", 2)[1]
            self.missing[key_id] = self.missing.get(key_id, 0) + 1
            return token
        except NotAuthentic:
            self.broken += 1
            return token
        self.changed += 1
        return self._ring.token(key, text, parts.origin)

    def _facts(self, token: str, value: dict[str, Any]) -> dict[str, Any]:
        """Return the hashes of a signal's payload by the keys of now."""
        try:
            text, origin = self._ring.open(token)
        except (KeyMissing, NotAuthentic):
            return {FACTS: value[FACTS]}
        return self._ring.facts(json.loads(text), origin.tenant, origin.run, all_keys=True)

    def _wait(self, value: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
        """Return a wait whose payload is hashes of what its prompt keeps."""
        wanted, prompt = value.get("payload"), value.get("prompt")
        if not (isinstance(wanted, dict) and FACTS in wanted and RESERVED not in wanted):
            return parts
        found = TEXT_TOKEN.fullmatch(prompt) if isinstance(prompt, str) else None
        if found is None or parts["prompt"] == prompt:
            return parts
        text, origin = self._ring.open(found[1])
        facts = self._ring.facts(json.loads(text), origin.tenant, origin.run, all_keys=False)
        return {**parts, "payload": facts}
