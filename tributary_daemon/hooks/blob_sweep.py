"""Objects of the hook ``blob`` that nothing refers to any more: found, and removed.

What is to go is listed first, by its age; then all that is stored is gone through for references; and the age
is asked once more right before an object goes, since a value that is kept again is written again. So a value
that is on its way into the database is safe as long as that takes less time than the age.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.errors import NotPossible
from tributary_daemon.hooks.blob import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from tributary_daemon.hooks.blob import Blob

# also where it stands in a text within a text
_REFERENCE: Final = re.compile(r"sha256[\\\"]+:\s*[\\\"]+([0-9a-f]{64})")
_OWNER: Final = "owner.json"
# an object, or what is left of one by a process that died while it wrote
_NAME: Final = re.compile(r"/([0-9a-f]{64})\.json(\.\d+\.\d+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found.

    Attributes:
        objects: that were removed, or would be.
        bytes: of these.
        kept: objects that something refers to.
        young: objects that are younger than what may go.
        dry_run: nothing was removed.
    """

    objects: int = 0
    bytes: int = 0
    kept: int = 0
    young: int = 0
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as ``blobs sweep`` prints it."""
        return {name: getattr(self, name) for name in ("objects", "bytes", "kept", "young", "dry_run")}

    def __add__(self, other: Swept) -> Swept:
        """Return both together."""
        return Swept(
            objects=self.objects + other.objects, bytes=self.bytes + other.bytes, kept=self.kept + other.kept,
            young=self.young + other.young, dry_run=self.dry_run,
        )  # fmt: skip


def owner(blob: Blob) -> str | None:
    """Return the database to which objects belong, by its identity; None while none has claimed them."""
    system, root = blob.files()
    system.invalidate_cache()
    try:
        return str(json.loads(bytes(system.cat_file(f"{root}/{_OWNER}")))["database"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise NotPossible(
            f"{root}/{_OWNER} is not what a sweep has written there",
            hint="find out who did; --claim writes it anew",
        ) from error


def claim(blob: Blob, database: str) -> None:
    """Note to which database objects belong: others remove none of them."""
    system, root = blob.files()
    system.makedirs(root, exist_ok=True)
    system.pipe_file(f"{root}/{_OWNER}", json.dumps({"database": database}).encode())


class _Object(NamedTuple):
    path: str
    digest: str
    size: int
    whole: bool


def sweep(blob: Blob, texts: Callable[[], Iterable[str]], before: datetime, *, dry_run: bool) -> Swept:
    """Remove objects that nothing refers to.

    Args:
        blob: whose.
        texts: yields all that is stored and may refer to an object; called once the objects are listed.
        before: what was written later stays.
        dry_run: only count.

    Raises:
        NotPossible: the file system does not say how old an object is.
    """
    system, root = blob.files()
    objects = {found.path: found for found in _listed(system, root)}
    old = {path for path in objects if _modified(system, path) < before}
    young = len(objects) - len(old)
    if not old:
        return Swept(young=young, dry_run=dry_run)
    live: set[str] = set()
    for text in texts():
        live.update(_REFERENCE.findall(text))
    _follow(system, objects, live)
    gone = [
        objects[path] for path in sorted(old) if not (objects[path].whole and objects[path].digest in live)
    ]
    kept = len(old) - len(gone)
    if not dry_run:
        gone = [each for each in gone if _remove(system, each.path, before)]
    return Swept(
        objects=len(gone), bytes=sum(each.size for each in gone), kept=kept, young=young, dry_run=dry_run
    )


def _listed(system: Any, root: str) -> Iterable[_Object]:
    system.invalidate_cache()
    try:
        found: Mapping[str, Mapping[str, Any]] = system.find(root, detail=True)
    except FileNotFoundError:
        return
    for path, told in found.items():
        name = _NAME.search(path)
        if name is not None:
            yield _Object(path, name[1], int(told.get("size") or 0), name[2] is None)


def _follow(system: Any, objects: Mapping[str, _Object], live: set[str]) -> None:
    """Add what is referred to by objects that are referred to."""
    by_digest: dict[str, list[str]] = {}
    for each in objects.values():
        if each.whole:
            by_digest.setdefault(each.digest, []).append(each.path)
    waiting = [digest for digest in live if digest in by_digest]
    seen = set(waiting)
    while waiting:
        # equal values of several tenants are the same bytes
        for path in by_digest[waiting.pop()][:1]:
            try:
                text = bytes(system.cat_file(path)).decode(errors="replace")
            except FileNotFoundError:
                continue
            inner = set(_REFERENCE.findall(text)) if KEY in text else set()
            live |= inner
            fresh = {digest for digest in inner if digest in by_digest} - seen
            seen |= fresh
            waiting.extend(fresh)


def _modified(system: Any, path: str) -> datetime:
    try:
        at: datetime = system.modified(path)
    except NotImplementedError as error:
        raise NotPossible(
            f"{type(system).__name__} does not say when an object was written",
            hint="let the store itself delete what is old: a lifecycle rule",
        ) from error
    return at


def _remove(system: Any, path: str, before: datetime) -> bool:
    """Remove an object unless it was written again meanwhile."""
    system.invalidate_cache(os.path.dirname(path))  # noqa: PTH120 - a path of the file system's own
    try:
        if _modified(system, path) >= before:
            return False
        system.rm_file(path)
    except FileNotFoundError:
        # somebody else sweeps, too
        return False
    return True
