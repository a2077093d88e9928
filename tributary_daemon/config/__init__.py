"""Settings: one frozen object, merged from flags, environment, credentials, files and built-in values."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tributary_daemon.config import credentials
from tributary_daemon.config import values as parse
from tributary_daemon.config.values import DEFAULTS, Refused, mask, nearest
from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["DEFAULTS", "KEYS", "Config", "doc", "env_name", "load", "mask"]

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


def _meta(parser: Callable[[Any], Any], sentence: str) -> dict[str, Any]:
    return {"parse": parser, "doc": sentence}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every setting. Durations are seconds, sizes bytes; ``source`` tells where a value came from."""

    database_url: str | None = field(
        default=None,
        metadata=_meta(parse.text, "libpq URL of the database; without it an embedded PostgreSQL is used"),
    )
    listen_url: str | None = field(
        default=None,
        metadata=_meta(parse.text, "URL for LISTEN, past a pooler; without it and behind one, workers poll"),
    )
    home: Path = field(
        default=Path("~/.local/share/tributary"),
        metadata=_meta(parse.path, "where the embedded PostgreSQL and local state live"),
    )
    embedded: bool | None = field(
        default=None,
        metadata=_meta(
            parse.flag, "whether to use an embedded PostgreSQL without database_url; unset: not under systemd"
        ),
    )
    auto_migrate: bool = field(
        default=True,
        metadata=_meta(
            parse.flag, "create a missing schema on first use; on the command line also upgrade an older one"
        ),
    )
    shards: int = field(
        default=1,
        metadata=_meta(parse.whole(1, 4096), "into how many shards this database's rows are spread"),
    )
    handlers: tuple[str, ...] = field(
        default=(), metadata=_meta(parse.names, "modules or ./files.py whose handlers are loaded")
    )
    tenant: str = field(default="", metadata=_meta(parse.text, "tenant that submits go to"))
    queues: tuple[str, ...] = field(
        default=("default",), metadata=_meta(parse.names, "queues a worker serves; heavy:4 for four slots")
    )
    names: tuple[str, ...] = field(
        default=(),
        metadata=_meta(parse.names, "handler names a worker claims, e.g. billing.%; empty for all"),
    )
    worker_shards: str = field(
        default="all",
        metadata=_meta(parse.shards, "shards a worker serves: all, auto for a share of them, or e.g. 0-3,7"),
    )
    processes: int | None = field(
        default=None,
        metadata=_meta(parse.whole(1, 1024), "child processes of a worker; unset: the usable cores"),
    )
    concurrency: int = field(default=10, metadata=_meta(parse.whole(1, 10_000), "slots per process"))
    step_connections: int | None = field(
        default=None,
        metadata=_meta(
            parse.whole(1, 10_000), "attempts per process with step.connection() at once; unset: concurrency"
        ),
    )
    worker_name: str | None = field(
        default=None, metadata=_meta(parse.text, "name of this worker; unset: host name and process id")
    )
    drain_timeout: float = field(
        default=60.0, metadata=_meta(parse.duration(), "how long a drain waits for what runs")
    )
    enable_shell: bool = field(default=False, metadata=_meta(parse.flag, "whether a worker runs shell steps"))
    secrets_dir: Path | None = field(
        default=None, metadata=_meta(parse.path, "directory with a file per secret of workflows; unset: none")
    )
    encryption_keys: tuple[str, ...] = field(
        default=(),
        repr=False,
        metadata=_meta(
            parse.names, "keys id:BASE64 of encrypted values; the first encrypts, all decrypt; none: plain"
        ),
    )
    encryption_keys_file: Path | None = field(
        default=None, metadata=_meta(parse.path, "file with such keys, one a line; unset: none")
    )
    encryption_kms: str | None = field(
        default=None,
        metadata=_meta(parse.text, "package.module:function that returns such keys, from a KMS; unset: none"),
    )
    max_log: int = field(
        default=1_048_576,
        metadata=_meta(
            parse.size_or_none(65_536), "how much is kept of what one attempt says, e.g. 1MiB; 0: nothing"
        ),
    )
    recycle_steps: int | None = field(
        default=None,
        metadata=_meta(
            parse.whole(1, 2**31), "finished steps after which a process is replaced; unset: none"
        ),
    )
    recycle_age: float | None = field(
        default=None,
        metadata=_meta(parse.duration(1.0), "age at which a process is replaced, e.g. 12h; unset: none"),
    )
    recycle_memory: int | None = field(
        default=None,
        metadata=_meta(parse.size, "resident memory at which a process is replaced, e.g. 1GiB; unset: none"),
    )
    poll_interval: float = field(
        default=1.0, metadata=_meta(parse.duration(0.01), "how often an idle supervisor polls")
    )
    beat: float = field(
        default=2.0,
        metadata=_meta(parse.duration(0.01), "how often a worker renews the leases of its processes"),
    )
    lease: float = field(
        default=10.0, metadata=_meta(parse.duration(0.1), "how long a lease outlives the last beat")
    )
    silence_limit: float = field(
        default=60.0, metadata=_meta(parse.duration(0.1), "after what silence a child counts as stuck")
    )
    health_listen: str | None = field(
        default=None,
        metadata=_meta(
            parse.address, "HOST:PORT where a worker answers /healthz and /readyz; unset: nowhere"
        ),
    )
    keep: float | None = field(
        default=None,
        metadata=_meta(
            parse.retention, "how long work is kept after its end, e.g. 30d; unset or forever: for ever"
        ),
    )
    keep_dead_letters: float | None = field(
        default=None,
        metadata=_meta(
            parse.retention,
            "how long a dead letter keeps its work; unset or forever: until it is requeued or dropped",
        ),
    )
    observers: tuple[str, ...] = field(
        default=("all",),
        metadata=_meta(
            parse.names, "subscribers to events: all installed ones, off, names, or module:function"
        ),
    )
    max_payload: int = field(
        default=1_048_576, metadata=_meta(parse.size, "largest payload or result, e.g. 1MiB")
    )
    cache: str = field(
        default="postgres",
        metadata=_meta(
            parse.cache,
            "where results of steps are kept: postgres, redis://…, mysql://…, sqlite:///FILE, memory or off",
        ),
    )
    cache_namespace: str = field(
        default="",
        metadata=_meta(parse.text, "databases that say the same share results in that store"),
    )
    cache_timeout: float = field(
        default=2.0,
        metadata=_meta(parse.duration(0.1), "how long a step waits for the store of the step cache"),
    )
    log_format: LogFormat = field(
        default="auto", metadata=_meta(parse.choice("auto", "json", "console"), "auto: console on a terminal")
    )
    log_level: LogLevel = field(
        default="info",
        metadata=_meta(parse.choice("debug", "info", "warning", "error"), "least level logged"),
    )
    defaults: Mapping[str, Any] = field(
        default_factory=_nothing,
        metadata=_meta(parse.option_defaults, "options of submits at the level config: queue, priority, …"),
    )
    hooks: tuple[Mapping[str, Any], ...] = field(
        default=(), metadata=_meta(parse.hooks, "what is called around submits and attempts, outermost first")
    )
    sources: Mapping[str, str] = field(default_factory=_nothing, repr=False)

    def source(self, name: str) -> str:
        """Return where a value came from: ``flag``, ``TRIB_…``, ``credential …``, a path, or ``built-in``."""
        return self.sources.get(name, "built-in")

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, value (passwords masked) and source of every setting, for ``trib config show``."""
        for item in fields(self):
            if item.name == "sources":
                continue
            value = getattr(self, item.name)
            if item.name != "defaults":
                yield item.name, _shown(item.name, value), self.source(item.name)
                continue
            for option in DEFAULTS:
                name = f"defaults.{option}"
                yield name, _shown(name, value.get(option)), self.source(name)


def _shown(name: str, value: Any) -> str:
    if name == "encryption_keys":
        # ids tell which keys there are, and nothing of them
        return ",".join(f"{key.partition(':')[0]}:***" for key in value)
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(item if isinstance(item, str) else item["use"] for item in value)
        case float():
            return f"{value:g}s"
    return mask(str(dict(value))) if hasattr(value, "items") else mask(str(value))


_FIELDS = {item.name: item for item in fields(Config) if item.metadata}
KEYS = tuple(_FIELDS)
"""Names of all settings, in the order of the documentation."""


def env_name(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"TRIB_{name.upper()}"


def doc(name: str) -> str:
    """Return the sentence that documents a setting."""
    return str(_FIELDS[name].metadata["doc"])


def load(
    flags: Mapping[str, Any], *, environ: Mapping[str, str] = os.environ, cwd: Path | None = None
) -> Config:
    """Merge flags > environment > credentials > ``./trib.toml`` > ``~/.config/trib/config.toml`` > built-in.

    Args:
        flags: by setting name; None means not given. Options of submits do not belong here.
        environ: the environment; empty variables count as unset. ``CREDENTIALS_DIRECTORY`` in it leads to
            the credentials of a service.
        cwd: where ``trib.toml`` is looked for; the working directory by default.

    Raises:
        ConfigError: a value is malformed, a key unknown, a credential unreadable, or a file no TOML; says
            which and where.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(given: Mapping[str, Any], origin: str) -> None:
        for name, raw in given.items():
            source = env_name(name) if origin == "environment" else origin
            if name == "defaults":
                _take_defaults(raw, source, values, sources)
            elif name not in values:
                values[name] = _parse(name, raw, source)
                sources[name] = source

    unknown = [name for name in flags if name not in _FIELDS]
    if unknown:
        raise ConfigError(f"unknown setting '{unknown[0]}'", hint=nearest(unknown[0], list(KEYS)))
    take({name: value for name, value in flags.items() if value is not None}, "flag")
    take(_from_environment(environ), "environment")
    for name, text in credentials.read(environ, known=values).items():
        take({name: text}, credentials.origin(name))
    for path in _files(environ, cwd or Path.cwd()):
        table = _read(path)
        take(table, str(path))
    config = {"home": _home(environ), **values}
    result = Config(**config, sources=MappingProxyType(sources))
    _check(result)
    return result


