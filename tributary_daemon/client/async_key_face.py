"""`AsyncKeyFace`: the keys of a client, and their rotation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tributary_daemon.client.rotation import Rotation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.client.link import AsyncLink
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.rotation import Rotated


class AsyncKeyFace:
    """Part of a client: encrypts anew what old keys have encrypted."""

    _link: AsyncLink
    _settings: Settings

    async def rotate_keys(
        self, *, dry_run: bool = False, seen: Callable[[Rotated], None] | None = None
    ) -> Rotated:
        """Encrypt anew all that is not encrypted with the first key, while workers go on.

        It goes through all that is stored until a whole pass finds nothing. What is interrupted goes on with
        the next call: what is encrypted anew already is not touched again.

        Args:
            dry_run: only count, in one pass.
            seen: called after each batch.

        Raises:
            ConfigError: there are no keys.
        """
        rotation = Rotation.of(self._settings.keys, dry_run=dry_run)
        while not rotation.ended:
            await self._link.run(rotation.step, again=False)
            if seen is not None:
                seen(rotation.so_far())
            if rotation.pause:
                await asyncio.sleep(rotation.pause)
        return rotation.so_far()
