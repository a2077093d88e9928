"""Finds handlers: imports entry points and the modules or files that the user names."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers.registry import REGISTRY, DuplicateHandlerError, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

GROUP: Final = "tributary.handlers"


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """A module that did not import, or a handler that cannot be used.

    Attributes:
        module: the module or file as it was named.
        names: the handlers that it would offer, as far as they are known.
        error: what went wrong.
    """

    module: str
    names: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found.

    Attributes:
        registry: every handler that can run; a registry of its own, adding to it changes nothing else.
        failures: what could not be loaded; its names are not in the registry.
    """

    registry: Registry
    failures: tuple[ImportFailure, ...]


def discover(imports: Sequence[str] = (), *, entry_points: bool = True) -> Discovery:
    """Import every module that may hold handlers.

    Args:
        imports: modules (``shop.tasks``) or files (``./tasks.py``); relative to the working directory.
        entry_points: also import what installed packages declare in the group ``tributary.handlers``.

    Raises:
        HandlerError: two handlers have one name; nothing else raises, it is in ``failures``.
    """
    targets = [*(_entry_point_modules() if entry_points else ()), *imports]
    importlib.invalidate_caches()
    failures = [failure for target in dict.fromkeys(targets) if (failure := _import(target)) is not None]
    registry = REGISTRY.copy()
    for handler in registry:
        try:
            _ = handler.signature
        except HandlerError as error:
            registry.remove(handler.name)
            failures.append(ImportFailure(handler.declared.__module__, (handler.name,), str(error)))
    return Discovery(registry, tuple(failures))


def require(imports: Sequence[str]) -> Registry:
    """Import modules that were named, then what installed packages declare; return what there is.

    Broken entry points of other packages are left to the worker, which reports them.

    Raises:
        HandlerError: a module that was named does not import, or its handlers are declared wrongly.
    """
    broken = discover(imports, entry_points=False).failures
    if broken:
        raise HandlerError(
            "\n".join(f"{failure.module} does not import: {failure.error}" for failure in broken),
            hint="mend it, or leave it out; nothing was stored",
        )
    return discover().registry


def imported(target: str) -> ModuleType:
    """Import one module or file, and return it.

    Raises:
        HandlerError: it does not import.
    """
    failure = _import(target)
    if failure is not None:
        raise HandlerError(f"{target} does not import: {failure.error}", hint="mend it, or name another one")
    is_file = target.endswith(".py") or "/" in target
    return sys.modules[module_name_of(Path(target).expanduser()) if is_file else target]


def load(reference: str) -> Any:
    """Return what ``module:name`` or ``./file.py:name`` refers to.

    Raises:
        HandlerError: the module does not import, or has no such name.
    """
    target, _, name = reference.rpartition(":")
    importlib.invalidate_caches()
    module = imported(target)
    if not hasattr(module, name):
        raise HandlerError(f"{target} has no '{name}'", hint="write module:name")
    return getattr(module, name)


def module_name_of(path: Path) -> str:
    """Return the name under which a file is imported: the same in every process.

    It is the file's stem where ``import <stem>`` would find this very file, else one made of its path.
    """
    path = path.resolve()
    if path.stem.isidentifier():
        known = sys.modules.get(path.stem)
        origin = getattr(known, "__file__", None) if known else _origin(path.stem)
        if origin is not None and Path(origin).resolve() == path:
            return path.stem
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return f"trib_file_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}_{digest}"


def names_in_source(source: str) -> tuple[str, ...]:
    """Return the names in ``@handler("…")`` decorators of a module's text, without running it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    return tuple(
        name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for decorator in node.decorator_list
        for name in _declared_by(decorator)
    )


def _declared_by(decorator: ast.expr) -> Iterator[str]:
    if not isinstance(decorator, ast.Call):
        return
    function = decorator.func
    called = function.id if isinstance(function, ast.Name) else getattr(function, "attr", None)
    if called != "handler":
        return
    for part in [*decorator.args[:1], *(word.value for word in decorator.keywords if word.arg == "name")]:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _entry_point_modules() -> list[str]:
    return sorted({point.module for point in metadata.entry_points(group=GROUP)})


def _import(target: str) -> ImportFailure | None:
    is_file = target.endswith(".py") or "/" in target
    path = Path(target).expanduser().resolve() if is_file else None
    if path is not None and not path.is_file():
        return ImportFailure(
            target, (), f"there is no file {path}: paths are relative to the working directory"
        )
    # what stands beside the file, or in the working directory, can be imported, after all that is installed
    _extend_path(path.parent if path is not None else Path.cwd())
    name = target if path is None else module_name_of(path)
    try:
        if path is None:
            importlib.import_module(name)
        else:
            _import_file(name, path)
    except DuplicateHandlerError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything when it is imported
        return ImportFailure(target, _give_up(name, path), _reason(error))
    return None


def _extend_path(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.append(str(directory))


def _import_file(name: str, path: Path) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HandlerError(f"{path} is not a Python file", hint="name a module, or a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _give_up(module: str, path: Path | None) -> tuple[str, ...]:
    """Forget what a broken module has declared so far; return the names that it would have offered."""
    declared = [handler.name for handler in REGISTRY if handler.declared.__module__ == module]
    for name in declared:
        REGISTRY.remove(name)
    origin = str(path) if path is not None else _origin(module)
    return tuple(dict.fromkeys([*declared, *(names_in_source(_text(origin)) if origin else ())]))


def _text(origin: str) -> str:
    try:
        return Path(origin).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        # a compiled module, or one that is not on disk: its names stay unknown
        return ""


def _origin(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit):  # noqa: BLE001 - it imports parent packages, which may raise anything
        return None
    return spec.origin if spec is not None else None


def _reason(error: BaseException) -> str:
    if isinstance(error, HandlerError):
        return str(error)
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    if isinstance(error, SyntaxError) or not frames or frames[-1].filename == __file__:
        return text
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})"