def _take_defaults(raw: Any, source: str, values: dict[str, Any], sources: dict[str, str]) -> None:
    """Merge ``[defaults]`` option by option: a nearer file may set one of them only."""
    given = _parse("defaults", raw, source)
    merged = {**given, **values.get("defaults", {})}
    for option in given:
        sources.setdefault(f"defaults.{option}", source)
    values["defaults"] = MappingProxyType(merged)


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: environ[env_name(name)] for name in KEYS if name != "defaults" and environ.get(env_name(name))
    }


def _files(environ: Mapping[str, str], cwd: Path) -> list[Path]:
    base = environ.get("XDG_CONFIG_HOME") or str(_user(environ) / ".config")
    candidates = [cwd / "trib.toml", Path(base) / "trib" / "config.toml"]
    return [path for path in candidates if path.is_file()]


def _user(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path("~").expanduser()


def _home(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else _user(environ) / ".local" / "share") / "tributary"


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint='write key = "value"') from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="check the file's rights") from error
    for key in table:
        if key not in _FIELDS:
            raise ConfigError(f"unknown setting '{key}' in {path}", hint=nearest(key, list(KEYS)))
    return table


def _parse(name: str, raw: Any, source: str) -> Any:
    try:
        return _FIELDS[name].metadata["parse"](raw)
    except Refused as error:
        shown = "" if name == "defaults" else f" {mask(str(raw))!r}:"
        origin = "the command line" if source == "flag" else source
        raise ConfigError(f"{name} from {origin}:{shown} {error}", hint=doc(name)) from None


def _check(config: Config) -> None:
    if config.lease < 2 * config.beat:
        raise ConfigError(
            f"lease ({config.lease:g}s) must be at least twice the beat ({config.beat:g}s)",
            hint="one late beat must not lose every lease; raise lease or lower beat",
        )
